/** A store in Redis whose data or server is not as the breaker left it. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Duration, Effect, Layer, Logger, Metric, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { setTimeout } from "node:timers/promises"
import { Breaker, BreakerStore, Metrics } from "../src/index.ts"
import { redisReply } from "../src/internal/errors/redisReply.ts"
import { connectInBackground } from "../src/unstable/RedisConnection.ts"

const fallbacks = Effect.map(Metric.snapshot, (all) => {
  const found = all.find(({ id }) => id === "keelson_circuit_breaker_store_fallbacks_total")
  return found?.type === "Counter" ? Number(found.state.count) : 0
})

const logged = () => {
  const lines: Array<string> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]) }
}

const storeOf = (server: RedisServer, options?: Partial<BreakerStore.RedisOptions<Redis.RedisError>>) =>
  BreakerStore.layerRedis({ redis: server.redis, retryInterval: "0 millis", timeout: "10 seconds", ...options })

/** Waits until calls are answered by Redis. */
const connected = Effect.gen(function*() {
  const breaker = yield* Breaker.make("wait")
  for (let before = -1; (yield* fallbacks) !== before;) {
    before = yield* fallbacks
    yield* Effect.ignore(breaker.execute(Effect.void))
    if ((yield* fallbacks) === before) return
    yield* Effect.promise(() => setTimeout(25))
  }
})

const run = <A, E>(
  body: (redis: Redis.Redis["Service"], lines: ReadonlyArray<string>, server: RedisServer) => Effect.Effect<
    A,
    E,
    BreakerStore.BreakerStore | Scope.Scope
  >,
  options?: Partial<BreakerStore.RedisOptions<Redis.RedisError>>
) =>
  Effect.gen(function*() {
    const server = yield* redisServer
    const { layer, lines } = logged()
    const whole = Effect.gen(function*() {
      yield* connected
      return yield* body(yield* Redis.Redis, lines, server)
    })
    return yield* whole.pipe(
      Effect.provide(Layer.mergeAll(storeOf(server, options), server.redis)),
      Effect.provide([layer, Metrics.layerIsolated])
    )
  })

const key = "keelson:breaker:billing"
const open = (redis: Redis.Redis["Service"], ...fields: ReadonlyArray<string>) =>
  redis.send("HSET", key, "state", "Open", "generation", "1", "openings", "1", ...fields)

