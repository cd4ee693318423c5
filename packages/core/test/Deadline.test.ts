import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { runOut, skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, Retry, RetryPolicy } from "../src/index.ts"

const late = (after: Duration.Duration) => Exit.fail(new Deadline.DeadlineExceeded({ limit: "call", after }))

describe("Deadline", () => {
  it.effect("passes what ends in time, value or error", () =>
    Effect.gen(function*() {
      const value = yield* runOut(Deadline.within(Effect.as(Effect.sleep("1 second"), 1), "2 seconds"))
      const error = yield* runOut(Deadline.within(Effect.fail("no"), "2 seconds"))
      assert.deepStrictEqual([value.exit, error.exit], [Exit.succeed(1), Exit.fail("no")])
    }))

  it.effect("fails with a typed error at the instant, and interrupts what was running", () =>
    Effect.gen(function*() {
      const interrupted = yield* Ref.make(false)
      const hung = Effect.onInterrupt(Effect.never, () => Ref.set(interrupted, true))
      const { elapsed, exit } = yield* runOut(Deadline.within(hung, "2 seconds"))
      assert.deepStrictEqual([exit, Duration.toSeconds(elapsed)], [late(Duration.seconds(2)), 2])
      assert.isTrue(yield* Ref.get(interrupted))
    }))

  it.effect("its errors have no stack, also those of an attempt: many calls may fail at the same time", () =>
    Effect.gen(function*() {
      const attempts = Retry.retry(Effect.never, RetryPolicy.make({ attemptTimeout: "1 second", maxAttempts: 1 }))
      const calls: ReadonlyArray<Effect.Effect<never, unknown>> = [
        Deadline.within(Effect.never, "1 second"),
        Effect.mapError(attempts, ({ error }) => error)
      ]
      for (const call of calls) {
        const { exit } = yield* runOut(call)
        const late = errorOf(exit)
        assert.instanceOf(late, Deadline.DeadlineExceeded)
        assert.notMatch(String(late.stack), /\n\s+at /)
      }
    }))

  it.effect("takes the sooner of two: an inner one can't outlive the outer", () =>
    Effect.gen(function*() {
      const inner = Deadline.within(Effect.never, "1 hour")
      const { elapsed } = yield* runOut(Deadline.within(inner, "3 seconds"))
      const shorter = yield* runOut(Deadline.within(Deadline.within(Effect.never, "1 second"), "3 seconds"))
      assert.deepStrictEqual([elapsed, shorter.elapsed].map((d) => Duration.toSeconds(d)), [3, 1])
    }))

  it.effect("sets none of its own by an infinite duration, and can be piped", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* Deadline.within(Deadline.remaining, Duration.infinity))
      const inner = Deadline.within(Effect.never, Duration.infinity)
      const { elapsed } = yield* runOut(inner.pipe(Deadline.within("3 seconds")))
      assert.strictEqual(Duration.toSeconds(elapsed), 3)
    }))

  it.effect("tells what is left, zero once it has passed, and nothing without a deadline", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* Deadline.remaining)
      const later = Effect.andThen(TestClock.adjust("700 millis"), Deadline.remaining)
      assert.deepStrictEqual(yield* Deadline.within(later, "1 second"), Duration.nanos(300_000_000n))
      const now = yield* Clock.monotonicTimeNanos
      const passed = Effect.provideService(Deadline.remaining, Deadline.CurrentDeadline, now - 1n)
      assert.deepStrictEqual(yield* passed, Duration.nanos(0n))
    }))

  it.effect("ends at the instant with detach, and lets finalizers end in the background", () =>
    Effect.gen(function*() {
      const done = yield* Ref.make(false)
      const hung = Effect.onInterrupt(
        Effect.never,
        () => Effect.andThen(Effect.sleep("5 seconds"), Ref.set(done, true))
      )
      const fiber = yield* Effect.forkChild(Effect.exit(Deadline.within(hung, "1 second", { detach: true })))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), late(Duration.seconds(1)))
      assert.isFalse(yield* Ref.get(done))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* Ref.get(done))
    }))

  it.effect("with detach, passes value and error, and an interruption reaches what runs", () =>
    Effect.gen(function*() {
      const interrupted = yield* Ref.make(false)
      const detached = <A, E>(self: Effect.Effect<A, E>) => Deadline.within(self, "1 minute", { detach: true })
      assert.strictEqual(yield* detached(Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(detached(Effect.fail("no"))), "no")
      const hung = Effect.onInterrupt(Effect.never, () => Ref.set(interrupted, true))
      const fiber = yield* Effect.forkChild(detached(hung), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Ref.get(interrupted))
    }))

  it.effect("runs on the monotonic clock: the wall clock set an hour ahead changes nothing", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const jump = Effect.andThen(Effect.sync(() => skew.millis += 3_600_000), Deadline.remaining)
      const left = yield* Effect.provideService(Deadline.within(jump, "10 seconds"), Clock.Clock, clock)
      assert.deepStrictEqual(left, Duration.nanos(10_000_000_000n))
    }))
})
