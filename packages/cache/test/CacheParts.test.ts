import { assert, describe, it } from "@effect/vitest"
import { CacheError, CacheKey, CacheStats, CacheTier, MemoryCache, ObjectCache } from "@keelson/cache"
import * as NodeCache from "@keelson/cache/NodeCache"
import { ConfigProvider, Effect, Equal, Hash, Layer } from "effect"
import { bytes, key } from "./CacheSuite.ts"

describe("CacheKey", () => {
  it("[S4-06] keys with the same parts are equal, in collections too", () => {
    const parts = { bucket: "b", key: "k", etag: "1" }
    const [one, same] = [CacheKey.makeUnsafe(parts), CacheKey.makeUnsafe({ ...parts })]
    assert.isTrue(Equal.equals(one, same))
    assert.strictEqual(Hash.hash(one), Hash.hash(same))
    for (const other of [{ ...parts, etag: "2" }, { bucket: "b", key: "k" }, { ...parts, variant: "1" }]) {
      assert.isFalse(Equal.equals(one, CacheKey.makeUnsafe(other)))
    }
    assert.isFalse(Equal.equals(one, "b:k?etag=1"))
    assert.strictEqual(String(one), "b:k?etag=1")
    assert.strictEqual(JSON.stringify({ one }), "{\"one\":\"b:k?etag=1\"}")
    assert.throws(() => CacheKey.makeUnsafe({ bucket: "", key: "k" }), "bucket must be text from 1 to 255 characters")
  })
})

describe("Caches that store nothing", () => {
  for (
    const [name, cache] of [["CacheTier.none", CacheTier.none], ["ObjectCache.disabled", ObjectCache.disabled]] as const
  ) {
    it.effect(`[S4-15] ${name} misses, and its statistics are empty`, () =>
      Effect.gen(function*() {
        yield* cache.set(key("a"), { body: bytes(1) })
        assert.isUndefined(yield* cache.get(key("a")))
        assert.isFalse(yield* cache.delete(key("a")))
        assert.strictEqual(yield* cache.clear(), 0)
        assert.strictEqual(cache.maxItemSize("b"), 0)
        assert.deepInclude(yield* cache.stats, CacheStats.empty)
        assert.strictEqual((yield* Effect.flip(cache.refresh(key("a"), {}))).reason._tag, "NotFound")
      }))
  }

  it.effect("[S4-15] the service of an application may be disabled, or in memory", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const cache = yield* ObjectCache.ObjectCache
        yield* cache.set(key("a"), { body: bytes(3) })
        yield* cache.flush
        return [(yield* cache.get(key("a")))?.length, Object.keys(yield* cache.tierStats)]
      })
      assert.deepStrictEqual(yield* Effect.provide(program, ObjectCache.layerDisabled), [undefined, []])
      assert.deepStrictEqual(yield* Effect.provide(program, ObjectCache.layerMemory()), [3, ["memory"]])
      const environment = ConfigProvider.layer(ConfigProvider.fromEnv({ env: { APP_CACHE_ENABLED: "false" } }))
      const disabled = NodeCache.layerConfig(["app", "cache"])
      assert.deepStrictEqual(yield* Effect.provide(program, Layer.provide(disabled, environment)), [undefined, []])
    }))
})

describe("CacheStats", () => {
  it.effect("[S4-10] the first 1,000 buckets are counted apart, and all others together", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      for (let bucket = 0; bucket < 1_005; bucket++) yield* cache.get(key("a", `b${bucket}`))
      const stats = yield* cache.stats
      assert.strictEqual(stats.misses, 1_005)
      assert.lengthOf(Object.keys(stats.buckets), 1_001)
      assert.strictEqual(CacheStats.ofBucket(stats, "*").misses, 5)
      assert.strictEqual(CacheStats.ofBucket(stats, "__proto__"), CacheStats.empty)
    }))
})

describe("CacheError", () => {
  it("[S4-09] says what failed, with the code and status of its reason", () => {
    const shown = (reason: CacheError.Reason) => {
      const { code, message, status } = new CacheError.CacheError(reason)
      return [code, status, message]
    }
    assert.deepStrictEqual(shown({ _tag: "Io", operation: "rename" }), [
      "CACHE_IO_FAILED",
      500,
      "The disk of the cache failed (rename)"
    ])
    assert.deepStrictEqual(shown({ _tag: "StorageFull" }), [
      "CACHE_STORAGE_FULL",
      507,
      "The storage of the cache is full."
    ])
    assert.deepStrictEqual(shown({ _tag: "BodyIncomplete", announced: 5, received: 3 }), [
      "CACHE_BODY_INCOMPLETE",
      502,
      "The body has 3 bytes instead of 5; nothing was stored"
    ])
  })
})

describe("NodeCache with Redis", () => {
  it.live("[S4-02] [S4-26] works although nobody listens at the URL of its options", () =>
    Effect.gen(function*() {
      // Nobody listens at the port, and the memory answers meanwhile.
      const cache = yield* NodeCache.make({
        enabled: true,
        layers: ["memory", "redis"],
        redis: { url: "redis://127.0.0.1:9", database: 1, timeout: "1 minute" }
      })
      yield* cache.set(key("a"), { body: bytes(3) })
      assert.strictEqual((yield* cache.get(key("a")))?.length, 3)
      assert.deepStrictEqual(Object.keys(yield* cache.tierStats), ["memory", "redis"])
    }))
})