describe.skipIf(skipReason !== undefined)("BreakerStore in Redis, with foreign data", () => {
  for (const [what, openUntil] of [["inf", "inf"], ["1e300", "1e300"], ["a year from now", undefined]] as const) {
    it.live(`[K-28 G10] a circuit that is open until ${what} is held to maxOpenDuration, and then probed`, () =>
      run((redis, lines) =>
        Effect.gen(function*() {
          const [seconds] = yield* redis.send<ReadonlyArray<string>>("TIME")
          yield* open(redis, "openUntil", openUntil ?? String((Number(seconds) + 31_536_000) * 1000))
          const breaker = yield* Breaker.make("billing", { openDuration: "10 millis", maxOpenDuration: "50 millis" })
          const rejected = yield* Effect.flip(breaker.execute(Effect.void))
          assert.strictEqual(rejected._tag, "CircuitOpen")
          assert.strictEqual(Duration.toMillis(rejected.retryAfter), 50)
          yield* eventually(() => lines.some((line) => line.includes("shortened")))
          yield* Effect.promise(() => setTimeout(60))
          assert.strictEqual(yield* breaker.execute(Effect.succeed("paid")), "paid")
          assert.strictEqual(yield* breaker.state, "CLOSED")
          assert.lengthOf(lines.filter((line) => line.includes("shortened")), 1)
        })
      ))
  }

  it.live("[K-28 G10] a probe whose lease never ends is held to the lease", () =>
    run((redis) =>
      Effect.gen(function*() {
        yield* redis.send("HSET", key, "state", "HalfOpen", "generation", "1", "openings", "1", "leaseUntil", "inf")
        const breaker = yield* Breaker.make("billing")
        for (let call = 0; call < 100; call++) {
          const rejected = yield* Effect.flip(breaker.execute(Effect.void))
          assert.strictEqual(rejected.state, "HALF_OPEN")
        }
        const lease = yield* redis.send("HGET", key, "leaseUntil")
        const [seconds] = yield* redis.send<ReadonlyArray<string>>("TIME")
        assert.isBelow(Number(lease) - Number(seconds) * 1000, 5_000)
      })
    ))

  it.live("[K-28 G10] a circuit that is open as its policy says is not touched", () =>
    run((redis, lines) =>
      Effect.gen(function*() {
        const breaker = yield* Breaker.make("billing", { failureThreshold: 1, openDuration: "1 hour" })
        yield* Effect.ignore(breaker.execute(Effect.fail("down")))
        const before = yield* redis.send("HGET", key, "openUntil")
        for (let call = 0; call < 5; call++) yield* Effect.ignore(breaker.execute(Effect.void))
        assert.strictEqual(yield* redis.send("HGET", key, "openUntil"), before)
        assert.deepStrictEqual(lines.filter((line) => line.includes("shortened")), [])
      })
    ))

  it.live("[K-28 D8] [K-28 G10] a key of another type is one warning, which names the circuit and the answer", () =>
    run((redis, lines) =>
      Effect.gen(function*() {
        yield* redis.send("SET", key, "x")
        const breaker = yield* Breaker.make("billing", { failureThreshold: 2, openDuration: "1 hour" })
        const refusals = () => lines.filter((line) => line.includes("refused"))
        for (let call = 0; call < 20; call++) yield* Effect.ignore(breaker.execute(Effect.fail("down")))
        assert.strictEqual(yield* breaker.state, "OPEN")
        assert.deepStrictEqual(refusals(), [
          "Breaker store refused to admit a call of circuit billing (WRONGTYPE); using an in-process circuit for it"
        ])
        yield* redis.send("DEL", key)
        yield* breaker.execute(Effect.void)
        yield* redis.send("SET", key, "x")
        yield* Effect.ignore(breaker.execute(Effect.void))
        assert.lengthOf(refusals(), 2)
      })
    ))

  it.live("[K-28 D8] a Redis that became a replica is connected to anew, with one warning", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { layer, lines } = logged()
      let connections = 0
      const counted = Layer.effectDiscard(Effect.sync(() => connections++)).pipe(Layer.provideMerge(server.redis))
      const body = Effect.gen(function*() {
        yield* connected
        const redis = yield* Redis.Redis
        yield* redis.send("REPLICAOF", "127.0.0.1", "1")
        const breaker = yield* Breaker.make("billing")
        const before = connections
        for (let call = 0; call < 2_000; call++) {
          if (connections > before) break
          yield* Effect.ignore(breaker.execute(Effect.void))
          yield* Effect.promise(() => setTimeout(5))
        }
        assert.isAbove(connections, before)
        assert.lengthOf(lines.filter((line) => line.includes("timed out or failed")), 1)
      })
      yield* body.pipe(
        Effect.provide(Layer.mergeAll(storeOf(server, { redis: counted }), server.redis)),
        Effect.provide([layer, Metrics.layerIsolated])
      )
    }))

  it.live("[D8] an outage has one warning, which names the answer, for any number of new connections; the next has another", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { layer, lines } = logged()
      let connections = 0
      const counted = Layer.effectDiscard(Effect.sync(() => connections++)).pipe(Layer.provideMerge(server.redis))
      const body = Effect.gen(function*() {
        yield* connected
        const redis = yield* Redis.Redis
        const breaker = yield* Breaker.make("billing")
        const warnings = () => lines.filter((line) => line.includes("Breaker store"))
        const callUntil = Effect.fnUntraced(function*(isDone: Effect.Effect<boolean>) {
          while (!(yield* isDone)) {
            yield* Effect.ignore(breaker.execute(Effect.void))
            yield* Effect.promise(() => setTimeout(5))
          }
        })
        const expected = "Breaker store timed out or failed (READONLY); using in-process circuits"
        yield* redis.send("REPLICAOF", "127.0.0.1", "1")
        yield* callUntil(Effect.sync(() => connections >= 4))
        assert.deepStrictEqual(warnings(), [expected])
        yield* redis.send("REPLICAOF", "NO", "ONE")
        let before = -1
        yield* callUntil(Effect.map(fallbacks, (now) => now === before || (before = now, false)))
        yield* redis.send("REPLICAOF", "127.0.0.1", "1")
        yield* callUntil(Effect.sync(() => warnings().length > 1))
        assert.deepStrictEqual(warnings(), [expected, expected])
      })
      yield* body.pipe(
        Effect.provide(Layer.mergeAll(storeOf(server, { redis: counted }), server.redis)),
        Effect.provide([layer, Metrics.layerIsolated])
      )
    }))

  it.live("ends a call to a Redis that hangs at the store's limit, also where node-redis has a longer one", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const patient = NodeRedis.layer({ socket: { path: server.path, tls: false, connectTimeout: 60_000 } })
      const body = Effect.gen(function*() {
        yield* connected
        const breaker = yield* Breaker.make("billing", { failureThreshold: 1, openDuration: "1 hour" })
        yield* server.freeze
        yield* Effect.ignore(breaker.execute(Effect.fail("down")))
        assert.strictEqual(yield* breaker.state, "OPEN")
      })
      yield* body.pipe(
        Effect.provide(storeOf(server, { redis: patient, timeout: "200 millis", retryInterval: "1 hour" })),
        Effect.provide([logged().layer, Metrics.layerIsolated])
      )
    }))
})

