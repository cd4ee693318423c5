import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Deadline } from "../../src/index.ts"

describe("An infinite deadline", () => {
  it.effect("limits nothing", () =>
    Effect.gen(function*() {
      const day = Effect.as(Effect.sleep("1 day"), "done")
      const fiber = yield* Effect.forkChild(Deadline.within(day, Duration.infinity), { startImmediately: true })
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.isUndefined(yield* Deadline.within(Deadline.remaining, "Infinity"))
    }))

  it.effect("leaves the outer deadline unchanged", () =>
    Effect.gen(function*() {
      const inner = Deadline.within(Effect.never, "Infinity")
      const fiber = yield* Effect.forkChild(Effect.exit(Deadline.within(inner, "1 second")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.instanceOf(errorOf(yield* Fiber.join(fiber)), Deadline.DeadlineExceeded)
    }))
})
