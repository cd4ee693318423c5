import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { type Body, type CacheEntry, type NewEntry, sizeOf } from "../../CacheEntry.ts"
import { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { CacheStats } from "../../CacheStats.ts"
import { type GetOptions, type Refresh, refreshed } from "../../CacheTier.ts"
import { checkedBody } from "../tier/body.ts"
import type { Counters } from "../tier/counters.ts"
import { type BucketRules, hasPassed, instantOf, lifeOf } from "../tier/rules.ts"
import { type DiskEntry, metaOf, recovered, seen } from "./NodeDiskEntry.ts"
import { isAbsent } from "./NodeFileIo.ts"
import { type Files, maxInMemory, nameOf, type Written } from "./NodeFiles.ts"
import { writeMeta } from "./NodeMeta.ts"
import { inSlices, namesAtOnce, type Recovery } from "./NodeRecovery.ts"

const corrupt = (problem: "length" | "hash") => new CacheError({ _tag: "Serialization", problem })

/**
 * The entries of a directory, least recently used first.
 *
 * Bodies are written to temporary files side by side. What gives files their names or removes them runs one after the other
 * (`#commit`), with the change of the index, so that the index has what is on the disk.
 */
export class DiskStore {
  readonly #files: Files
  readonly #maxBytes: number
  readonly #counters: Counters
  readonly #entries = new Map<string, DiskEntry>()
  readonly #commit = Semaphore.makeUnsafe(1)
  readonly #onChange: () => void
  #bytes = 0

  constructor(
    files: Files,
    options: { readonly maxBytes: number; readonly counters: Counters; readonly onChange: () => void }
  ) {
    this.#files = files
    this.#maxBytes = options.maxBytes
    this.#counters = options.counters
    this.#onChange = options.onChange
  }
  /** Takes over what was found on the disk, without what has expired or has no room. */
  adopt({ entries }: Recovery, clock: Clock.Clock): Effect.Effect<void> {
    const now = Instant.now(clock)
    const expired: Array<DiskEntry> = []
    const added = inSlices(entries, namesAtOnce, ({ accessed, meta, name }) => {
      const entry = recovered(name, meta, accessed, now, this.#counters.of(meta.key.bucket))
      this.#add(entry)
      if (hasPassed(entry.life.gone, clock)) expired.push(entry)
    })
    const removed = Effect.suspend(() => Effect.andThen(this.#evict(expired), this.#makeRoom(undefined)))
    return Effect.andThen(added, this.#exclusive(removed))
  }

  get(key: CacheKey, options: GetOptions | undefined): Effect.Effect<CacheEntry | undefined, CacheError> {
    return Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const entry = this.#entries.get(key.id)
      const counts = entry?.counts ?? this.#counters.of(key.bucket)
      const isCounted = options?.peek !== true
      if (entry === undefined || this.#isHidden(entry, clock, options)) {
        if (isCounted) counts.misses++
        return entry !== undefined && hasPassed(entry.life.gone, clock)
          ? Effect.as(this.#exclusive(this.#evict([entry])), undefined)
          : Effect.undefined
      }
      if (isCounted) this.#touch(entry, clock)
      return Effect.matchEffect(this.#bodyOf(entry), {
        onSuccess: (body) => {
          if (isCounted) counts.hits++
          return Effect.succeed(seen(entry, body))
        },
        onFailure: (error) => {
          if (isCounted) counts.misses++
          // Replaced while it was read: the next lookup finds the new one.
          return this.#entries.get(key.id) !== entry
            ? Effect.undefined
            : this.#failed(entry, error)
        }
      })
    })
  }
  #isHidden({ life }: DiskEntry, clock: Clock.Clock, options: GetOptions | undefined): boolean {
    return hasPassed(options?.stale === true ? life.gone : life.end, clock)
  }
  /** An entry without its file is gone, and one that does not match its hash is removed: neither is served again. */
  #failed(entry: DiskEntry, error: CacheError): Effect.Effect<undefined, CacheError> {
    if (error.reason._tag !== "Serialization" && !isAbsent(error)) return Effect.fail(error)
    return this.#exclusive(Effect.suspend(() => {
      // It was replaced while it was read: what was read may have been the new body.
      if (this.#entries.get(entry.key.id) !== entry) return Effect.undefined
      return Effect.andThen(this.#evict([entry]), isAbsent(error) ? Effect.undefined : Effect.fail(error))
    }))
  }
  #touch(entry: DiskEntry, clock: Clock.Clock): void {
    entry.accessed = clock.currentTimeMillisUnsafe()
    this.#entries.delete(entry.key.id)
    this.#entries.set(entry.key.id, entry)
    this.#onChange()
  }
  /** The body of an entry, compared with its length and hash before any of it is returned. */
  #bodyOf(entry: DiskEntry): Effect.Effect<Body, CacheError> {
    const { hash, length, name, verified } = entry
    if (length <= maxInMemory) {
      return Effect.flatMap(this.#files.read(name, length), ({ bytes, hash: found }) => {
        if (bytes.length !== length) return Effect.fail(corrupt("length"))
        return found === hash ? Effect.succeed({ _tag: "Bytes", bytes }) : Effect.fail(corrupt("hash"))
      })
    }
    return Effect.flatMap(this.#files.inspect(name, verified), ({ hash: found, identity }) => {
      if (identity.size !== BigInt(length)) return Effect.fail(corrupt("length"))
      if (found !== undefined && found !== hash) return Effect.fail(corrupt("hash"))
      entry.verified = identity
      return Effect.succeed({ _tag: "Stream", stream: this.#files.stream(name, identity) })
    })
  }

  set<E, R>(key: CacheKey, entry: NewEntry<E, R>, rules: BucketRules): Effect.Effect<void, CacheError | E, R> {
    const name = nameOf(key)
    const { body, length } = entry
    // Between the end of the body and the commit nothing may lose the temporary file.
    return Effect.uninterruptibleMask((restore) => {
      const path = this.#files.temporaryPath(name)
      const written = body instanceof Uint8Array
        ? this.#files.write(path, body)
        : this.#files.writeStream(path, checkedBody(body, length, rules.maxItemSize))
      return Effect.flatMap(
        Effect.onError(restore(written), () => this.#files.remove(path)),
        (data) => this.#store(key, name, entry, data, rules)
      )
    })
  }
  #store(
    key: CacheKey,
    name: string,
    { createdAt, metadata = {}, staleWindow, ttl }: NewEntry | NewEntry<unknown, unknown>,
    data: Written,
    rules: BucketRules
  ): Effect.Effect<void, CacheError> {
    return Effect.gen({ self: this }, function*() {
      const clock = yield* Clock.Clock
      const now = Instant.now(clock)
      const created = createdAt === undefined ? now : instantOf(createdAt.epochMilliseconds, now)
      const entry: DiskEntry = {
        name,
        key,
        metadata,
        length: data.length,
        hash: data.hash,
        life: { created, ...lifeOf(now, ttl ?? rules.ttl, staleWindow) },
        counts: this.#counters.of(key.bucket),
        size: sizeOf(key, metadata, data.length),
        verified: data.identity,
        accessed: now.wall
      }
      if (entry.size > this.#maxBytes) {
        yield* this.#files.remove(data.path)
        return yield* Effect.fail(
          new CacheError({ _tag: "ItemTooLarge", size: data.length, maxItemSize: this.#maxBytes })
        )
      }
      yield* this.#exclusive(Effect.onError(this.#publish(entry, data), () => this.#files.remove(data.path)))
    })
  }
  /** Gives the files of an entry their names. If that fails half-way, there is no entry. */
  #publish(entry: DiskEntry, data: Written): Effect.Effect<void, CacheError> {
    const { name } = entry
    return Effect.gen({ self: this }, function*() {
      const meta = yield* this.#writeMeta(entry)
      yield* this.#makeRoom(entry)
      yield* Effect.onError(this.#files.move(data.path, name, "data"), () => this.#files.remove(meta.path))
      yield* Effect.onError(
        this.#files.move(meta.path, name, "meta"),
        () =>
          Effect.andThen(this.#files.remove(meta.path), () => {
            if (this.#forget(entry.key.id) !== undefined) this.#onChange()
            return this.#files.removeEntry(name)
          })
      )
      this.#forget(entry.key.id)
      this.#add(entry)
      this.#onChange()
    })
  }

  #writeMeta(entry: DiskEntry): Effect.Effect<Written, CacheError> {
    return Effect.suspend(() =>
      this.#files.write(this.#files.temporaryPath(entry.name), new TextEncoder().encode(writeMeta(metaOf(entry))))
    )
  }

  refresh(key: CacheKey, refresh: Refresh, rules: BucketRules): Effect.Effect<void, CacheError> {
    return this.#exclusive(Effect.gen({ self: this }, function*() {
      const entry = this.#entries.get(key.id)
      if (entry === undefined || (refresh.etag !== undefined && refresh.etag !== entry.metadata.etag)) {
        return yield* Effect.fail(new CacheError({ _tag: "NotFound" }))
      }
      const now = Instant.now(yield* Clock.Clock)
      const metadata = refreshed(entry.metadata, refresh)
      const renewed: DiskEntry = {
        ...entry,
        metadata,
        life: { created: entry.life.created, ...lifeOf(now, refresh.ttl ?? rules.ttl, refresh.staleWindow) },
        size: sizeOf(key, metadata, entry.length)
      }
      const meta = yield* this.#writeMeta(renewed)
      yield* Effect.onError(this.#files.move(meta.path, entry.name, "meta"), () => this.#files.remove(meta.path))
      this.#forget(key.id)
      this.#add(renewed)
      this.#onChange()
      yield* this.#makeRoom(undefined)
    }))
  }
  delete(key: CacheKey): Effect.Effect<boolean> {
    return this.#exclusive(Effect.gen({ self: this }, function*() {
      const entry = this.#entries.get(key.id)
      if (entry === undefined) return false
      const isGone = hasPassed(entry.life.gone, yield* Clock.Clock)
      if (isGone) entry.counts.evictions++
      yield* this.#drop(key.id)
      return !isGone
    }))
  }
  clear(bucket: string | undefined): Effect.Effect<number> {
    return this.#exclusive(Effect.suspend(() => {
      const entries = Array.from(this.#entries.values())
        .filter(({ key }) => bucket === undefined || key.bucket === bucket)
      return Effect.as(Effect.forEach(entries, ({ key }) => this.#drop(key.id), { discard: true }), entries.length)
    }))
  }
  /** The text of the index. */
  get index(): string {
    return JSON.stringify({
      version: 1,
      accessed: Object.fromEntries(Array.from(this.#entries.values(), ({ accessed, name }) => [name, accessed]))
    })
  }
  get stats(): CacheStats {
    return this.#counters.stats(this.#maxBytes)
  }

  /** Runs what names or removes files, after what does already, and whole. */
  #exclusive<A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.uninterruptible(this.#commit.withPermits(1)(work))
  }
  /** Evicts the least recently used entries until the others and a new one have room. */
  #makeRoom(entry: DiskEntry | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      let over = this.#bytes + (entry?.size ?? 0) - this.#maxBytes
      const replaced = entry === undefined ? undefined : this.#entries.get(entry.key.id)
      over -= replaced?.size ?? 0
      const evicted: Array<DiskEntry> = []
      for (const oldest of this.#entries.values()) {
        if (over <= 0) break
        if (oldest === replaced) continue
        evicted.push(oldest)
        over -= oldest.size
      }
      return this.#evict(evicted)
    })
  }
  #evict(entries: ReadonlyArray<DiskEntry>): Effect.Effect<void> {
    return Effect.forEach(entries, (entry) => {
      // Another one may have its key by now.
      if (this.#entries.get(entry.key.id) !== entry) return Effect.void
      entry.counts.evictions++
      return this.#drop(entry.key.id)
    }, { discard: true })
  }
  #drop(id: string): Effect.Effect<void> {
    const entry = this.#forget(id)
    if (entry === undefined) return Effect.void
    this.#onChange()
    return this.#files.removeEntry(entry.name)
  }
  #add(entry: DiskEntry): void {
    this.#entries.set(entry.key.id, entry)
    this.#bytes += entry.size
    entry.counts.bytes += entry.size
    entry.counts.items++
  }
  #forget(id: string): DiskEntry | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    this.#entries.delete(id)
    this.#bytes -= entry.size
    entry.counts.bytes -= entry.size
    entry.counts.items--
    return entry
  }
}
