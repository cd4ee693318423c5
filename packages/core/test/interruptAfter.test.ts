import { assert, describe, it } from "@effect/vitest"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { interruptAfter } from "../src/internal/retry/interruptAfter.ts"

const second = Duration.seconds(1)
const late = () => "late"
const cutAfterSecond = <A, E>(self: Effect.Effect<A, E>) => interruptAfter(self, second, late, false)

/** A clock that counts the sleeps that were begun and those under way. */
const countingClock = Effect.map(Clock.Clock, (base) => {
  const sleeps = { begun: 0, underWay: 0 }
  const sleep = (duration: Duration.Duration) =>
    Effect.suspend(() => {
      sleeps.begun++
      sleeps.underWay++
      return Effect.ensuring(base.sleep(duration), Effect.sync(() => sleeps.underWay--))
    })
  const clock: Clock.Clock = Object.create(base, { sleep: { value: sleep } })
  return { clock, sleeps }
})

class Name extends Context.Service<Name, string>()("test/Name") {}

describe("cut", () => {
  it.effect("begins no sleep for an effect that ends at once, and leaves none for one that waits", () =>
    Effect.gen(function*() {
      const { clock, sleeps } = yield* countingClock
      const withClock = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.provideService(cutAfterSecond(self), Clock.Clock, clock)
      assert.strictEqual(yield* withClock(Effect.succeed(1)), 1)
      assert.deepStrictEqual(sleeps, { begun: 0, underWay: 0 })
      assert.strictEqual(yield* withClock(Effect.as(Effect.yieldNow, 2)), 2)
      yield* Effect.yieldNow
      assert.deepStrictEqual(sleeps, { begun: 1, underWay: 0 })
      const fiber = yield* Effect.forkChild(withClock(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      yield* Effect.yieldNow
      assert.deepStrictEqual(sleeps, { begun: 2, underWay: 0 })
    }))

  it.effect("passes value, failure, defect and the effect's own interruption", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.exit(cutAfterSecond(Effect.fail("no"))), Exit.fail("no"))
      assert.isTrue(
        Exit.hasDies(yield* Effect.exit(cutAfterSecond(Effect.andThen(Effect.yieldNow, Effect.die("defect")))))
      )
      const own = yield* Effect.exit(cutAfterSecond(Effect.andThen(Effect.yieldNow, Effect.interrupt)))
      assert.isTrue(Exit.isFailure(own) && Cause.hasInterruptsOnly(own.cause))
    }))

  it.effect("runs in the context of its caller", () =>
    Effect.gen(function*() {
      const name = interruptAfter(Effect.andThen(Effect.yieldNow, Name), second, late, false)
      assert.strictEqual(yield* Effect.provideService(name, Name, "mine"), "mine")
    }))

  it.effect("is late even where the effect goes on to succeed, since it can't be interrupted", () =>
    Effect.gen(function*() {
      const stubborn = Effect.uninterruptible(Effect.as(Effect.sleep("5 seconds"), 1))
      const { elapsed, exit } = yield* runOut(cutAfterSecond(stubborn))
      assert.deepStrictEqual([exit, Duration.toSeconds(elapsed)], [Exit.fail("late"), 5])
    }))

  it.effect("gives the effect's own end where both come at the same instant, or the lateness, and nothing else", () =>
    Effect.gen(function*() {
      const { exit } = yield* runOut(cutAfterSecond(Effect.as(Effect.sleep(second), 1)))
      assert.include(["late", 1], Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause))
    }))

  it.effect("waits for the finalizers, also when its caller is interrupted meanwhile", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const done = yield* Ref.make(false)
      const hung = Effect.onInterrupt(Effect.never, () => Effect.andThen(Deferred.await(gate), Ref.set(done, true)))
      const fiber = yield* Effect.forkChild(cutAfterSecond(hung), { startImmediately: true })
      yield* TestClock.adjust(second)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.await(interrupting)
      assert.isTrue(yield* Ref.get(done))
    }))

  it.effect("makes no error before it is late", () =>
    Effect.gen(function*() {
      let made = 0
      const count = () => ++made
      yield* interruptAfter(Effect.yieldNow, second, count, false)
      assert.strictEqual(made, 0)
      yield* runOut(interruptAfter(Effect.never, second, count, false))
      assert.strictEqual(made, 1)
    }))
})
