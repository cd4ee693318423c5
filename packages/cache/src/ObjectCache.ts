/**
 * The cache of an application as a service, so that a test can provide another one.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { none } from "./CacheTier.ts"
import * as MemoryCache from "./MemoryCache.ts"
import * as TieredCache from "./TieredCache.ts"

/** The cache of an application. */
export class ObjectCache extends Context.Service<ObjectCache, TieredCache.TieredCache>()(
  "@keelson/cache/ObjectCache"
) {}

/** A cache that stores nothing. */
export const disabled: TieredCache.TieredCache = {
  ...none,
  tierStats: Effect.succeed({}),
  getUnsafe: () => undefined,
  flush: Effect.void
}

/**
 * The service from any effect that makes it, such as `TieredCache.make` or `NodeCache.make`.
 *
 * **Example** (A test without a disk)
 *
 * ```ts import.meta.vitest
 * import { CacheKey, ObjectCache } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * const key = CacheKey.makeUnsafe({ bucket: "notes", key: "1" })
 * const program = Effect.gen(function*() {
 *   const cache = yield* ObjectCache.ObjectCache
 *   yield* cache.set(key, { body: new Uint8Array(3) })
 *   return (yield* cache.get(key))?.length
 * })
 * await Effect.runPromise(Effect.provide(program, ObjectCache.layerMemory())) // => 3
 * ```
 */
export const layer = <E, R>(
  make: Effect.Effect<TieredCache.TieredCache, E, R>
): Layer.Layer<ObjectCache, E, Exclude<R, Scope.Scope>> => Layer.effect(ObjectCache, make)

/** A cache in memory alone. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const layerMemory = (
  options: MemoryCache.Options = {}
): Layer.Layer<ObjectCache, KeelsonError.ConfigurationError> =>
  layer(Effect.flatMap(MemoryCache.make(options), (memory) => TieredCache.make({ tiers: [memory] })))

/** No cache: every lookup is a miss. */
export const layerDisabled: Layer.Layer<ObjectCache> = Layer.succeed(ObjectCache, disabled)
