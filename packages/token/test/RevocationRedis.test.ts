import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it as test } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { makeRedisServer, type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Clock, ConfigProvider, Context, DateTime, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { Redis } from "effect/persistence"
import { inspect } from "node:util"
import { Revocation } from "../src/index.ts"
import { issuer, type List, listOf, revocationSuite, revoke, token, unavailable } from "./RevocationSuite.ts"

/** Silences the log of outages. */
const it = {
  live: <A, E>(title: string, body: () => Effect.Effect<A, E, Scope.Scope>) =>
    test.live(title, () => Effect.provide(body(), Logger.layer([])))
}

const patient = { timeout: "10 seconds" } as const

type Options = Omit<Revocation.RedisOptions<never>, "redis">

/** A list on a Redis server. */
const over = ({ redis }: Pick<RedisServer, "redis">, options: Options = patient) =>
  listOf(Revocation.layerRedis({ redis, ...options }))

/** A connection for other commands. */
const sender = ({ redis }: RedisServer) =>
  Effect.map(Layer.build(Layer.fresh(redis)), (context) => Context.get(context, Redis.Redis))

const isRevoked = (list: List, jti: string) => list.isRevoked(token({ jti }))

/** The only key in Redis. */
const onlyKey = (redis: Redis.Redis["Service"]) =>
  Effect.map(redis.send<ReadonlyArray<string>>("KEYS", "*"), (keys) => {
    assert.lengthOf(keys, 1)
    return keys[0] ?? ""
  })

/** Waits until a call succeeds. */
const used = (list: List) =>
  Effect.eventually(Effect.tapError(isRevoked(list, "nothing"), () => Effect.sleep("10 millis")))

describe.skipIf(skipReason !== undefined)(
  `Revocation.layerRedis${skipReason === undefined ? "" : ` (${skipReason})`}`,
  () => {
    // One process revokes and another one checks, so that the local list has no entry.
    revocationSuite(
      Effect.gen(function*() {
        const server = yield* redisServer
        const [one, other] = [yield* over(server), yield* over(server)]
        return { revoke: one.revoke, isRevoked: other.isRevoked }
      }),
      30_000
    )

    it.live("[R21] keys are short whatever the ids are, name nothing, and begin with the prefix", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const list = yield* over(server, { ...patient, prefix: "app:" })
        yield* revoke(list, { issuer: `https://${"x".repeat(10_000)}.example`, sub: "SecretSubject".repeat(1_000) })
        const key = yield* onlyKey(redis)
        assert.match(key, /^app:\{[\w-]{43}\}:sub:[\w-]{43}$/)
        assert.match(yield* redis.send<string>("GET", key), /^\d{10}$/)
        assert.isFalse(yield* isRevoked(yield* over(server), "SecretSubject"))
      }))

    it.live("[R23] Redis keeps an entry five minutes past the expiry of the tokens meant, and none is shortened", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const list = yield* over(server)
        const left = Effect.flatMap(onlyKey(redis), (key) => redis.send<number>("PTTL", key))
        const between = (least: number) =>
          Effect.map(left, (life) => assert.isTrue(life > least - 60_000 && life <= least, String(life)))
        yield* revoke(list, { issuer, jti: "a" }, 60_000)
        yield* between(360_000)
        yield* revoke(list, { issuer, jti: "a" }, 3_600_000)
        yield* between(3_900_000)
        yield* revoke(list, { issuer, jti: "a" }, 0)
        yield* between(3_900_000)
        yield* list.revoke({ issuer, jti: "a" }, DateTime.makeUnsafe(8_640_000_000_000_000))
        assert.isAbove(yield* left, 8_000_000_000_000_000)
      }))

    it.live("[R23] an entry that somebody made to stay for good is not ended by a later revocation", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const list = yield* over(server)
        const redis = yield* sender(server)
        yield* revoke(list, { issuer, sub: "a" })
        const key = yield* onlyKey(redis)
        yield* redis.send("SET", key, "1")
        yield* revoke(list, { issuer, sub: "a" })
        assert.strictEqual(yield* redis.send("PTTL", key), -1)
        assert.isAbove(Number(yield* redis.send<string>("GET", key)), 1)
      }))

    it.live("[K-04] a check is one call, and none where a token has no name that could be revoked", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const list = yield* over(server)
        yield* revoke(yield* over(server), { issuer, sid: "a" })
        yield* used(list)
        yield* redis.send("CONFIG", "RESETSTAT")
        const ids = { jti: "x", sid: "y", sub: "z", iat: 1 }
        for (let call = 0; call < 10; call++) assert.isFalse(yield* list.isRevoked(token(ids)))
        assert.isTrue(yield* list.isRevoked(token({ ...ids, sid: "a" })))
        assert.isFalse(yield* list.isRevoked(token({ iat: 1 })))
        const stats = yield* redis.send<string>("INFO", "commandstats")
        assert.include(stats, "cmdstat_eval:calls=11,")
      }))

    it.live("[R10] what is there and can't be read refuses the tokens that it may mean, and no others", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const strict = yield* over(server)
        const lenient = yield* over(server, { ...patient, onStoreFailure: "local" })
        yield* revoke(yield* over(server), { issuer, sub: "a" })
        const key = yield* onlyKey(redis)
        const wrong = ["", "x", "-1", "1.5", "1e3", " 1", "1\n", "9".repeat(13), "9".repeat(10_000), "\u0661"]
        const puts = [
          ...wrong.map((value) => redis.send("SET", key, value)),
          ...[["LPUSH", "x"], ["SADD", "x"], ["HSET", "x", "y"]].map(([command = "", ...args]) =>
            Effect.andThen(redis.send("DEL", key), redis.send(command, key, ...args))
          )
        ]
        for (const put of puts) {
          yield* put
          for (const list of [strict, lenient]) {
            assert.strictEqual(yield* unavailable(list.isRevoked(token({ sub: "a", iat: 1 }))), "store")
            assert.strictEqual(yield* unavailable(list.isRevoked(token({ jti: "b", sub: "a" }))), "store")
            assert.isFalse(yield* list.isRevoked(token({ jti: "a", sub: "b", iat: 1 })))
          }
          assert.strictEqual(yield* unavailable(revoke(yield* over(server), { issuer, sub: "a" })), "store")
        }
        yield* redis.send("DEL", key)
        assert.isFalse(yield* strict.isRevoked(token({ sub: "a", iat: 1 })))
      }))

    it.live("[R10] a token is refused as revoked where one entry means it and another can't be read", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const writer = yield* over(server)
        yield* revoke(writer, { issuer, jti: "a" })
        yield* redis.send("SET", yield* onlyKey(redis), "x")
        yield* revoke(writer, { issuer, sid: "b" })
        assert.isTrue(yield* (yield* over(server)).isRevoked(token({ jti: "a", sid: "b" })))
      }))

    it.live("[R10] reads no more of a value than an entry has, whatever somebody else put there", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        yield* revoke(yield* over(server), { issuer, jti: "a" })
        yield* redis.send("SET", yield* onlyKey(redis), "9".repeat(8_000_000))
        yield* redis.send("CONFIG", "RESETSTAT")
        assert.strictEqual(yield* unavailable(isRevoked(yield* over(server), "a")), "store")
        const stats = yield* redis.send<string>("INFO", "stats")
        assert.isBelow(Number(/total_net_output_bytes:(\d+)/.exec(stats)?.[1]), 1_000_000)
      }))

    it.live("[R10] [T6] a frozen Redis fails every check within the limit, and works again once it is thawed", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const [list, other] = [yield* over(server, {}), yield* over(server)]
        yield* used(list)
        yield* server.freeze
        const checks = Effect.forEach(["a", "b", "c"], (jti) => unavailable(isRevoked(list, jti)))
        assert.deepStrictEqual(yield* Effect.ensuring(checks, server.thaw), ["store", "store", "store"])
        yield* used(list)
        yield* revoke(other, { issuer, jti: "a" })
        assert.isTrue(yield* Effect.eventually(isRevoked(list, "a")))
      }))

    it.live("[R10] what could not be written fails its revocation, is known here at once, and can be tried again", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const [list, other] = [yield* over(server, {}), yield* over(server)]
        yield* used(list)
        yield* server.freeze
        yield* Effect.ensuring(
          Effect.gen(function*() {
            const writing = yield* Effect.forkChild(unavailable(revoke(list, { issuer, jti: "a" })), {
              startImmediately: true
            })
            assert.isTrue(yield* isRevoked(list, "a"), "before Redis has answered")
            assert.strictEqual(yield* Fiber.join(writing), "store")
            assert.isTrue(yield* isRevoked(list, "a"))
          }),
          server.thaw
        )
        yield* used(list)
        yield* Effect.eventually(revoke(list, { issuer, jti: "a" }))
        assert.isTrue(yield* isRevoked(other, "a"))
      }))

    it.live("[R10] a revocation that is interrupted is known here, and the list goes on", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const list = yield* over(server)
        yield* used(list)
        yield* server.freeze
        const calls = [Effect.asVoid(revoke(list, { issuer, jti: "a" })), Effect.asVoid(isRevoked(list, "b"))]
        const fibers = yield* Effect.forEach(calls, (call) => Effect.forkChild(call, { startImmediately: true }))
        yield* Fiber.interruptAll(fibers)
        assert.isTrue(yield* isRevoked(list, "a"))
        yield* server.thaw
        assert.isFalse(yield* isRevoked(list, "b"))
      }))

    it.live("[R10] a Redis that was killed fails checks, and is used again; what was revoked here stays so though it is empty", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const [list, other] = [yield* over(server, {}), yield* over(server, {})]
        yield* used(list)
        yield* used(other)
        yield* Effect.eventually(revoke(list, { issuer, jti: "a" }))
        yield* server.kill
        assert.strictEqual(yield* unavailable(isRevoked(other, "a")), "store")
        assert.isTrue(yield* isRevoked(list, "a"))
        yield* server.start
        yield* used(list)
        yield* used(other)
        assert.isTrue(yield* isRevoked(list, "a"))
        assert.isFalse(yield* Effect.eventually(isRevoked(other, "a")), "the server kept nothing")
      }))

    it.live("[R10] a Redis that is slower than the limit fails a check, and one that is not does not", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const [list, slowly] = [yield* over(server, {}), yield* over(server)]
        yield* revoke(slowly, { issuer, jti: "a" })
        yield* used(list)
        yield* server.freeze
        const waiting = yield* Effect.forkChild(Effect.result(isRevoked(slowly, "b")), { startImmediately: true })
        const late = yield* Effect.ensuring(Effect.result(isRevoked(list, "a")), server.thaw)
        const answered = yield* Fiber.join(waiting)
        assert.strictEqual(late._tag, "Failure")
        assert.deepInclude(answered, { _tag: "Success", success: false })
        yield* used(list)
        assert.isTrue(yield* Effect.eventually(isRevoked(list, "a")))
      }))

    it.live("[R10] a Redis that refuses the command fails closed", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = yield* sender(server)
        const list = yield* over(server)
        yield* redis.send("ACL", "SETUSER", "default", "-eval")
        assert.strictEqual(yield* unavailable(isRevoked(list, "a")), "store")
        assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "a" })), "store")
      }))

    it.live("[R10] with onStoreFailure local an outage leaves what was revoked here, and what is written still fails", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const list = yield* over(server, { onStoreFailure: "local" })
        const other = yield* over(server)
        yield* revoke(other, { issuer, jti: "elsewhere" })
        yield* used(list)
        // What Redis does not tell in time counts as not revoked: that it does is waited for.
        const isKnown = Effect.filterOrFail(isRevoked(list, "elsewhere"), (revoked) => revoked)
        assert.isTrue(yield* Effect.eventually(Effect.tapError(isKnown, () => Effect.sleep("10 millis"))))
        yield* server.kill
        assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "here" })), "store")
        assert.isTrue(yield* isRevoked(list, "here"))
        assert.isFalse(yield* isRevoked(list, "elsewhere"))
      }))

    it.live("[R10] what this process has no room for is in Redis", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const list = yield* over(server, { maxEntries: 1 })
        yield* used(list)
        for (const jti of ["a", "b"]) yield* Effect.eventually(revoke(list, { issuer, jti }))
        for (const jti of ["a", "b"]) assert.isTrue(yield* Effect.eventually(isRevoked(list, jti)))
        yield* server.kill
        assert.isTrue(yield* isRevoked(list, "a"))
        assert.strictEqual(yield* unavailable(isRevoked(list, "b")), "store")
      }))

    it.live("[R10] [R28] is no error where Redis is not there at start, and is used once it is", () =>
      Effect.gen(function*() {
        const server = yield* makeRedisServer
        const list = yield* over(server, {})
        assert.strictEqual(yield* unavailable(isRevoked(list, "a")), "store")
        yield* server.start
        yield* used(list)
        yield* Effect.eventually(revoke(list, { issuer, jti: "a" }))
      }))

    it.live("[R28] makes its connection anew where the client has given it up, and a frozen Redis does not hold up the end", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = NodeRedis.layer({ socket: { path: server.path, tls: false, reconnectStrategy: false } })
        const life = Effect.scoped(Effect.gen(function*() {
          const list = yield* over({ redis }, {})
          yield* used(list)
          yield* server.kill
          assert.strictEqual(yield* unavailable(isRevoked(list, "a")), "store")
          yield* server.start
          yield* used(list)
          yield* server.freeze
          assert.strictEqual(yield* unavailable(isRevoked(list, "a")), "store")
        }))
        yield* Effect.ensuring(life, server.thaw)
      }))

    it.live("[R28] a check that is waiting when the scope closes fails with the typed error within the limit", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const scope = yield* Scope.make()
        const list = yield* Scope.provide(over(server, {}), scope)
        yield* used(list)
        yield* server.freeze
        yield* Effect.ensuring(
          Effect.gen(function*() {
            const waiting = yield* Effect.forkChild(unavailable(isRevoked(list, "a")), { startImmediately: true })
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(yield* Fiber.join(waiting), "store")
            assert.strictEqual(yield* unavailable(isRevoked(list, "a")), "store")
            assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "a" })), "store")
          }),
          server.thaw
        )
      }))

    it.live("[R21] no log, metric or error has a token's names in it; failures are counted, and logged once a minute", () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => void lines.push(inspect(message)))
        const secret = token({
          iss: "https://SecretIssuer.example",
          jti: "SecretId",
          sid: "SecretSession",
          sub: "SecretSub"
        })
        const failures = Effect.map(
          PrometheusEndpoint.format,
          (text) =>
            ["check", "revoke"].map((operation) =>
              Number(text.split(`revocation_store_failures_total{operation="${operation}"} `)[1]?.split("\n")[0])
            )
        )
        const server = yield* redisServer
        const errors = yield* Effect.gen(function*() {
          const list = yield* listOf(Revocation.layerRedis({ redis: server.redis }))
          yield* used(list)
          const before = yield* failures
          yield* server.kill
          const until = DateTime.makeUnsafe((yield* Clock.currentTimeMillis) + 60_000)
          const checks = Effect.forEach(["a", "b", "c"], () => Effect.flip(list.isRevoked(secret)))
          const all = [
            ...yield* checks,
            yield* Effect.flip(list.revoke({ issuer: secret.iss, sub: "SecretSub" }, until))
          ]
          const after = yield* failures
          assert.deepStrictEqual(after.map((count, place) => count - (before[place] ?? 0)), [3, 1])
          return all
        }).pipe(Effect.provide(Logger.layer([logger])))
        const text = yield* PrometheusEndpoint.format
        assert.match(text, /revocation_entries\{store="redis"\} 1$/m)
        assert.lengthOf(lines.filter((line) => line.includes("Redis revocation list unavailable")), 1)
        assert.notMatch(inspect([lines, errors, text, errors.map((error) => error.stack)], { depth: 10 }), /Secret/)
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.live("options come from the environment too, and wrong ones are refused", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const config = (env: Record<string, string>) =>
          Effect.provideService(
            listOf(Revocation.layerRedisConfig(["deny"], server.redis)),
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromEnv({ env })
          )
        const list = yield* config({ DENY_TIMEOUT: "10 seconds", DENY_PREFIX: "env:", DENY_ON_STORE_FAILURE: "local" })
        yield* revoke(list, { issuer, jti: "a" })
        assert.match(yield* onlyKey(yield* sender(server)), /^env:\{/)
        for (
          const env of [{ DENY_TIMEOUT: "11 seconds" }, { DENY_PREFIX: "a{b" }, { DENY_ON_STORE_FAILURE: "allow" }]
        ) {
          assert.strictEqual((yield* Effect.flip(config(env))).code, "INVALID_CONFIG")
        }
      }))
  }
)
