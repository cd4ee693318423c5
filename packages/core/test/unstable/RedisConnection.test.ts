import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Logger } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { BreakerStore, Resilience } from "../../src/index.ts"
import { waitAtMost } from "../../src/unstable/Bounded.ts"
import { connectInBackground } from "../../src/unstable/RedisConnection.ts"

/** A connection whose every reply is `answer`, and how often it was made. */
const over = Effect.fnUntraced(function*(answer: Effect.Effect<unknown, Redis.RedisError>) {
  const made = { times: 0 }
  const layer = Layer.unwrap(Effect.sync(() => {
    made.times++
    return Layer.mock(Redis.Redis, {
      // oxlint-disable-next-line no-unsafe-type-assertion -- the type of a reply is the caller's
      send: <A>() => answer as Effect.Effect<A, Redis.RedisError>,
      eval: () => () => Effect.die("not asked here")
    })
  }))
  const connection = yield* connectInBackground(layer, "not connected")
  yield* TestClock.adjust(0)
  return { made, connection }
})

describe("connectInBackground", () => {
  it.effect("[R10] reconnects after five consecutive calls that failed or timed out", () =>
    Effect.gen(function*() {
      for (const answer of [Effect.fail(new Redis.RedisError({ cause: new Error("no") })), Effect.never]) {
        const { connection, made } = yield* over(answer)
        yield* TestClock.adjust("1 second")
        const call = Effect.gen(function*() {
          const waiting = yield* Effect.forkChild(waitAtMost(connection.send("PING"), Duration.millis(200)), {
            startImmediately: true
          })
          yield* TestClock.adjust(200)
          yield* Fiber.await(waiting)
          yield* TestClock.adjust(0)
        })
        yield* Effect.repeat(call, { times: 3 })
        assert.strictEqual(made.times, 1)
        yield* call
        assert.strictEqual(made.times, 2)
      }
    }))

  it.effect("[R10] reconnects at most once per second for any number of failed calls", () =>
    Effect.gen(function*() {
      const { connection, made } = yield* over(Effect.fail(new Redis.RedisError({ cause: new Error("LOADING") })))
      for (let call = 0; call < 1000; call++) {
        yield* Effect.exit(waitAtMost(connection.send("PING"), Duration.millis(200)))
        yield* TestClock.adjust(2)
      }
      assert.strictEqual(made.times, 2)
    }))

  it.effect("[R10] keeps the connection for any number of interrupted callers", () =>
    Effect.gen(function*() {
      const { connection, made } = yield* over(Effect.delay(Effect.succeed("PONG"), 100))
      const call = waitAtMost(connection.send("PING"), Duration.millis(200))
      for (let time = 0; time < 20; time++) {
        const waiting = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust(1)
        yield* Fiber.interrupt(waiting)
      }
      yield* TestClock.adjust(0)
      assert.strictEqual(made.times, 1)
    }))
})

/** A Redis that refuses every connection, with the times of the attempts in milliseconds. */
const refusing = Effect.fnUntraced(function*(message: string) {
  const attempts: Array<number> = []
  const error = new Redis.RedisError({ cause: new Error(message) })
  const layer = Layer.effect(
    Redis.Redis,
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      attempts.push(now)
      return Effect.fail(error)
    })
  )
  return { attempts, connection: yield* connectInBackground(layer, "not connected") }
})

const quiet = Effect.provide(Logger.layer([]))

describe("connectInBackground to a Redis that refuses connections", () => {
  it.effect.each(["connect ECONNREFUSED 127.0.0.1:6379", "WRONGPASS invalid username-password pair"])(
    "%s: calls fail with a typed error at once, and it connects again with exponential delays up to 5 seconds",
    (message) =>
      Effect.gen(function*() {
        const { attempts, connection } = yield* refusing(message)
        yield* TestClock.adjust("1 minute")
        const delays = attempts.slice(1).map((time, index) => time - attempts[index]!)
        assert.deepStrictEqual(delays.slice(0, 8), [100, 200, 400, 800, 1600, 3200, 5000, 5000])
        assert.strictEqual(Math.max(...delays), 5000)
        for (let call = 0; call < 3; call++) {
          assert.instanceOf(yield* Effect.flip(connection.send("PING")), Redis.RedisError)
        }
        assert.lengthOf(delays, attempts.length - 1)
      }).pipe(quiet)
  )

  it.effect("calls through a policy are retried with exponential delays, at most so often, and then rejected", () =>
    Effect.gen(function*() {
      const { connection } = yield* refusing("connect ECONNREFUSED")
      yield* TestClock.adjust("1 minute")
      const calls: Array<number> = []
      const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        calls.push(now)
        return connection.send("GET", "a")
      })
      const { execute } = yield* Resilience.make("redis", {
        retry: {
          maxAttempts: 4,
          strategy: "exponential",
          initialDelay: "100 millis",
          jitter: "none"
        },
        breaker: { failureThreshold: 1, openDuration: "1 hour" }
      })
      const waiting = yield* Effect.forkChild(Effect.exit(execute(call)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
      assert.deepStrictEqual(calls.slice(1).map((time, index) => time - calls[index]!), [100, 200, 400])
      const rejected = yield* Effect.flip(execute(call))
      assert.strictEqual(rejected._tag, "CircuitOpen")
      assert.lengthOf(calls, 4)
    }).pipe(Effect.provide(BreakerStore.layerMemory), quiet))
})

describe("connectInBackground and refused calls", () => {
  it.effect("keeps the connection if Redis refuses calls because of their key, and shows the session", () =>
    Effect.gen(function*() {
      const wrongType = new Redis.RedisError({ cause: new Error("WRONGTYPE Operation against a key") })
      const { connection, made } = yield* over(Effect.fail(wrongType))
      const session = connection.session()
      yield* TestClock.adjust("2 seconds")
      for (let call = 0; call < 20; call++) yield* Effect.exit(connection.send("GET", "a"))
      yield* TestClock.adjust(0)
      assert.strictEqual(made.times, 1)
      assert.isDefined(session)
      assert.strictEqual(connection.session(), session)
    }))
})
