import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { bounded } from "../src/Bounded.ts"
import { redisServer, skipReason } from "./redisServer.ts"
import { errorOf } from "./support.ts"

const second = Duration.seconds(1)

/** Keeps this thread busy, as a collection of garbage does. */
const stall = (millis: number) =>
  Effect.sync(() => {
    const end = process.hrtime.bigint() + BigInt(millis) * 1_000_000n
    while (process.hrtime.bigint() < end);
  })

describe("bounded", () => {
  it.effect("gives what the call gives, its error, and none where it has not ended by the limit", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* bounded(Effect.succeed(1), second), Option.some(1))
      assert.strictEqual(errorOf(yield* Effect.exit(bounded(Effect.fail("no"), second))), "no")
      const waiting = yield* Effect.forkChild(bounded(Effect.never, second), { startImmediately: true })
      yield* TestClock.adjust(999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
    }))

  it.effect("tells a call to end that nobody waits for, and does not wait until it has", () =>
    Effect.gen(function*() {
      let ended = 0
      const hanging = Effect.ensuring(Effect.never, Effect.andThen(Effect.sync(() => ended++), Effect.never))
      const waiting = yield* Effect.forkChild(bounded(hanging, second), { startImmediately: true })
      yield* TestClock.adjust(second)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
      assert.strictEqual(ended, 1)
      const left = yield* Effect.forkChild(bounded(hanging, second), { startImmediately: true })
      yield* Fiber.interrupt(left)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(left)))
      assert.strictEqual(ended, 2)
    }))

  it.live.skipIf(skipReason !== undefined)(
    "[R10] a pause of this process is not the store's: an answer that is there by then counts",
    () =>
      Effect.gen(function*() {
        const { redis } = yield* redisServer
        const { send } = Context.get(yield* Layer.build(redis), Redis.Redis)
        for (let round = 0; round < 5; round++) {
          const waiting = yield* Effect.forkChild(bounded(send("PING"), Duration.millis(100)), {
            startImmediately: true
          })
          // The client writes at the end of a turn.
          yield* Effect.yieldNow
          yield* stall(300)
          assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("PONG"))
        }
      })
  )
})
