import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheError, CacheKey, CacheStats, type CacheTier } from "@keelson/cache"
import { Duration, Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

/** What the suite needs of a kind of cache. */
export interface Subject {
  readonly name: string
  /** Ids of the acceptance rows that its lookups show, as `[S4-11]`. */
  readonly rows: string
  /** Makes an empty cache. Its bounds are at least these; `ttl` 1 hour. */
  readonly make: (bounds: {
    readonly maxItemSize: number
    readonly maxSize: number
    readonly buckets?: Record<string, { enabled?: boolean; ttl?: Duration.Duration; maxItemSize?: number }>
  }) => Effect.Effect<CacheTier.CacheTier, unknown, Scope.Scope>
}

export const key = (name: string, bucket = "b") => CacheKey.makeUnsafe({ bucket, key: name })
export const bytes = (length: number, value = 1) => new Uint8Array(length).fill(value)
export const reasonOf = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  const error = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
  return error?._tag === "Some"
    ? error.value instanceof CacheError.CacheError ? error.value.reason._tag : undefined
    : undefined
}
const text = (entry: CacheEntry.CacheEntry | undefined) =>
  entry === undefined ? Effect.undefined : Effect.map(CacheEntry.readBytes(entry), (read) => Array.from(read).join(""))

const large = { maxItemSize: 1_000_000, maxSize: 10_000_000 }

