import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheKey, RedisCache } from "@keelson/cache"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Duration, Effect, Exit, Layer, type Scope, Stream } from "effect"
import { Redis } from "effect/persistence"
import { bytes, cacheSuite, key, reasonOf } from "./CacheSuite.ts"

/** A test with a server of its own. Real time: Redis has a clock of its own. */
const withServer = (
  title: string,
  body: (server: RedisServer) => Effect.Effect<void, unknown, Scope.Scope>
) => it.live(title, () => Effect.flatMap(redisServer, body))

const command = (server: RedisServer, name: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(server.redis), (context) => Context.get(context, Redis.Redis).send(name, ...args))
  )

const namesIn = (server: RedisServer) =>
  Effect.map(command(server, "KEYS", "*"), (names) => Array.isArray(names) ? names.map(String).toSorted() : [])

describe.skipIf(skipReason !== undefined)("RedisCache", () => {
  cacheSuite({
    name: "RedisCache",
    rows: "[S4-22] [S4-23] [S4-25]",
    make: ({ buckets, maxItemSize }) =>
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
  })

  withServer("[S4-22] names entries by prefix, bucket and key, escaped", (server) =>
    Effect.gen(function*() {
      const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
      yield* cache.set(CacheKey.makeUnsafe({ bucket: "b", key: "a b/\u00e9" }), { body: bytes(1) })
      yield* cache.set(CacheKey.makeUnsafe({ bucket: "b", key: "x", etag: "\"1\"" }), { body: bytes(1) })
      assert.deepStrictEqual(yield* namesIn(server), [
        "keelson:cache:b:a%20b%2F%C3%A9",
        "keelson:cache:b:x?etag=%221%22"
      ])
      const short = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute", prefix: "keelson:" })
      yield* short.set(CacheKey.makeUnsafe({ bucket: "b", key: "k" }), { body: bytes(1) })
      assert.include(yield* namesIn(server), "keelson:b:k")
    }))

  withServer("[S4-25] clears its own prefix only, and a bucket with its chunks", (server) =>
    Effect.gen(function*() {
      const options = { redis: server.redis, timeout: "1 minute" } as const
      const one = yield* RedisCache.make({ ...options, prefix: "one*[a]:" })
      const other = yield* RedisCache.make({ ...options, prefix: "one" })
      yield* command(server, "SET", "foreign", "1")
      yield* other.set(key("a"), { body: bytes(1) })
      for (const bucket of ["b", "c"]) yield* one.set(key("a", bucket), { body: bytes(2_500_000) })
      assert.lengthOf(yield* namesIn(server), 2 + 2 * 4)
      assert.strictEqual(yield* one.clear("b"), 1)
      assert.lengthOf(yield* namesIn(server), 2 + 4)
      assert.strictEqual(yield* one.clear(), 1)
      assert.deepStrictEqual(yield* namesIn(server), ["foreign", "oneb:a"])
    }))

  withServer(
    "[S4-25] its default prefix is no other store's: revocations, proofs, tokens and circuits stay",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
        const others = ["breaker", "dpop", "revoked", "token"].map((store) => `keelson:${store}:a`)
        for (const name of others) yield* command(server, "SET", name, "1")
        yield* cache.set(key("a", "revoked"), { body: bytes(1) })
        assert.deepInclude(yield* cache.stats, { items: 1 })
        assert.strictEqual(yield* command(server, "GET", "keelson:revoked:a"), "1")
        assert.strictEqual(yield* cache.clear("revoked"), 1)
        yield* cache.set(key("a"), { body: bytes(1) })
        assert.strictEqual(yield* cache.clear(), 1)
        assert.deepStrictEqual(yield* namesIn(server), others)
      })
  )

  withServer(
    "[S4-23] a large body is in chunks, read one at a time, and gone with its entry",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
        const body = new Uint8Array(3_000_000).map((_, index) => index % 251)
        yield* cache.set(key("a"), {
          body: Stream.fromIterable([body.subarray(0, 10), body.subarray(10, 2_500_000), body.subarray(2_500_000)]),
          length: body.length
        })
        assert.lengthOf(yield* namesIn(server), 4)
        const entry = yield* cache.get(key("a"))
        assert.strictEqual(entry?.body._tag, "Stream")
        assert.deepStrictEqual(Buffer.from(yield* CacheEntry.readBytes(entry!)).compare(body), 0)
        const stats = yield* cache.stats
        assert.deepInclude(stats, { items: 1 })
        assert.isAbove(stats.bytes, 4_000_000)
        // Replaced: the chunks of the old one are removed, and a reader of it is told.
        yield* cache.set(key("a"), { body: bytes(5) })
        assert.deepStrictEqual(yield* namesIn(server), ["keelson:cache:b:a"])
        assert.strictEqual(reasonOf(yield* Effect.exit(CacheEntry.readBytes(entry!))), "NotFound")
        yield* cache.set(key("a"), { body })
        const chunk = (yield* namesIn(server)).find((name) => name.startsWith("keelson:cache:#"))!
        yield* command(server, "SETRANGE", chunk, "10", "AAAA")
        const damaged = yield* cache.get(key("a"))
        assert.strictEqual(reasonOf(yield* Effect.exit(CacheEntry.readBytes(damaged!))), "Serialization")
        assert.isTrue(yield* cache.delete(key("a")))
        assert.deepStrictEqual(yield* namesIn(server), [])
      })
  )

  withServer(
    "[S4-23] refreshes the life of all chunks, and not an entry that was replaced meanwhile",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
        yield* cache.set(key("a"), { body: bytes(1_500_000), ttl: Duration.hours(1), metadata: { etag: "1" } })
        yield* cache.refresh(key("a"), { ttl: Duration.hours(5) })
        for (const name of yield* namesIn(server)) {
          assert.isAbove(Number(yield* command(server, "PTTL", name)), 4 * 3_600_000)
        }
        yield* cache.refresh(key("a"), { ttl: Duration.zero })
        for (const name of yield* namesIn(server)) assert.strictEqual(yield* command(server, "PTTL", name), -1)
      })
  )

  withServer(
    "[S4-23] a value that is not of this version, or of another key, is an error, and removed",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
        yield* cache.set(key("good"), { body: bytes(3) })
        const good = String(yield* command(server, "GET", "keelson:cache:b:good"))
        const values = [
          ["", "format"],
          ["not base64!", "format"],
          ["gA==", "format"],
          [Buffer.from([0x81, 0xa7, ...Buffer.from("version"), 2]).toString("base64"), "version"],
          [good, "key"],
          [good.slice(0, -8), "format"]
        ] as const
        for (const [value, problem] of values) {
          yield* command(server, "SET", "keelson:cache:b:a", value)
          const exit = yield* Effect.exit(cache.get(key("a")))
          assert.strictEqual(reasonOf(exit), "Serialization", value)
          assert.include(String(Exit.isFailure(exit) && exit.cause), `(${problem})`)
          assert.isUndefined(yield* cache.get(key("a")))
        }
        yield* command(server, "LPUSH", "keelson:cache:b:a", "1")
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.get(key("a")))), "Redis")
      })
  )

  withServer(
    "[S4-24] Redis that hangs costs the time limit, then nothing while the circuit is open, and comes back",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* RedisCache.make({
          redis: server.redis,
          timeout: "100 millis",
          resilience: { breaker: { failureThreshold: 2, openDuration: "1 hour" } }
        })
        while (Exit.isFailure(yield* Effect.exit(cache.set(key("a"), { body: bytes(3) })))) {
          yield* Effect.sleep("10 millis")
        }
        yield* server.freeze
        const failures = yield* Effect.forEach([1, 2, 3, 4], () => Effect.exit(cache.get(key("a"))))
        assert.deepStrictEqual(failures.map(reasonOf), ["Redis", "Redis", "Redis", "Redis"])
        yield* server.thaw
        // The circuit is open: Redis is not asked.
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.get(key("a")))), "Redis")
      })
  )

  withServer(
    "[S4-22] [S4-24] unreachable Redis is a typed error at once, and used when it is there",
    (server) =>
      Effect.gen(function*() {
        yield* server.kill
        const cache = yield* RedisCache.make({
          redis: server.redis,
          timeout: "1 minute",
          resilience: {}
        })
        for (
          const call of [
            cache.get(key("a")),
            cache.set(key("a"), { body: bytes(1) }),
            cache.delete(key("a")),
            cache.clear()
          ]
        ) {
          assert.strictEqual(reasonOf(yield* Effect.exit<unknown, unknown, never>(call)), "Redis")
        }
        yield* server.start
        while (Exit.isFailure(yield* Effect.exit(cache.set(key("a"), { body: bytes(2) })))) {
          yield* Effect.sleep("20 millis")
        }
        assert.strictEqual((yield* cache.get(key("a")))?.length, 2)
      })
  )

  withServer("[S4-24] Redis without memory is StorageFull, and keeps what it has", (server) =>
    Effect.gen(function*() {
      const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute", resilience: {} })
      yield* cache.set(key("a"), { body: bytes(10) })
      yield* command(server, "CONFIG", "SET", "maxmemory", "1")
      for (const body of [bytes(10), bytes(3_000_000)]) {
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("b"), { body }))), "StorageFull")
      }
      assert.strictEqual((yield* cache.get(key("a")))?.length, 10)
      yield* command(server, "CONFIG", "SET", "maxmemory", "0")
      assert.lengthOf(yield* namesIn(server), 1)
    }))
})
