import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
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
