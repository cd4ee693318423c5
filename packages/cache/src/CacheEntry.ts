/**
 * The entries of a cache: what describes an item, and its body as bytes or as a stream.
 */
import * as Bytes from "effect/Bytes"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CacheError } from "./CacheError.ts"
import type { CacheKey } from "./CacheKey.ts"

/** What describes an item, as its source sent it. */
export interface Metadata {
  /** The media type (RFC 9110, 8.3). Default none. */
  readonly contentType?: string | undefined
  /** The entity tag with its quotes (RFC 9110, 8.8.3). Default none. */
  readonly etag?: string | undefined
  /** Further headers to keep, by name in lower case. Default none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** The body of an entry. */
export type Body =
  /** In memory. The bytes belong to the cache: do not change them. */
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
  /** Read while the stream runs, any number of times. It fails if the entry was removed or is damaged meanwhile. */
  | { readonly _tag: "Stream"; readonly stream: Stream.Stream<Uint8Array, CacheError> }

/** An entry, as `get` returns it. */
export interface CacheEntry {
  readonly metadata: Metadata
  readonly body: Body
  /** The bytes of the body. */
  readonly length: number
  readonly createdAt: DateTime.Utc
  /** When the entry expires; `undefined` if it never does. */
  readonly expiresAt: DateTime.Utc | undefined
  /** Until when the entry is kept for lookups that accept a stale one; `expiresAt` without a stale window. */
  readonly staleUntil: DateTime.Utc | undefined
  /** When the entry was last looked up; `createdAt` before that. */
  readonly accessedAt: DateTime.Utc
}

/** A new entry, for `set`. */
export interface NewEntry<E = never, R = never> {
  /**
   * The body: bytes, which must not be changed afterwards, or a stream. An entry is stored after its whole body was read:
   * nothing is stored if the stream fails or ends early. Required.
   */
  readonly body: Uint8Array | Stream.Stream<Uint8Array, E, R>
  /** The length of the body as its source announced it, in bytes. A body of another length is not stored. Default none. */
  readonly length?: number | undefined
  /** What describes the item. Default none. */
  readonly metadata?: Metadata | undefined
  /** How long the entry lives; zero means for ever. Default: that of the bucket or the tier. */
  readonly ttl?: Duration.Duration | undefined
  /** How long the entry is kept after it expired, for lookups that accept a stale one. Default 0 millis. */
  readonly staleWindow?: Duration.Duration | undefined
  /** When the item was created, if it is a copy of an entry of another cache. Default: now. */
  readonly createdAt?: DateTime.Utc | undefined
}

/** Lengths, times and the framing of an entry, in bytes. */
const fixedSize = 64

const utf8 = new TextEncoder()

/** The bytes of a text in UTF-8. */
const utf8Length = (text: string): number => {
  // Most texts are ASCII, which needs no encoder.
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 127) return utf8.encode(text).length
  }
  return text.length
}

/** The bytes that an entry counts with: its body, its key and its metadata in UTF-8, and 64 for lengths and times. */
export const sizeOf = (key: CacheKey, { contentType, etag, headers }: Metadata, length: number): number => {
  let size = fixedSize + length + utf8Length(key.id)
  if (contentType !== undefined) size += utf8Length(contentType)
  if (etag !== undefined) size += utf8Length(etag)
  for (const name in headers) size += utf8Length(name) + utf8Length(headers[name] ?? "")
  return size
}

/**
 * Reads the whole body into memory.
 *
 * Fails with `CacheError` if the entry cannot be read: `NotFound`, `Io`, `Redis` or `Serialization`.
 *
 * **Example** (Reading an entry as text)
 *
 * ```ts import.meta.vitest
 * import { CacheEntry, CacheKey, MemoryCache } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * const key = CacheKey.makeUnsafe({ bucket: "notes", key: "1" })
 * const program = Effect.gen(function*() {
 *   const cache = yield* MemoryCache.make()
 *   yield* cache.set(key, { body: new TextEncoder().encode("hello") })
 *   const entry = yield* cache.get(key)
 *   return entry === undefined ? "none" : new TextDecoder().decode(yield* CacheEntry.readBytes(entry))
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => "hello"
 * ```
 */
export const readBytes = ({ body }: CacheEntry): Effect.Effect<Uint8Array, CacheError> =>
  body._tag === "Bytes" ? Effect.succeed(body.bytes) : Effect.map(Stream.runCollect(body.stream), Bytes.concat)

/** The body as a stream. */
export const stream = ({ body }: CacheEntry): Stream.Stream<Uint8Array, CacheError> =>
  body._tag === "Bytes" ? Stream.make(body.bytes) : body.stream
