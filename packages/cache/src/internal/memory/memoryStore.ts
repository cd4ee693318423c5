import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import { LRUCache } from "lru-cache"
import { type Body, type CacheEntry, type Metadata, type NewEntry, sizeOf } from "../../CacheEntry.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { CacheStats } from "../../CacheStats.ts"
import { type GetOptions, type Refresh, refreshed } from "../../CacheTier.ts"
import type { BucketCounts, Counters } from "../tier/counters.ts"
import { type Ends, hasPassed, lifeOf, timeOf, wallTime } from "../tier/rules.ts"

/** What a new entry has besides its body. */
type Stored = Pick<NewEntry, "metadata" | "staleWindow" | "createdAt">

/** An entry in memory, and what the store needs to know of it. */
class Held implements CacheEntry {
  readonly key: CacheKey
  readonly metadata: Metadata
  readonly body: Body & { readonly _tag: "Bytes" }
  readonly counts: BucketCounts
  /** The bytes that the entry counts with. */
  readonly size: number
  /** The wall time of its creation, in milliseconds. */
  readonly created: number
  readonly end: Instant.Instant | undefined
  readonly gone: Instant.Instant | undefined
  /** The wall time of the last lookup, in milliseconds. */
  accessed: number

  constructor(
    key: CacheKey,
    metadata: Metadata,
    body: Body & { readonly _tag: "Bytes" },
    created: number,
    { end, gone }: Ends,
    accessed: number,
    counts: BucketCounts
  ) {
    this.key = key
    this.metadata = metadata
    this.body = body
    this.counts = counts
    this.size = sizeOf(key, metadata, body.bytes.length)
    this.created = created
    this.end = end
    this.gone = gone
    this.accessed = accessed
  }
  get length(): number {
    return this.body.bytes.length
  }
  get createdAt(): DateTime.Utc {
    return wallTime(this.created)
  }
  get expiresAt(): DateTime.Utc | undefined {
    return this.end === undefined ? undefined : timeOf(this.end)
  }
  get staleUntil(): DateTime.Utc | undefined {
    return this.gone === undefined ? undefined : timeOf(this.gone)
  }
  get accessedAt(): DateTime.Utc {
    return DateTime.makeUnsafe(this.accessed)
  }
  /** The same entry with other metadata and another end. */
  renewed(metadata: Metadata, ends: Ends): Held {
    return new Held(this.key, metadata, this.body, this.created, ends, this.accessed, this.counts)
  }
}

const noMetadata: Metadata = Object.freeze({})

/** A copy that nobody changes. Spelled out, since `set` is a hot path and a copy by spreading costs twice as much. */
const frozen = (metadata: Metadata | undefined): Metadata => {
  if (metadata === undefined) return noMetadata
  const { contentType, etag, headers } = metadata
  if (headers === undefined) {
    if (etag === undefined) return contentType === undefined ? noMetadata : Object.freeze({ contentType })
    return Object.freeze(contentType === undefined ? { etag } : { contentType, etag })
  }
  return Object.freeze({
    ...(contentType === undefined ? undefined : { contentType }),
    ...(etag === undefined ? undefined : { etag }),
    headers: Object.freeze({ ...headers })
  })
}

/** Bytes that keep no larger buffer alive, such as the chunk of a socket that they are a part of. */
const owned = (bytes: Uint8Array): Uint8Array =>
  bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes

/**
 * The entries of a tier in memory, least recently used first. Bytes and items are exact after each call: every entry that goes
 * is counted where it goes.
 */
export class MemoryStore {
  readonly #entries: LRUCache<string, Held>
  readonly #counters: Counters
  readonly #maxBytes: number