/** A connection each of whose replies is the error of a script in the words of Redis up to 6.2. */
const answering = Effect.fnUntraced(function*(message: string) {
  const made = { times: 0 }
  const layer = Layer.unwrap(Effect.sync(() => {
    made.times++
    return Layer.mock(Redis.Redis, {
      send: () => Effect.fail(new Redis.RedisError({ cause: new Error(message) })),
      eval: () => () => Effect.die("not asked here")
    })
  }))
  const connection = yield* connectInBackground(layer, "not connected")
  yield* TestClock.adjust("2 seconds")
  for (let call = 0; call < 5; call++) yield* Effect.ignore(connection.send("EVALSHA"))
  yield* TestClock.adjust(0)
  return made.times
})

describe("connectInBackground and Redis up to 6.2", () => {
  const within = "ERR Error running script (call to f_9aa3): @user_script:5: @user_script: 5: "
  it.effect("[K-28 D8] reconnects where a script says that the server is a replica", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* answering(`${within}-READONLY You can't write against a read only replica.`), 2)
      assert.strictEqual(yield* answering("READONLY You can't write against a read only replica."), 2)
    }))

  it.effect("[K-28 D8] keeps the connection where a script or command was refused for its key or arguments", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* answering(`${within}WRONGTYPE Operation against a key of another type`), 1)
      assert.strictEqual(yield* answering("ERR Error running script (call to f_9aa3): @user_script:5: attempt"), 1)
      assert.strictEqual(yield* answering("WRONGTYPE Operation against a key of another type"), 1)
      assert.strictEqual(yield* answering("NOPERM this user has no permissions to run the 'evalsha' command"), 1)
    }))

  it.effect("[D8] warns once while Redis cannot be connected to", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const redis = Layer.effect(Redis.Redis, Effect.fail(new Redis.RedisError({ cause: new Error("ECONNREFUSED") })))
      const tries = Effect.andThen(connectInBackground(redis, "not connected"), TestClock.adjust("1 hour"))
      yield* Effect.provide(tries, layer)
      assert.deepStrictEqual(lines, ["not connected"])
    }))

  it.effect("[D8] reads the answer in the words of every version", () =>
    Effect.sync(() => {
      const readings = [
        // Redis 7 and Valkey.
        ["READONLY You can't write against a read only replica. script: 5cbd2e, on @user_script:20.", "READONLY"],
        [
          "WRONGTYPE Operation against a key holding the wrong kind of value script: 5cbd2e, on @user_script:9.",
          "WRONGTYPE"
        ],
        ["MOVED 3999 127.0.0.1:6381", "MOVED"],
        // Redis 2.6 to 6.2, and KeyDB.
        [`${within}-READONLY You can't write against a read only slave.`, "READONLY"],
        [`${within}WRONGTYPE Operation against a key holding the wrong kind of value`, "WRONGTYPE"],
        ["ERR Error running script (call to f_9aa3): @user_script:9: WRONGTYPE Operation against a key", "WRONGTYPE"],
        ["ERR Error running script (call to f_9aa3): @user_script:9: attempt to index a nil value", "ERR"],
        ["ERR unknown command `EVALSHA`", "ERR"],
        ["Socket closed unexpectedly", undefined]
      ] as const
      for (const [message, reply] of readings) {
        assert.strictEqual(redisReply({ cause: new Error(message) }), reply)
      }
    }))

  it.effect("gives up a connection attempt that hangs, and tries again", () =>
    Effect.gen(function*() {
      let tries = 0
      const layer = Layer.effect(
        Redis.Redis,
        Effect.suspend(() => {
          tries++
          return Effect.never
        })
      )
      yield* connectInBackground(layer, "not connected")
      yield* TestClock.adjust("1 minute")
      assert.isAbove(tries, 2)
    }).pipe(Effect.provide(logged().layer)))
})
