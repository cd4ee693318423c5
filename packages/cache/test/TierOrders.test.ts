import { NodeFileSystem } from "@effect/platform-node"
import { MemoryCache, RedisCache, TieredCache } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { redisServer, skipReason } from "@keelson/testing/redisServer"
import { Effect, FileSystem } from "effect"
import { describe } from "vitest"
import { cacheSuite } from "./CacheSuite.ts"

const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.makeTempDirectoryScoped({ prefix: "keelson-cache-" })
).pipe(Effect.provide(NodeFileSystem.layer))

type Bounds = Parameters<Parameters<typeof cacheSuite>[0]["make"]>[0]

const makers = {
  memory: (bounds: Bounds) => MemoryCache.make(bounds),
  disk: (bounds: Bounds) => Effect.flatMap(temporaryDirectory, (dir) => NodeDiskCache.make({ dir, ...bounds })),
  redis: ({ buckets, maxItemSize }: Bounds) =>
    Effect.flatMap(
      redisServer,
      ({ redis }) =>
        RedisCache.make({
          redis,
          timeout: "1 minute",
          maxItemSize,
          ...(buckets === undefined ? undefined : { buckets })
        })
    )
}

/** The orders that `layers` allows, and others. */
const orders = [["memory", "disk"], ["disk", "redis"], ["memory", "disk", "redis"], ["redis", "memory"]] as const

for (const order of orders) {
  describe.skipIf(order.some((name) => name === "redis") && skipReason !== undefined)(
    `Tiers ${order.join(", ")}`,
    () => {
      cacheSuite({
        name: `TieredCache of ${order.join(", ")}`,
        rows: "[S4-26] [S4-29]",
        make: (bounds) =>
          Effect.gen(function*() {
            const tiers = yield* Effect.forEach(order, (name) => makers[name](bounds))
            const last = tiers.at(-1)
            const cache = yield* TieredCache.make({ tiers })
            if (last === undefined) return cache
            // Lookups of the whole cache, with what its last tier has: the suite compares bytes and items of one tier.
            const stats = Effect.gen(function*() {
              yield* cache.flush
              const [all, one] = [yield* cache.stats, yield* last.stats]
              const buckets = Object.fromEntries(
                Object.entries(all.buckets).map(([name, counts]) => {
                  const { bytes = 0, items = 0 } = one.buckets[name] ?? {}
                  return [name, { ...counts, bytes, items }]
                })
              )
              return { ...all, bytes: one.bytes, items: one.items, evictions: one.evictions, buckets }
            })
            return { ...cache, stats }
          })
      })
    }
  )
}
