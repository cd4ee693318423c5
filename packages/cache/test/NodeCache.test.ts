import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ObjectCache } from "@keelson/cache"
import * as NodeCache from "@keelson/cache/NodeCache"
import * as Metrics from "@keelson/core/Metrics"
import * as PrometheusEndpoint from "@keelson/core/PrometheusEndpoint"
import { ConfigProvider, Effect, FileSystem, type Layer } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { bytes, key } from "./CacheSuite.ts"

const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.makeTempDirectoryScoped({ prefix: "keelson-cache-" })
).pipe(Effect.provide(NodeFileSystem.layer))

const use = <A, E, E2>(
  layer: Layer.Layer<ObjectCache.ObjectCache, E>,
  run: (cache: ObjectCache.ObjectCache["Service"]) => Effect.Effect<A, E2>
) => Effect.scoped(Effect.provide(ObjectCache.ObjectCache.use(run), layer))

const withEnvironment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("NodeCache", () => {
  it.effect("[S4-01] [S4-15] stores nothing unless it is enabled, whatever else the options say", () =>
    Effect.gen(function*() {
      const nowhere = { layers: ["tape"], memory: { maxSize: -1 }, redis: { url: "x" } }
      const text = JSON.stringify(nowhere)
      const layers = [
        NodeCache.layer(),
        NodeCache.layerText({ format: "json", text }),
        NodeCache.layerText({ format: "json", text: JSON.stringify({ enabled: false, ...nowhere }) })
      ]
      for (const layer of layers) {
        yield* use(layer, (cache) =>
          Effect.gen(function*() {
            yield* cache.set(key("a"), { body: bytes(3) })
            assert.isUndefined(yield* cache.get(key("a")))
            assert.strictEqual(cache.maxItemSize("b"), 0)
            assert.deepInclude(yield* cache.stats, { hits: 0, misses: 0, items: 0, bytes: 0 })
            assert.deepStrictEqual(yield* cache.tierStats, {})
          }))
      }
    }))

  it.effect("[S4-03] refuses layers that are unknown, twice, none, or without their section", () =>
    Effect.gen(function*() {
      const texts = [
        [{ layers: ["tape"] }, "layers"],
        [{ layers: ["memory", "memory"] }, "layers"],
        [{ layers: [] }, "layers"],
        [{ layers: ["memory"], disk: {} }, "disk"],
        [{ layers: ["redis"] }, "redis.url"],
        [{ layers: ["redis"], redis: { url: "http://user:hunter2@host" } }, "redis.url"],
        [{ memory: { maxItemSize: "2 MiB", maxSize: "1 MiB" } }, "memory.maxItemSize"]
      ] as const
      for (const [options, path] of texts) {
        const text = JSON.stringify({ enabled: true, ...options })
        const error = yield* Effect.flip(use(NodeCache.layerText({ format: "json", text }), () => Effect.void))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, path)
        assert.notInclude(JSON.stringify(error) + error.message, "hunter2")
      }
    }))

  it.effect("[S4-05] takes values of the environment in a text, and says which is missing", () =>
    Effect.gen(function*() {
      const dir = join(yield* temporaryDirectory, "cache")
      const layer = NodeCache.layerText({
        format: "yaml",
        text: "enabled: true\nlayers: [disk]\ndisk: { dir: \"${CACHE_DIR}/cache\" }"
      })
      yield* use(layer, (cache) => cache.set(key("a"), { body: bytes(3) })).pipe(
        withEnvironment({ CACHE_DIR: join(dir, "..") })
      )
      assert.isTrue(existsSync(join(dir, "entries")))
      const error = yield* Effect.flip(use(layer, () => Effect.void).pipe(withEnvironment({})))
      assert.strictEqual(error.code, "CONFIG_VARIABLE_MISSING")
      assert.include(error.message, "CACHE_DIR")
    }))

  it.effect("[S4-33] its counts, bytes and items are metrics by layer and bucket, while it is open", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const layer = NodeCache.layer({ enabled: true, layers: ["memory", "disk"], disk: { dir } })
      const text = yield* use(layer, (cache) =>
        Effect.gen(function*() {
          yield* cache.set(key("a", "shop"), { body: bytes(100) })
          yield* cache.get(key("a", "shop"))
          yield* cache.get(key("x", "shop"))
          return yield* PrometheusEndpoint.format
        }))
      for (
        const line of [
          `keelson_cache_hits_total{layer="memory",bucket="shop"} 1`,
          `keelson_cache_misses_total{layer="memory",bucket="shop"} 1`,
          `keelson_cache_misses_total{layer="disk",bucket="shop"} 1`,
          `keelson_cache_items{layer="memory",bucket="shop"} 1`,
          `keelson_cache_items{layer="disk",bucket="shop"} 1`,
          `keelson_cache_set_duration_seconds_count{layer="disk"} 1`,
          `keelson_cache_get_duration_seconds_count{layer="disk"} 1`
        ]
      ) assert.include(text, line)
      assert.match(text, /^keelson_cache_size_bytes\{layer="disk",bucket="shop"\} 1\d\d$/m)
      assert.notInclude(yield* PrometheusEndpoint.format, "keelson_cache_items{layer=\"disk\"")
    }).pipe(Effect.provide(Metrics.layerIsolated)))
})
