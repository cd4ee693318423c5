import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheKey, MemoryCache } from "@keelson/cache"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { bytes, cacheSuite, key, reasonOf } from "./CacheSuite.ts"

cacheSuite({ name: "MemoryCache", rows: "[S4-11]", make: (bounds) => MemoryCache.make(bounds) })

/** The bytes that an item of this length counts with, under the keys of these tests. */
const counted = (length: number) => CacheEntry.sizeOf(key("a"), {}, length)

describe("MemoryCache", () => {
  it.effect("[S4-01] has the documented defaults and refuses sizes out of range", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      assert.strictEqual((yield* cache.stats).maxBytes, 1_073_741_824)
      assert.strictEqual(cache.maxItemSize("b"), 10_485_760)
      yield* cache.set(key("a"), { body: bytes(1) })
      yield* TestClock.adjust("3599 seconds")
      assert.isDefined(yield* cache.get(key("a")))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(yield* cache.get(key("a")))
      for (
        const [options, message] of [
          [{ maxItemSize: "2 MiB", maxSize: "1 MiB" }, "at most the maxSize of the tier, which is 1 MiB"],
          [{ maxSize: -1 }, "maxSize"],
          [{ maxItemSize: 0 }, "maxItemSize"],
          [{ maxItemSize: 1.5 }, "maxItemSize"],
          [{ maxSize: "1 XB" }, "a size in bytes or with its unit, from 1 bytes to 1024 GiB"],
          [{ ttl: "-1 seconds" }, "ttl"],
          [{ buckets: { b: { ttl: "9000 hours" } } }, "buckets.b.ttl"]
        ] as const
      ) {
        // @ts-expect-error wrong on purpose
        const error = yield* Effect.flip(MemoryCache.make(options))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, message)
      }
    }))

  it.effect("[S4-07] counts an entry with its data and metadata", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const metadata = { contentType: "text/plain", etag: "\"\u00e9\"", headers: { "x-a": "b" } }
      for (const length of [0, 900, 2_000_000]) {
        yield* cache.set(key("a"), { body: bytes(length), metadata })
        // 64 for lengths and times, `b`, NUL and `a`, and the metadata in UTF-8.
        assert.strictEqual((yield* cache.stats).bytes, length + 64 + 3 + 10 + 4 + 3 + 1)
      }
    }))

  it.effect("[S4-07] keeps no larger buffer alive than the bytes that it counts, twice at most", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      yield* cache.set(key("a"), { body: bytes(1_000_000).subarray(10, 20) })
      const body = (yield* cache.get(key("a")))?.body
      assert.isTrue(body?._tag === "Bytes" && body.bytes.length === 10 && body.bytes.buffer.byteLength <= 20)
    }))

  it.effect("[S4-04] a bucket stores no larger items than its tier", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make({ maxItemSize: 100, buckets: { b: { maxItemSize: 1000 } } })
      assert.strictEqual(cache.maxItemSize("b"), 100)
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body: bytes(101) }))), "ItemTooLarge")
    }))

  it.effect("[S4-12] evicts the least recently used entries, as many as needed and never the new one", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make({ maxItemSize: 3 * counted(100), maxSize: 3 * counted(100) })
      for (const name of ["a", "b", "c"]) yield* cache.set(key(name), { body: bytes(100) })
      yield* cache.get(key("a"))
      yield* cache.get(key("b"), { peek: true })
      yield* cache.set(key("d"), { body: bytes(100) })
      assert.isUndefined(yield* cache.get(key("b"), { peek: true }))
      for (const name of ["a", "c", "d"]) assert.isDefined(yield* cache.get(key(name), { peek: true }))
      assert.deepInclude(yield* cache.stats, { items: 3, evictions: 1, bytes: 3 * counted(100) })
      yield* cache.set(key("e"), { body: bytes(3 * counted(100) - counted(0)) })
      assert.deepInclude(yield* cache.stats, { items: 1, evictions: 4, bytes: 3 * counted(100) })
      assert.isDefined(yield* cache.get(key("e")))
    }))

  it.effect("[S4-11] refuses an item that fits maxItemSize, but with its metadata not into the whole cache", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make({ maxItemSize: 100, maxSize: 120 })
      yield* cache.set(key("a"), { body: bytes(50) })
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body: bytes(100) }))), "ItemTooLarge")
      assert.strictEqual((yield* cache.get(key("a")))?.length, 50)
    }))

  it.effect("[S4-13] cleanupExpired removes all expired entries and counts them", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      for (let index = 0; index < 5; index++) {
        yield* cache.set(key(`k${index}`), { body: bytes(10), ttl: Duration.seconds(index) })
      }
      assert.strictEqual(yield* cache.cleanupExpired, 0)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* cache.cleanupExpired, 2)
      assert.deepInclude(yield* cache.stats, { items: 3, evictions: 2, misses: 0 })
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* cache.cleanupExpired, 2)
      assert.deepInclude(yield* cache.stats, { items: 1, evictions: 4 })
    }))

  it.effect("[S4-16] empty, largest and many entries", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make({ maxItemSize: "1 MiB", maxSize: "100 MiB" })
      yield* cache.set(key("empty"), { body: bytes(0) })
      yield* cache.set(key("largest"), { body: bytes(1_048_576) })
      for (let index = 0; index < 10_000; index++) yield* cache.set(key(`k${index}`), { body: bytes(100) })
      assert.deepInclude(yield* cache.stats, { items: 10_002, evictions: 0 })
      for (let index = 0; index < 200; index++) yield* cache.set(key(`l${index}`), { body: bytes(1_048_000) })
      const { bytes: held, evictions, items } = yield* cache.stats
      assert.isAtMost(held, 104_857_600)
      assert.strictEqual(items + evictions, 10_202)
    }))

  it.effect("its entries are frozen, answer without an effect, and are gone with the scope", () =>
    Effect.gen(function*() {
      const { cache, entry } = yield* Effect.scoped(Effect.gen(function*() {
        const cache = yield* MemoryCache.make()
        const headers: Record<string, string> = { a: "1" }
        yield* cache.set(key("a"), { body: bytes(1), metadata: { headers } })
        headers["a"] = "2"
        const entry = cache.getUnsafe(key("a"), yield* Clock.Clock)
        return { cache, entry }
      }))
      assert.deepStrictEqual(entry?.metadata, { headers: { a: "1" } })
      assert.throws(() => Object.assign(entry!.metadata.headers!, { a: "3" }), TypeError)
      assert.deepInclude(yield* cache.stats, { items: 0, bytes: 0 })
      assert.isUndefined(cache.getUnsafe(key("a"), yield* Clock.Clock))
    }))

  it.effect("[S4-07] keeps each part of the metadata, and nothing that is not there", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const parts = { contentType: "text/plain", etag: "\"1\"", headers: { a: "1" } }
      for (const names of [[], ["contentType"], ["etag"], ["headers"], ["contentType", "etag"], ["etag", "headers"]]) {
        const metadata = Object.fromEntries(Object.entries(parts).filter(([name]) => names.includes(name)))
        yield* cache.set(key("a"), {
          body: bytes(1),
          metadata: { contentType: undefined, etag: undefined, ...metadata }
        })
        const entry = yield* cache.get(key("a"))
        assert.deepStrictEqual(entry?.metadata, metadata)
        assert.isTrue(Object.isFrozen(entry?.metadata))
        assert.strictEqual((yield* cache.stats).bytes, CacheEntry.sizeOf(key("a"), metadata, 1))
      }
    }))

  it.effect("[S4-08] [S4-15] an expired entry cannot be deleted, and counts as evicted; one without end has no end", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      yield* cache.set(key("a"), { body: bytes(1), ttl: Duration.seconds(1) })
      yield* cache.set(key("ever"), { body: bytes(1), ttl: Duration.zero })
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* cache.delete(key("a")))
      assert.deepInclude(yield* cache.stats, { items: 1, evictions: 1 })
      const ever = yield* cache.get(key("ever"))
      assert.deepStrictEqual([ever?.expiresAt, ever?.staleUntil], [undefined, undefined])
    }))

  it.effect("[S4-08] a lookup moves the time of the last access", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      yield* cache.set(key("a"), { body: bytes(1) })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* cache.get(key("a"), { peek: true }))?.accessedAt.epochMilliseconds, 0)
      const entry = yield* cache.get(key("a"))
      assert.deepStrictEqual([entry?.accessedAt.epochMilliseconds, entry?.createdAt.epochMilliseconds], [5000, 0])
    }))

  it("[S4-06] keys have one text form, which is parsed back, and nothing else is", () => {
    const parts = { bucket: "b:/?&=", key: "a b/\u00e9%\u{1f600}", etag: "\"x\"", variant: "gzip, en" }
    for (
      const given of [parts, { bucket: "b", key: "k" }, { ...parts, etag: undefined }, { ...parts, variant: undefined }]
    ) {
      const made = CacheKey.makeUnsafe(given)
      const parsed = CacheKey.parse(CacheKey.format(made))
      assert.isTrue(parsed._tag === "Success" && parsed.success.id === made.id)
    }
    assert.strictEqual(
      CacheKey.format(CacheKey.makeUnsafe(parts)),
      "b%3A%2F%3F%26%3D:a%20b%2F%C3%A9%25%F0%9F%98%80?etag=%22x%22&variant=gzip%2C%20en"
    )
    for (
      const text of [
        "",
        "b",
        ":k",
        "b:",
        "b:k:x",
        "b:k?",
        "b:k?x=1",
        "b:k?etag=",
        "b:k?variant=a&etag=b",
        "b:%zz",
        "b:a/b",
        "b:%2f",
        "b:k?etag=1&etag=2",
        "b:%00"
      ]
    ) {
      assert.strictEqual(CacheKey.parse(text)._tag, "Failure", text)
    }
    for (
      const wrong of [
        { bucket: "", key: "k" },
        { bucket: "b", key: "" },
        { bucket: "b", key: "\ud800" },
        { bucket: "b", key: "a\0" },
        { bucket: "b", key: "k".repeat(4097) },
        { bucket: "b", key: "k", etag: "" }
      ]
    ) {
      const made = CacheKey.make(wrong)
      assert.isTrue(made._tag === "Failure" && made.failure.code === "CACHE_KEY_INVALID")
    }
  })

  it.effect("[S4-14] exact counts under 100 concurrent workers", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make({ maxSize: 20 * counted(100), maxItemSize: 200 })
      const worker = (seed: number) =>
        Effect.gen(function*() {
          for (let step = 0; step < 100; step++) {
            const name = String.fromCodePoint(65 + (seed * 7 + step * 13) % 40)
            if ((seed + step) % 3 === 0) yield* cache.set(key(name), { body: bytes(100, seed) })
            else yield* cache.get(key(name))
            if (step % 10 === 0) yield* Effect.yieldNow
          }
        })
      yield* Effect.forEach(Array.from({ length: 100 }, (_, seed) => seed), worker, { concurrency: "unbounded" })
      const { bytes: held, hits, items, misses } = yield* cache.stats
      const sets = 3334
      assert.strictEqual(hits + misses, 10_000 - sets)
      assert.strictEqual(held, items * counted(100))
      assert.isAtMost(items, 20)
    }))
})
