/**
 * Loads what a cache does not have, once for all callers, and keeps an expired entry for when its source fails.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { CacheEntry, NewEntry } from "./CacheEntry.ts"
import type { CacheError } from "./CacheError.ts"
import type { CacheKey } from "./CacheKey.ts"
import type { CacheTier, Refresh } from "./CacheTier.ts"
import { makeLoader } from "./internal/loader/loader.ts"

/** A loaded item. */
export interface Loaded extends NewEntry {
  readonly body: Uint8Array
}

/** The source says that the cached item is still the current one, as a 304 response does. */
export interface Confirmed {
  /** What the source said. Required. */
  readonly confirmed: Refresh
}

/** Options of `make`. */
export interface Options<E, R> {
  /** The cache. Required. */
  readonly cache: CacheTier
  /**
   * Loads an item. It gets the expired entry that the cache still has, so that it can ask its source for changes only
   * (RFC 9110, 13.1.2). It runs in the scope of the loader. Required.
   */
  readonly load: (key: CacheKey, previous: CacheEntry | undefined) => Effect.Effect<Loaded | Confirmed, E, R>
  /** How long a loaded item lives; zero means for ever. From 0 millis to 8760 hours. Default: that of the bucket or the tier. */
  readonly ttl?: Configuration.DurationInput | undefined
  /**
   * How much shorter a `ttl` of the loader or of an item may be, at random, as a part of it: items that were loaded together
   * expire apart. From 0 to 0.5. Default 0.1.
   */
  readonly ttlJitter?: number | undefined
  /** How long an expired item may be returned while it cannot be loaded. From 0 millis to 8760 hours. Default 0 millis. */
  readonly staleWindow?: Configuration.DurationInput | undefined
  /**
   * When an expired item is returned within its stale window: if loading it failed, or always, while it is loaded in the background.
   * Default failure.
   */
  readonly serveStale?: "failure" | "always" | undefined
}

/** A loader. */
export interface CacheLoader<out E> {
  /**
   * The entry of a key: from the cache, or loaded. Callers that wait for the same key share one load; interrupting one of them
   * affects neither the load nor the others. A cache that fails is one without entries. Fails with the errors of `load`, and with
   * `SingleFlight.Closed` (`SHUTTING_DOWN`) once the scope closes.
   */
  readonly getOrLoad: (key: CacheKey) => Effect.Effect<CacheEntry, E | SingleFlight.Closed>
  /** Loads an item although the cache has it. */
  readonly reload: (key: CacheKey) => Effect.Effect<CacheEntry, E | SingleFlight.Closed>
  /**
   * Removes an item that has changed. A load that runs is not stored, since it may have read the old item, and later callers do not
   * wait for it. Returns whether the cache had the item; fails if the cache could not be asked.
   */
  readonly invalidate: (key: CacheKey) => Effect.Effect<boolean, CacheError>
}

/** Checked options of a loader, but for its functions. */
export const Policy = Schema.Struct({
  ttl: Schema.optionalKey(Field.duration("0 millis", "8760 hours")),
  ttlJitter: Field.defaulted(Field.number(0, 0.5), 0.1),
  staleWindow: Field.defaulted(Field.duration("0 millis", "8760 hours"), Duration.zero),
  serveStale: Field.defaulted(Schema.Literals(["failure", "always"]), "failure")
})

/**
 * Makes a loader.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (One load for two callers)
 *
 * ```ts import.meta.vitest
 * import { CacheKey, CacheLoader, MemoryCache } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * let loads = 0
 * const key = CacheKey.makeUnsafe({ bucket: "products", key: "1.json" })
 * const program = Effect.gen(function*() {
 *   const cache = yield* MemoryCache.make()
 *   const loader = yield* CacheLoader.make({
 *     cache,
 *     load: () => Effect.delay(Effect.sync(() => ({ body: new Uint8Array(++loads) })), "1 millis")
 *   })
 *   const entries = yield* Effect.all([loader.getOrLoad(key), loader.getOrLoad(key)], { concurrency: 2 })
 *   return entries.map(({ length }) => length)
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => [1, 1]
 * ```
 */
export const make = Effect.fnUntraced(function*<E, R>(
  { cache, load, ...data }: Options<E, R>
): Effect.fn.Return<CacheLoader<E>, KeelsonError.ConfigurationError, R | Scope.Scope> {
  const policy = yield* Configuration.decode(Policy)(data)
  const { getOrLoad, invalidate, reload } = yield* makeLoader(cache, load, policy)
  return { getOrLoad: (key) => getOrLoad(key, key), reload: (key) => reload(key, key), invalidate }
})
