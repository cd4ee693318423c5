import { assert, describe, it } from "@effect/vitest"
import { RedisCache } from "@keelson/cache"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { Redis } from "effect/persistence"
import { bytes, key, reasonOf } from "./CacheSuite.ts"

const command = (server: RedisServer, name: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(server.redis), (context) => Context.get(context, Redis.Redis).send(name, ...args))
  )

const namesIn = (server: RedisServer) =>
  Effect.map(command(server, "KEYS", "*"), (names) => Array.isArray(names) ? names.map(String).toSorted() : [])

const livesIn = (server: RedisServer) =>
  Effect.flatMap(
    namesIn(server),
    Effect.forEach((name) => Effect.map(command(server, "PTTL", name), (left) => Number(left)))
  )

/** The connection of a server, with other replies to some commands. */
const changed = (
  { redis }: RedisServer,
  change: (
    send: Redis.Redis["Service"]["send"],
    name: string,
    args: ReadonlyArray<string>
  ) => ReturnType<Redis.Redis["Service"]["send"]>
) =>
  Layer.effect(
    Redis.Redis,
    Effect.map(Redis.Redis, (own) =>
      Redis.Redis.of({
        ...own,
        // oxlint-disable-next-line no-unsafe-type-assertion -- the type of a reply is what its caller says
        send: (name, ...args) => change(own.send.bind(own), name, args) as never
      }))
  ).pipe(Layer.provide(redis))

const large = 2_500_000
const ever = { ttl: Duration.zero }
const options = { timeout: "1 minute", maxItemSize: "10 MiB", resilience: {} } as const

describe.skipIf(skipReason !== undefined)("What is left in Redis", () => {
  it.live("[S4-23] chunks whose entry is not written yet end within an hour, although the entry never does", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({ ...options, redis: server.redis })
      const last = yield* Deferred.make<Uint8Array>()
      const body = Stream.concat(Stream.make(bytes(large)), Stream.fromEffect(Deferred.await(last)))
      const write = yield* Effect.forkChild(cache.set(key("a"), { body, ...ever }))
      while ((yield* namesIn(server)).length < 2) yield* Effect.yieldNow
      // A process that is killed now leaves these.
      for (const left of yield* livesIn(server)) {
        assert.isAbove(left, 0)
        assert.isAtMost(left, 3_600_000)
      }
      yield* Deferred.succeed(last, bytes(10))
      yield* Fiber.join(write)
      assert.deepStrictEqual(yield* livesIn(server), [-1, -1, -1, -1])
    }))

  it.live("[S4-23] [R33] a body is not stored if a part of it is gone when it ends, and the old one stays", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const cache = yield* RedisCache.make({ ...options, redis: server.redis })
      yield* cache.set(key("a"), { body: bytes(3), ...ever })
      const removed = Effect.gen(function*() {
        const names = yield* namesIn(server)
        yield* command(server, "DEL", ...names.filter((name) => name.includes("#")))
        return bytes(10)
      })
      const body = Stream.concat(Stream.make(bytes(large)), Stream.fromEffect(Effect.orDie(removed)))
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body, ...ever }))), "Redis")
      assert.deepStrictEqual(yield* namesIn(server), ["keelson:cache:b:a"])
      assert.strictEqual((yield* cache.get(key("a")))?.length, 3)
    }))

  it.live("[S4-25] the chunks of an entry go with it, also if the process is killed right after that", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      // Nothing that comes after the first command about an entry reaches Redis.
      const redis = changed(
        server,
        (send, name, args) =>
          name === "UNLINK" ? Effect.fail(new Redis.RedisError({ cause: "killed" })) : send(name, ...args)
      )
      const cache = yield* RedisCache.make({ ...options, redis })
      const store = cache.set(key("a"), { body: bytes(large), ...ever })
      yield* store
      yield* cache.set(key("a"), { body: bytes(3), ...ever })
      assert.deepStrictEqual(yield* namesIn(server), ["keelson:cache:b:a"])
      yield* store
      yield* store
      assert.lengthOf(yield* namesIn(server), 4)
      assert.isTrue(yield* cache.delete(key("a")))
      assert.deepStrictEqual(yield* namesIn(server), [])
      yield* store
      assert.strictEqual(yield* cache.clear("b"), 1)
      assert.deepStrictEqual(yield* namesIn(server), [])
    }))

  it.live("[S4-25] counts each entry once, although SCAN returns names twice", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      // Twice in a batch, and again in a second batch.
      const redis = changed(server, (send, name, [cursor = "", ...rest]) =>
        name === "SCAN"
          ? Effect.map(
            send<readonly [string, ReadonlyArray<string>]>(name, "0", ...rest),
            ([, names]) => cursor === "0" ? ["7", [...names, ...names]] : ["0", names]
          )
          : send(name, cursor, ...rest))
      const cache = yield* RedisCache.make({ ...options, redis })
      for (const name of ["a", "b", "c"]) yield* cache.set(key(name, name === "c" ? "other" : "b"), { body: bytes(10) })
      const { buckets, bytes: held, items } = yield* cache.stats
      const lengths = yield* Effect.forEach(yield* namesIn(server), (name) => command(server, "STRLEN", name))
      assert.strictEqual(items, 3)
      assert.strictEqual(buckets["b"]?.items, 2)
      assert.strictEqual(held, lengths.map(Number).reduce((a, b) => a + b, 0))
      assert.strictEqual(yield* cache.clear("b"), 2)
      assert.strictEqual(yield* cache.clear(), 1)
    }))
})
