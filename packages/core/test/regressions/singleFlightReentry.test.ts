import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, Retry, RetryPolicy, SingleFlight } from "../../src/index.ts"

/** Shared work with its own scope, which the work can close. */
const inScope = <A, E>(work: (scope: Scope.Closeable) => Effect.Effect<A, E>) =>
  Effect.flatMap(
    Scope.make(),
    (scope) => Effect.map(Scope.provide(SingleFlight.make(work(scope)), scope), (flight) => ({ flight, scope }))
  )

describe("Shared work that closes its scope, calls itself, or was made under a deadline", () => {
  it.effect("[R28] work that closes the scope before it waits is stopped, and its caller fails at once", () =>
    Effect.gen(function*() {
      const seen = { stopped: false }
      const { flight } = yield* inScope((scope) =>
        Effect.andThen(Scope.close(scope, Exit.void), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => seen.stopped = true))
        )
      )
      const exit = yield* Effect.exit(flight)
      assert.instanceOf(errorOf(exit), SingleFlight.Closed)
      assert.isTrue(seen.stopped)
    }))

  it.effect("[R28] work that closes the scope later is stopped, and closing the scope ends", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
      const gate = yield* Deferred.make<void>()
      const { flight } = yield* inScope((scope) =>
        Effect.withFiber((own) => Deferred.succeed(started, own)).pipe(
          Effect.andThen(Deferred.await(gate)),
          Effect.andThen(Scope.close(scope, Exit.void)),
          Effect.andThen(Effect.never)
        )
      )
      const waiter = yield* Effect.forkChild(flight, { startImmediately: true })
      const work = yield* Deferred.await(started)
      yield* Deferred.succeed(gate, undefined)
      assert.instanceOf(errorOf(yield* Fiber.await(waiter)), SingleFlight.Closed)
      const ended = yield* Fiber.await(work)
      assert.isTrue(Exit.hasInterrupts(ended))
    }))

  for (const [when, before] of [["at once", Effect.void], ["later", Effect.yieldNow]] as const) {
    it.effect(`work that calls itself ${when} dies instead of waiting for itself`, () =>
      Effect.gen(function*() {
        const self: { flight: Effect.Effect<number, SingleFlight.Closed> } = { flight: Effect.succeed(0) }
        self.flight = yield* SingleFlight.make(Effect.andThen(before, Effect.suspend(() => self.flight)))
        const exit = yield* Effect.exit(self.flight)
        assert.match(String(exit), /the work waits for itself/)
      }))
  }

  it.effect("a deadline at the time of make does not bind the work", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "1 second", jitter: "none" })
      const flight = yield* Deadline.within(SingleFlight.make(Retry.retry(Effect.fail("down"), policy)), "5 seconds")
      yield* TestClock.adjust("1 minute")
      const fiber = yield* Effect.forkChild(Effect.exit(flight), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(exhausted(yield* Fiber.join(fiber)).stoppedBy, "attempts")
    }))
})