  constructor(maxBytes: number, counters: Counters) {
    this.#maxBytes = maxBytes
    this.#counters = counters
    this.#entries = new LRUCache<string, Held>({
      maxSize: maxBytes,
      dispose: ({ counts, size }, _, reason) => {
        counts.bytes -= size
        counts.items--
        if (reason === "evict") counts.evictions++
      }
    })
  }
  get(key: CacheKey, clock: Clock.Clock, options?: GetOptions): CacheEntry | undefined {
    if (options?.peek === true) return this.#peek(key, clock, options)
    const held = this.#entries.get(key.id)
    if (held === undefined) {
      this.#counters.of(key.bucket).misses++
      return undefined
    }
    // `hasPassed`, with one reading of each clock.
    const { end } = held
    const wall = clock.currentTimeMillisUnsafe()
    if (
      end !== undefined && (wall >= end.wall || clock.monotonicTimeNanosUnsafe() >= end.monotonic) &&
      !this.#isServed(held, clock, options)
    ) {
      held.counts.misses++
      return undefined
    }
    held.counts.hits++
    held.accessed = wall
    return held
  }
  #peek(key: CacheKey, clock: Clock.Clock, { stale }: GetOptions): CacheEntry | undefined {
    const held = this.#entries.peek(key.id)
    if (held === undefined) return undefined
    return hasPassed(stale === true ? held.gone : held.end, clock) ? undefined : held
  }
  /** Stores an entry. Returns false, and changes nothing, if it is larger than the whole store. */
  set(key: CacheKey, bytes: Uint8Array, entry: Stored, ttl: Duration.Duration, clock: Clock.Clock): boolean {
    const now = Instant.now(clock)
    const { createdAt, metadata, staleWindow } = entry
    return this.#put(
      new Held(
        key,
        frozen(metadata),
        { _tag: "Bytes", bytes: owned(bytes) },
        createdAt === undefined ? now.wall : createdAt.epochMilliseconds,
        lifeOf(now, ttl, staleWindow),
        now.wall,
        this.#counters.of(key.bucket)
      )
    )
  }
  /** Gives an entry a new life. Returns false if there is no such entry. */
  refresh(key: CacheKey, refresh: Refresh, ttl: Duration.Duration, clock: Clock.Clock): boolean {
    const held = this.#entries.peek(key.id)
    if (held === undefined || (refresh.etag !== undefined && refresh.etag !== held.metadata.etag)) return false
    return this.#put(held.renewed(
      frozen(refreshed(held.metadata, refresh)),
      lifeOf(Instant.now(clock), ttl, refresh.staleWindow)
    ))
  }
  delete(key: CacheKey, clock: Clock.Clock): boolean {
    const held = this.#entries.peek(key.id)
    if (held === undefined) return false
    if (hasPassed(held.gone, clock)) {
      this.#expire(held)
      return false
    }
    return this.#entries.delete(key.id)
  }
  clear(bucket: string | undefined): number {
    let count = 0
    for (const [id, { key }] of Array.from(this.#entries.entries())) {
      if (bucket !== undefined && key.bucket !== bucket) continue
      this.#entries.delete(id)
      count++
    }
    return count
  }
  /** Removes the expired entries. */
  cleanup(clock: Clock.Clock): number {
    let count = 0
    for (const held of Array.from(this.#entries.values())) {
      if (!hasPassed(held.gone, clock)) continue
      this.#expire(held)
      count++
    }
    return count
  }
  get stats(): CacheStats {
    return this.#counters.stats(this.#maxBytes)
  }

  /** A larger entry than the store would take the old one with it, and not be stored. */
  #put(held: Held): boolean {
    if (held.size > this.#maxBytes) return false
    held.counts.bytes += held.size
    held.counts.items++
    this.#entries.set(held.key.id, held, { size: held.size })
    return true
  }
  /** Whether an expired entry answers a lookup that accepts a stale one. An entry past its stale window is removed. */
  #isServed(held: Held, clock: Clock.Clock, options: GetOptions | undefined): boolean {
    if (!hasPassed(held.gone, clock)) return options?.stale === true
    this.#expire(held)
    return false
  }
  #expire(held: Held): void {
    this.#entries.delete(held.key.id)
    held.counts.evictions++
  }
}
