/**
 * A cache in memory, on disk and in Redis from one set of options, on Node.js.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as CacheOptions from "./CacheOptions.ts"
import type { CacheTier } from "./CacheTier.ts"
import * as MemoryCache from "./MemoryCache.ts"
import * as NodeDiskCache from "./NodeDiskCache.ts"
import * as ObjectCache from "./ObjectCache.ts"
import * as RedisCache from "./RedisCache.ts"
import * as TieredCache from "./TieredCache.ts"

/** Loaded where a cache has Redis: others need no `@effect/platform-node`. */
const nodeRedis = Effect.tryPromise({
  try: () => import("@effect/platform-node/NodeRedis"),
  catch: (cause) =>
    InvalidConfig.option("layers", "without redis, or install @effect/platform-node and redis", { cause })
})

const makeTier = (
  name: CacheOptions.LayerName,
  { buckets, disk, memory, redis }: CacheOptions.CacheOptions
): Effect.Effect<CacheTier, KeelsonError.ConfigurationError, Scope.Scope> => {
  switch (name) {
    case "memory":
      return MemoryCache.make({ ...memory, buckets })
    case "disk":
      return NodeDiskCache.make({ ...disk, buckets })
    case "redis": {
      const { database = 0, password, poolSize, url, ...rest } = redis ?? {}
      const pool = poolSize === undefined ? undefined : { poolSize }
      return Effect.flatMap(nodeRedis, ({ layer: connect }) =>
        RedisCache.make({
          ...rest,
          ...pool,
          buckets,
          redis: connect({
            database,
            ...(poolSize === undefined ? undefined : { maxConnections: poolSize }),
            ...(url === undefined ? undefined : { url }),
            ...(password === undefined ? undefined : { password: Redacted.value(password) })
          })
        }))
    }
  }
}

/** The cache of checked options. */
const fromOptions = (options: CacheOptions.CacheOptions) =>
  options.enabled
    ? Effect.flatMap(
      Effect.forEach(options.layers, (name) => makeTier(name, options)),
      (tiers) => TieredCache.make({ tiers })
    )
    : Effect.succeed(ObjectCache.disabled)

/**
 * Makes the cache that the options describe: one that stores nothing unless `enabled` is set, else its `layers` in their order.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also for a directory that cannot be used.
 * Redis need not be available at start.
 *
 * **Example** (Memory in front of a directory)
 *
 * ```ts import.meta.vitest
 * import { ObjectCache } from "@keelson/cache"
 * import * as NodeCache from "@keelson/cache/NodeCache"
 * import { Effect } from "effect"
 * import { tmpdir } from "node:os"
 *
 * const cache = NodeCache.layer({
 *   enabled: true,
 *   layers: ["memory", "disk"],
 *   memory: { maxSize: "64 MiB", maxItemSize: "1 MiB" },
 *   disk: { dir: `${tmpdir()}/keelson-example`, maxSize: "1 GiB" }
 * })
 * const stats = ObjectCache.ObjectCache.use(({ tierStats }) => tierStats)
 * Object.keys(await Effect.runPromise(Effect.provide(stats, cache))) // => ["memory", "disk"]
 * ```
 */
export const make = (
  options: CacheOptions.Options = {}
): Effect.Effect<TieredCache.TieredCache, KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.flatMap(CacheOptions.decode(options), fromOptions)

/** The same as the service of an application. */
export const layer = (
  options: CacheOptions.Options = {}
): Layer.Layer<ObjectCache.ObjectCache, KeelsonError.ConfigurationError> => ObjectCache.layer(make(options))

/** The same from JSON or YAML; see `Configuration.decodeText`. */
export const layerText = (
  text: Configuration.Text
): Layer.Layer<ObjectCache.ObjectCache, KeelsonError.ConfigurationError> =>
  ObjectCache.layer(Effect.flatMap(CacheOptions.decodeText(text), fromOptions))

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path
): Layer.Layer<ObjectCache.ObjectCache, KeelsonError.ConfigurationError> =>
  ObjectCache.layer(Effect.flatMap(CacheOptions.config(path), fromOptions))