/** The tests that every cache passes. */
export const cacheSuite = ({ make, name, rows }: Subject) =>
  describe(`${name} as a cache`, () => {
    it.effect(`[S4-09] ${rows} returns what was stored, with its metadata`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        const metadata = { contentType: "text/plain", etag: "\"1\"", headers: { "cache-control": "max-age=1" } }
        yield* cache.set(key("a b/\u00e9\u{1f600}"), { body: bytes(5, 7), metadata, ttl: Duration.minutes(1) })
        const entry = yield* cache.get(key("a b/\u00e9\u{1f600}"))
        assert.strictEqual(yield* text(entry), "77777")
        assert.deepStrictEqual(entry?.metadata, metadata)
        assert.strictEqual(entry?.length, 5)
        assert.strictEqual(entry!.expiresAt!.epochMilliseconds - entry!.createdAt.epochMilliseconds, 60_000)
        assert.isUndefined(yield* cache.get(key("a b/e")))
      }))

    it.effect(`[S4-06] ${rows} keeps keys apart that differ in bucket, case, slashes, ETag or variant`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        const keys = [
          CacheKey.makeUnsafe({ bucket: "b", key: "x" }),
          CacheKey.makeUnsafe({ bucket: "b", key: "X" }),
          CacheKey.makeUnsafe({ bucket: "b", key: "/x" }),
          CacheKey.makeUnsafe({ bucket: "b", key: "x/" }),
          CacheKey.makeUnsafe({ bucket: "b/x", key: "x" }),
          CacheKey.makeUnsafe({ bucket: "b", key: "x", etag: "1" }),
          CacheKey.makeUnsafe({ bucket: "b", key: "x", variant: "1" })
        ]
        for (const [index, one] of keys.entries()) yield* cache.set(one, { body: bytes(index + 1) })
        for (const [index, one] of keys.entries()) {
          assert.strictEqual((yield* cache.get(one))?.length, index + 1)
        }
        assert.isTrue(yield* cache.delete(keys[0]!))
        assert.strictEqual((yield* cache.get(keys[1]!))?.length, 2)
      }))

    it.effect(`[S4-08] ${rows} expires an entry at its ttl, on the clock; a ttl of zero never ends`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        yield* cache.set(key("default"), { body: bytes(1) })
        yield* cache.set(key("short"), { body: bytes(1), ttl: Duration.seconds(10) })
        yield* cache.set(key("ever"), { body: bytes(1), ttl: Duration.zero })
        yield* TestClock.adjust("9 seconds")
        assert.isDefined(yield* cache.get(key("short")))
        yield* TestClock.adjust("1 second")
        assert.isUndefined(yield* cache.get(key("short")))
        assert.isDefined(yield* cache.get(key("default")))
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(yield* cache.get(key("default")))
        yield* TestClock.adjust("9000 hours")
        assert.isDefined(yield* cache.get(key("ever")))
        assert.isUndefined((yield* cache.get(key("ever")))?.expiresAt)
      }))

    it.effect(`[S4-08] ${rows} returns an expired entry within its stale window only to whom asks for it`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        const life = { ttl: Duration.seconds(10), staleWindow: Duration.seconds(10) }
        yield* cache.set(key("a"), { body: bytes(3), ...life })
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(yield* cache.get(key("a")))
        assert.strictEqual((yield* cache.get(key("a"), { stale: true }))?.length, 3)
        yield* TestClock.adjust("10 seconds")
        assert.isUndefined(yield* cache.get(key("a"), { stale: true }))
      }))

    it.effect(`[S4-08] ${rows} refreshes an entry whose ETag matches, and no other`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        const metadata = { etag: "\"1\"", headers: { a: "1", b: "1" } }
        yield* cache.set(key("a"), { body: bytes(3), metadata, ttl: Duration.seconds(10) })
        yield* TestClock.adjust("5 seconds")
        const mismatch = yield* Effect.exit(cache.refresh(key("a"), { etag: "\"2\"" }))
        assert.strictEqual(reasonOf(mismatch), "NotFound")
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.refresh(key("x"), {}))), "NotFound")
        yield* cache.refresh(key("a"), { etag: "\"1\"", headers: { b: "2" }, ttl: Duration.seconds(10) })
        yield* TestClock.adjust("9 seconds")
        const entry = yield* cache.get(key("a"))
        assert.deepStrictEqual(entry?.metadata, { etag: "\"1\"", headers: { a: "1", b: "2" } })
        assert.strictEqual(yield* text(entry), "111")
        yield* TestClock.adjust("1 second")
        assert.isUndefined(yield* cache.get(key("a")))
      }))

    it.effect(`[S4-10] [S4-11] ${rows} counts lookups, bytes and items, in all and by bucket`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        const before = yield* cache.stats
        assert.deepInclude(before, { hits: 0, misses: 0, items: 0, bytes: 0, hitRate: 0 })
        yield* cache.set(key("a", "one"), { body: bytes(1000) })
        yield* cache.set(key("b", "one"), { body: bytes(2000) })
        yield* cache.set(key("a", "two"), { body: bytes(3000) })
        yield* cache.get(key("a", "one"))
        yield* cache.get(key("x", "one"))
        const stats = yield* cache.stats
        assert.deepInclude(stats, { hits: 1, misses: 1, items: 3, evictions: 0, hitRate: 0.5 })
        assert.deepInclude(CacheStats.ofBucket(stats, "one"), { hits: 1, misses: 1, items: 2 })
        assert.deepInclude(CacheStats.ofBucket(stats, "two"), { hits: 0, misses: 0, items: 1, hitRate: 0 })
        assert.deepStrictEqual(CacheStats.ofBucket(stats, "unknown"), CacheStats.empty)
        // Overwriting corrects the bytes.
        yield* cache.set(key("b", "one"), { body: bytes(500) })
        const after = yield* cache.stats
        assert.strictEqual(after.items, 3)
        assert.isBelow(after.bytes, stats.bytes - 1000)
        assert.strictEqual(
          after.bytes,
          CacheStats.ofBucket(after, "one").bytes + CacheStats.ofBucket(after, "two").bytes
        )
        yield* cache.get(key("b", "one"))
        assert.strictEqual((yield* cache.stats).hitRate, 2 / 3)
      }))

    it.effect(`[S4-11] ${rows} refuses an item that is too large, and keeps what it has`, () =>
      Effect.gen(function*() {
        const cache = yield* make({ ...large, maxItemSize: 1000 })
        yield* cache.set(key("a"), { body: bytes(1000) })
        const before = yield* cache.stats
        const exit = yield* Effect.exit(cache.set(key("b"), { body: bytes(1001) }))
        assert.strictEqual(reasonOf(exit), "ItemTooLarge")
        assert.include(String(Exit.isFailure(exit) && exit.cause), "at most 1000 bytes")
        const streamed = yield* Effect.exit(
          cache.set(key("b"), { body: Stream.make(bytes(600), bytes(600)), length: 1200 })
        )
        assert.strictEqual(reasonOf(streamed), "ItemTooLarge")
        assert.isUndefined(yield* cache.get(key("b"), { peek: true }))
        assert.deepStrictEqual(yield* cache.stats, before)
      }))

    it.effect(`[S4-09] [R33] ${rows} stores a streamed body whole or not at all`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        yield* cache.set(key("a"), { body: Stream.make(bytes(3, 1), bytes(2, 2)), length: 5 })
        assert.strictEqual(yield* text(yield* cache.get(key("a"))), "11122")
        yield* cache.set(key("empty"), { body: Stream.empty })
        assert.strictEqual((yield* cache.get(key("empty")))?.length, 0)
        const broken = Stream.concat(Stream.make(bytes(3, 9)), Stream.fail("reset" as const))
        assert.strictEqual(yield* Effect.flip(cache.set(key("a"), { body: broken })), "reset")
        for (const body of [Stream.make(bytes(4, 9)), Stream.make(bytes(6, 9))]) {
          const exit = yield* Effect.exit(cache.set(key("a"), { body, length: 5 }))
          assert.strictEqual(reasonOf(exit), "BodyIncomplete")
        }
        const hanging = Stream.concat(Stream.make(bytes(3, 9)), Stream.never)
        const fiber = yield* Effect.forkChild(cache.set(key("a"), { body: hanging }), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* text(yield* cache.get(key("a"))), "11122")
        assert.deepInclude(yield* cache.stats, { items: 2 })
      }))

    it.effect(`[S4-15] ${rows} deletes and clears, by bucket too, and keeps its counts`, () =>
      Effect.gen(function*() {
        const cache = yield* make(large)
        yield* cache.set(key("a", "one"), { body: bytes(1) })
        yield* cache.set(key("b", "one"), { body: bytes(1) })
        yield* cache.set(key("a", "two"), { body: bytes(1) })
        yield* cache.get(key("a", "one"))
        assert.isTrue(yield* cache.delete(key("a", "one")))
        assert.isFalse(yield* cache.delete(key("a", "one")))
        assert.isUndefined(yield* cache.get(key("a", "one")))
        assert.strictEqual(yield* cache.clear("one"), 1)
        assert.strictEqual(yield* cache.clear("unknown"), 0)
        assert.isDefined(yield* cache.get(key("a", "two")))
        assert.strictEqual(yield* cache.clear(), 1)
        assert.deepInclude(yield* cache.stats, { items: 0, bytes: 0, hits: 2, misses: 1 })
      }))

    it.effect(`[S4-04] ${rows} follows the options of a bucket: off, ttl, item size`, () =>
      Effect.gen(function*() {
        const cache = yield* make({
          ...large,
          buckets: { off: { enabled: false }, short: { ttl: Duration.seconds(2), maxItemSize: 10 } }
        })
        yield* cache.set(key("a", "off"), { body: bytes(1) })
        assert.isUndefined(yield* cache.get(key("a", "off")))
        yield* cache.set(key("a", "short"), { body: bytes(10) })
        assert.strictEqual(
          reasonOf(yield* Effect.exit(cache.set(key("b", "short"), { body: bytes(11) }))),
          "ItemTooLarge"
        )
        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(yield* cache.get(key("a", "short")))
        assert.deepStrictEqual(
          ["off", "short", "b"].map((bucket) => cache.maxItemSize(bucket)),
          [0, 10, large.maxItemSize]
        )
      }))
  })
