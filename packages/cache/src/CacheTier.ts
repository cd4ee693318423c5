/**
 * The interface of a cache: memory, disk, Redis, and several of them in an order.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CacheEntry, Metadata, NewEntry } from "./CacheEntry.ts"
import { CacheError } from "./CacheError.ts"
import type { CacheKey } from "./CacheKey.ts"
import { type CacheStats, empty } from "./CacheStats.ts"

/** What a source said of an entry that it confirmed, such as a 304 response (RFC 9111, 4.3.4). */
export interface Refresh {
  /** Only an entry with this entity tag is refreshed. Default: any. */
  readonly etag?: string | undefined
  /** Headers that replace those of the same name. Default none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** How long the entry lives from now; zero means for ever. Default: that of the bucket or the tier. */
  readonly ttl?: Duration.Duration | undefined
  /** How long the entry is kept after it expired. Default 0 millis. */
  readonly staleWindow?: Duration.Duration | undefined
}

/** Options of a lookup. */
export interface GetOptions {
  /** Whether an expired entry is returned too, within its stale window. Default false. */
  readonly stale?: boolean | undefined
  /** Whether the lookup neither counts nor makes the entry the most recently used one. Default false. */
  readonly peek?: boolean | undefined
}

/**
 * A cache. Every call may fail with `CacheError`, which callers of a cache usually treat as a miss: a cache is never the only
 * place of an item.
 *
 * An entry is whole or absent: `get` returns what one `set` was given, and never parts of two.
 */
export interface CacheTier {
  /** The name in metrics and logs, as `memory`. */
  readonly name: string
  /** The largest item of a bucket that is stored, in bytes; 0 for a bucket that is not cached. */
  readonly maxItemSize: (bucket: string) => number
  /** The entry of a key; `undefined` if there is none or it has expired. */
  readonly get: (key: CacheKey, options?: GetOptions) => Effect.Effect<CacheEntry | undefined, CacheError>
  /**
   * Stores an entry, in place of one with the same key. Fails with `CacheError` and keeps what was there:
   * `ItemTooLarge`, `BodyIncomplete`, and what the storage fails with; and with the errors of the body.
   */
  readonly set: <E = never, R = never>(key: CacheKey, entry: NewEntry<E, R>) => Effect.Effect<void, CacheError | E, R>
  /**
   * Gives the entry of a key a new life without its body, after its source confirmed it. Fails with `NotFound` if there is no
   * such entry, or its entity tag is another one.
   */
  readonly refresh: (key: CacheKey, refresh: Refresh) => Effect.Effect<void, CacheError>
  /** Removes an entry. Returns whether there was one. */
  readonly delete: (key: CacheKey) => Effect.Effect<boolean, CacheError>
  /** Removes all entries, or those of one bucket. Returns how many. Counts of hits and misses stay. */
  readonly clear: (bucket?: string) => Effect.Effect<number, CacheError>
  readonly stats: Effect.Effect<CacheStats, CacheError>
}

/** The metadata of a refreshed entry. */
export const refreshed = (metadata: Metadata, { headers }: Refresh): Metadata =>
  headers === undefined ? metadata : { ...metadata, headers: { ...metadata.headers, ...headers } }

/**
 * A cache that stores nothing, for an application whose cache is disabled: every `get` is a miss, and `set` reads no body.
 *
 * **Example** (Without a cache)
 *
 * ```ts import.meta.vitest
 * import { CacheKey, CacheTier } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * const key = CacheKey.makeUnsafe({ bucket: "notes", key: "1" })
 * const stored = CacheTier.none.set(key, { body: new Uint8Array(3) })
 * await Effect.runPromise(Effect.andThen(stored, CacheTier.none.get(key))) // => undefined
 * ```
 */
export const none: CacheTier = {
  name: "none",
  maxItemSize: () => 0,
  get: () => Effect.undefined,
  set: () => Effect.void,
  refresh: () => Effect.fail(new CacheError({ _tag: "NotFound" })),
  delete: () => Effect.succeed(false),
  clear: () => Effect.succeed(0),
  stats: Effect.succeed({ ...empty, maxBytes: undefined, buckets: {} })
}
