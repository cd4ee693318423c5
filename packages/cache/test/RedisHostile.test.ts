import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, RedisCache } from "@keelson/cache"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Duration, Effect, Exit, Fiber, Layer, Result } from "effect"
import { Redis } from "effect/persistence"
import { readStored, writeStored } from "../src/internal/redis/stored.ts"
import { bytes, key, reasonOf } from "./CacheSuite.ts"

const command = (server: RedisServer, name: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(server.redis), (context) => Context.get(context, Redis.Redis).send(name, ...args))
  )

const namesIn = (server: RedisServer) =>
  Effect.map(command(server, "KEYS", "*"), (names) => Array.isArray(names) ? names.map(String).toSorted() : [])

const entryOf = (body: Uint8Array, expiresAt = 5000) =>
  writeStored({
    key: key("a"),
    metadata: { contentType: "text/plain", etag: "\"1\"", headers: { a: "1" } },
    length: body.length,
    hash: "0".repeat(64),
    createdAt: 1,
    expiresAt,
    staleUntil: expiresAt,
    body: { _tag: "Bytes", bytes: body }
  })

describe("RedisCache", () => {
  it.effect("[S4-23] Law C2: of 10,000 mutations of a value none is an entry, and nothing dies", () =>
    Effect.gen(function*() {
      const text = yield* entryOf(bytes(20))
      assert.isTrue(Result.isSuccess(yield* Effect.result(readStored(text, key("a")))))
      let seed = 7
      const next = () => seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=.\0"
      for (let count = 0; count < 10_000; count++) {
        const at = next() % text.length
        const changed = count % 3 === 0
          ? text.slice(0, at)
          : count % 3 === 1
          ? text.slice(0, at) + alphabet[next() % alphabet.length]! + text.slice(at + 1)
          : text.slice(0, at) + text.slice(next() % text.length)
        if (changed === text) continue
        const result = yield* Effect.result(readStored(changed, key("a")))
        // Bits of the last character of base64 may say nothing: the value is the same one.
        if (Result.isSuccess(result)) assert.deepStrictEqual(result.success, yield* readStored(text, key("a")), changed)
      }
    }))

  it.effect("[S4-23] a time that no date can have is not an entry", () =>
    Effect.gen(function*() {
      const text = yield* entryOf(bytes(20), 8_700_000_000_000_000)
      assert.strictEqual(reasonOf(yield* Effect.exit(readStored(text, key("a")))), "Serialization")
    }))
})

describe.skipIf(skipReason !== undefined)("RedisCache", () => {
  it.live("[S4-23] an entry of which Redis evicted a part is a miss, and removed", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
      yield* cache.set(key("a"), { body: bytes(2_500_000) })
      const chunk = (yield* namesIn(server)).find((name) => name.startsWith("keelson:cache:#"))!
      yield* command(server, "DEL", chunk)
      assert.isUndefined(yield* cache.get(key("a")))
      assert.deepStrictEqual(yield* namesIn(server), [])
      assert.deepInclude(yield* cache.stats, { hits: 0, misses: 1, items: 0 })
    }))

  it.live("[S4-23] [R33] a value with another body than it says is an error, and removed", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute" })
      const stored = {
        key: key("a"),
        metadata: {},
        hash: "0".repeat(64),
        createdAt: 1,
        expiresAt: undefined,
        staleUntil: undefined
      }
      const chunks = { _tag: "Chunks", generation: crypto.randomUUID(), hashes: ["0".repeat(64)] } as const
      for (
        const [length, body, problem] of [
          [5, { _tag: "Bytes", bytes: bytes(4) }, "length"],
          [4, { _tag: "Bytes", bytes: bytes(4) }, "hash"],
          [3_000_000, chunks, "length"]
        ] as const
      ) {
        yield* command(server, "SET", `keelson:cache:#${chunks.generation}:0`, "not base64!")
        yield* command(server, "SET", "keelson:cache:b:a", yield* writeStored({ ...stored, length, body }))
        const exit = yield* Effect.exit(cache.get(key("a")))
        assert.strictEqual(reasonOf(exit), "Serialization")
        assert.include(String(Exit.isFailure(exit) && exit.cause), `(${problem})`)
        assert.isUndefined(yield* cache.get(key("a")))
      }
      assert.lengthOf(yield* namesIn(server), 0)
      yield* command(server, "SET", `keelson:cache:#${chunks.generation}:0`, "not base64!")
      yield* command(server, "SET", "keelson:cache:b:a", yield* writeStored({ ...stored, length: 4, body: chunks }))
      const entry = yield* cache.get(key("a"))
      assert.strictEqual(reasonOf(yield* Effect.exit(CacheEntry.readBytes(entry!))), "Serialization")
    }))

  it.live("[S4-24] a full Redis does not open the circuit: lookups go on", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({
        redis: server.redis,
        timeout: "1 minute",
        resilience: { breaker: { failureThreshold: 3, openDuration: "1 hour" } }
      })
      yield* cache.set(key("a"), { body: bytes(10) })
      yield* command(server, "CONFIG", "SET", "maxmemory", "1")
      for (let count = 0; count < 6; count++) {
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("b"), { body: bytes(10) }))), "StorageFull")
      }
      assert.strictEqual((yield* cache.get(key("a")))?.length, 10)
    }))

  it.live("[S4-24] [R33] Redis that is killed during writes of large bodies leaves nothing that is not whole", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({ redis: server.redis, timeout: "1 minute", resilience: {} })
      for (let round = 0; round < 3; round++) {
        const writes = yield* Effect.forkChild(
          Effect.forEach(
            [1, 2, 3, 4, 5, 6],
            (value) => Effect.exit(cache.set(key("a"), { body: bytes(2_500_000, value), ttl: Duration.minutes(1) })),
            {
              concurrency: 3
            }
          )
        )
        yield* Effect.sleep(Duration.millis(20 * round))
        yield* server.kill
        yield* server.start
        while (Exit.isFailure(yield* Effect.exit(cache.get(key("a"))))) yield* Effect.sleep("20 millis")
        const entry = yield* cache.get(key("a"))
        if (entry !== undefined) {
          const read = yield* Effect.exit(CacheEntry.readBytes(entry))
          if (Exit.isSuccess(read)) {
            assert.deepStrictEqual([read.value.length, new Set(read.value).size], [2_500_000, 1])
          }
        }
        yield* Fiber.interrupt(writes)
      }
    }))
})
