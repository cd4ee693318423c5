/** Connections of a cache to Redis: how many, what waits for one, and what happens without one. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type CacheEntry, RedisCache } from "@keelson/cache"
import { errorOf } from "@keelson/testing/exits"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { bytes, key, reasonOf } from "./CacheSuite.ts"

const withServer = (
  title: string,
  body: (server: RedisServer) => Effect.Effect<void, unknown, Scope.Scope>
) => it.live(title, () => Effect.flatMap(redisServer, body))

const command = (server: RedisServer, name: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(server.redis), (context) => Context.get(context, Redis.Redis).send(name, ...args))
  )

/** The connections of the server, but for the one that counts them. */
const connections = (server: RedisServer) =>
  Effect.map(command(server, "CLIENT", "LIST"), (list) => String(list).trim().split("\n").length - 1)

/** A cache that is connected, with an entry. */
const connected = Effect.fnUntraced(function*<E>(options: RedisCache.Options<E>) {
  const cache = yield* RedisCache.make({ timeout: "1 minute", resilience: {}, ...options })
  while (Exit.isFailure(yield* Effect.exit(cache.set(key("a"), { body: bytes(3) })))) {
    yield* Effect.sleep("10 millis")
  }
  return cache
})

type Cache = Effect.Success<ReturnType<typeof RedisCache.make>>
const begin = (cache: Cache) => Effect.forkScoped(cache.get(key("a")), { startImmediately: true })
const lengthOf = (entry: CacheEntry.CacheEntry | undefined) => entry?.length

describe.skipIf(skipReason !== undefined)("RedisCache: connections", () => {
  withServer(
    "[S4-24] without a pool all commands share one connection, and none waits for another",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* connected({ redis: server.redis })
        yield* server.freeze
        const calls = yield* Effect.forEach(Array.from({ length: 50 }), () => begin(cache))
        yield* server.thaw
        assert.deepStrictEqual(new Set((yield* Fiber.joinAll(calls)).map(lengthOf)), new Set([3]))
        assert.strictEqual(yield* connections(server), 1)
      })
  )

  withServer(
    "[S4-24] with a pool each command has a connection; more wait in a queue, and too many are a typed error",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* connected({ redis: server.redis, poolSize: 2, maxQueued: 3 })
        yield* server.freeze
        const calls = yield* Effect.forEach([1, 2, 3, 4, 5], () => begin(cache))
        const error = errorOf(yield* Effect.exit(cache.get(key("a"))))
        assert.deepInclude(error, { code: "CACHE_REDIS_BUSY", reason: { _tag: "RedisBusy", operation: "get" } })
        yield* server.thaw
        assert.deepStrictEqual((yield* Fiber.joinAll(calls)).map(lengthOf), [3, 3, 3, 3, 3])
        // Two of the pool, and the one that the client itself has.
        assert.strictEqual(yield* connections(server), 3)
      })
  )

  withServer(
    "[S4-24] a command that waits for a connection waits no longer than the time limit",
    (server) =>
      Effect.gen(function*() {
        const impatient = yield* RedisCache.make({
          redis: server.redis,
          poolSize: 1,
          timeout: "50 millis",
          resilience: {}
        })
        yield* server.freeze
        const calls = yield* Effect.forEach([1, 2, 3], () => begin(impatient))
        const reasons = (yield* Effect.forEach(calls, Fiber.await)).map(reasonOf)
        assert.isTrue(reasons.every((reason) => reason === "Redis" || reason === "RedisBusy"), String(reasons))
        yield* server.thaw
      })
  )

  withServer(
    "[S4-24] connections that Redis closes leave the pool, and the next commands have new ones",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* connected({ redis: server.redis, poolSize: 3 })
        yield* Effect.forEach([1, 2, 3], () => cache.get(key("a")), { concurrency: 3 })
        for (let round = 0; round < 3; round++) {
          yield* Effect.ignore(command(server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"))
          while (Exit.isFailure(yield* Effect.exit(cache.get(key("a"))))) yield* Effect.sleep("10 millis")
          const entries = yield* Effect.forEach([1, 2, 3], () => cache.get(key("a")), { concurrency: 3 }).pipe(
            Effect.eventually
          )
          assert.deepStrictEqual(entries.map(lengthOf), [3, 3, 3])
        }
      })
  )

  withServer(
    "[S4-24] a command that hangs gives its connection up, so that the pool does not run dry",
    (server) =>
      Effect.gen(function*() {
        const cache = yield* connected({ redis: server.redis, poolSize: 2, timeout: "200 millis" })
        yield* server.freeze
        const hung = yield* Effect.forEach([1, 2, 3, 4], () => Effect.exit(cache.get(key("a"))), { concurrency: 2 })
        assert.isTrue(hung.every(Exit.isFailure))
        yield* server.thaw
        const entry = yield* Effect.eventually(cache.get(key("a")))
        assert.strictEqual(entry?.length, 3)
      })
  )

  withServer(
    "[S4-24] a wrong password is a typed error that does not contain it, and no crash; the right one is used",
    (server) =>
      Effect.gen(function*() {
        yield* command(server, "CONFIG", "SET", "requirepass", "hunter2hunter2")
        const layerOf = (password: string) => NodeRedis.layer({ socket: { path: server.path, tls: false }, password })
        for (const poolSize of [undefined, 2]) {
          const options = {
            timeout: "1 minute",
            resilience: {},
            ...(poolSize === undefined ? {} : { poolSize })
          } as const
          const refused = yield* RedisCache.make({ redis: layerOf("correct-horse"), ...options })
          const exit = yield* Effect.exit(refused.get(key("a")))
          assert.strictEqual(reasonOf(exit), "Redis")
          const error = errorOf(exit)
          const shown = `${String(error)} ${JSON.stringify(error)}`
          assert.notMatch(shown, /correct-horse|hunter2/)
          const cache = yield* connected({ redis: layerOf("hunter2hunter2"), ...options })
          assert.strictEqual((yield* cache.get(key("a")))?.length, 3)
        }
      })
  )

  withServer(
    "[S4-24] retries with growing delays up to their number, where the policy has them",
    (server) =>
      Effect.gen(function*() {
        yield* server.kill
        const cache = yield* RedisCache.make({
          redis: server.redis,
          poolSize: 1,
          resilience: {
            retry: { maxAttempts: 4, initialDelay: "1 millis", multiplier: 3, maxDelay: "5 millis", jitter: "none" }
          }
        })
        const error = errorOf(yield* Effect.exit(cache.get(key("a"))))
        assert.strictEqual(error.code, "CACHE_REDIS_FAILED")
        // After 1, 3 and 5 milliseconds.
        assert.match(String(error.cause), /Gave up after 4 attempts/)
      })
  )
})
