import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Cause, Context, Data, Deferred, Effect, Exit, Fiber, Option, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { ErrorCode, SingleFlight } from "../src/index.ts"

class Failed extends Data.TaggedError("Failed")<{ readonly run: number }> {}

const Tenant = Context.Reference<string>("test/SingleFlight/Tenant", { defaultValue: () => "nobody" })

/** Work that counts its runs, notes whether it was interrupted, and ends when told. */
const gated = Effect.gen(function*() {
  const gate = yield* Deferred.make<string, Failed>()
  const seen = { runs: 0, interrupted: 0 }
  const work = Effect.suspend(() => {
    seen.runs++
    return Deferred.await(gate)
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => void seen.interrupted++)))
  return { gate, seen, work }
})

/** Starts callers that all wait by the time this returns. */
const waiters = <A, E>(self: Effect.Effect<A, E>, count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.forkDetach(self, { startImmediately: true })
  )

const errorsOf = <A, E>(fibers: ReadonlyArray<Fiber.Fiber<A, E>>) =>
  Effect.map(
    Effect.forEach(fibers, Fiber.await),
    (exits) => exits.map((exit) => Option.getOrUndefined(Exit.findErrorOption(exit)))
  )

describe("SingleFlight", () => {
  describe("waiters", () => {
    it("runs once for 100 callers of whom 99 are interrupted, and gives the last its value", (context) =>
      forAllEffect(
        context,
        100,
        fc.record({
          order: fc.shuffledSubarray(Array.from({ length: 100 }, (_, n) => n), { minLength: 99, maxLength: 99 }),
          atOnce: fc.integer({ min: 1, max: 99 })
        }),
        ({ atOnce, order }) =>
          Effect.gen(function*() {
            const { gate, seen, work } = yield* gated
            const fibers = yield* waiters(yield* SingleFlight.make(work), 100)
            for (let from = 0; from < order.length; from += atOnce) {
              yield* Fiber.interruptAll(order.slice(from, from + atOnce).flatMap((n) => fibers[n] ?? []))
            }
            yield* Deferred.succeed(gate, "value")
            const exits = yield* Effect.forEach(fibers, Fiber.await)
            assert.deepStrictEqual(exits.filter(Exit.isSuccess).map(({ value }) => value), ["value"])
            assert.isTrue(exits.filter(Exit.isFailure).every(({ cause }) => Cause.hasInterruptsOnly(cause)))
            assert.deepStrictEqual(seen, { runs: 1, interrupted: 0 })
          })
      ))

    it.effect("goes on when every caller has left, and the next one joins the same run", () =>
      Effect.gen(function*() {
        const { gate, seen, work } = yield* gated
        const flight = yield* SingleFlight.make(work)
        yield* Fiber.interruptAll(yield* waiters(flight, 3))
        const [next] = yield* waiters(flight, 1)
        yield* Deferred.succeed(gate, "value")
        assert.strictEqual(yield* Fiber.join(next!), "value")
        assert.deepStrictEqual(seen, { runs: 1, interrupted: 0 })
      }))

    it.effect("runs again for a call after the end, and each time for work that does not wait", () =>
      Effect.gen(function*() {
        let runs = 0
        const flight = yield* SingleFlight.make(Effect.sync(() => ++runs))
        assert.deepStrictEqual([yield* flight, yield* flight], [1, 2])
      }))

    it.effect("gives every waiter the error, and runs again for the next call", () =>
      Effect.gen(function*() {
        let runs = 0
        const flight = yield* SingleFlight.make(
          Effect.delay(Effect.suspend(() => Effect.fail(new Failed({ run: ++runs }))), "1 second")
        )
        const fibers = yield* waiters(flight, 3)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* errorsOf(fibers), Array.from({ length: 3 }, () => new Failed({ run: 1 })))
        const again = yield* waiters(flight, 1)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* errorsOf(again), [new Failed({ run: 2 })])
      }))

    it.effect("gives every waiter the defect, and runs again for the next call", () =>
      Effect.gen(function*() {
        let runs = 0
        const flight = yield* SingleFlight.make(Effect.delay(
          Effect.sync(() => {
            if (++runs === 1) throw new Error("defect")
            return runs
          }),
          "1 second"
        ))
        const fibers = yield* waiters(flight, 2)
        yield* TestClock.adjust("1 second")
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        assert.isTrue(exits.every((exit) => Exit.hasDies(exit)))
        const [again] = yield* waiters(flight, 1)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(again!), 2)
      }))

    it.effect("gives every waiter the error of work that was interrupted besides", () =>
      Effect.gen(function*() {
        const cause = Cause.combine(Cause.fail(new Failed({ run: 1 })), Cause.interrupt(1))
        const flight = yield* SingleFlight.make(Effect.failCause(cause))
        assert.deepStrictEqual(yield* Effect.flip(flight), new Failed({ run: 1 }))
      }))

    it.effect("lets a caller that comes in the tick of the completion have a whole answer, old or new", () =>
      Effect.gen(function*() {
        let runs = 0
        let gate = Deferred.makeUnsafe<void>()
        const flight = yield* SingleFlight.make(Effect.suspend(() => {
          const run = ++runs
          return Effect.as(Deferred.await(gate), run)
        }))
        const [first] = yield* waiters(flight, 1)
        const ended = gate
        gate = Deferred.makeUnsafe<void>()
        // In one synchronous step: the work is told to end, a caller comes.
        Deferred.doneUnsafe(ended, Exit.void)
        const [second] = yield* waiters(flight, 1)
        yield* Deferred.succeed(gate, undefined)
        const [a, b] = [yield* Fiber.join(first!), yield* Fiber.join(second!)]
        assert.strictEqual(a, 1)
        assert.include([1, 2], b)
        assert.strictEqual(runs, b)
        assert.strictEqual(yield* flight, runs)
      }))

    it.effect("lets a waiter that is woken by the completion start a new run", () =>
      Effect.gen(function*() {
        let runs = 0
        const flight = yield* SingleFlight.make(Effect.delay(Effect.sync(() => ++runs), "1 second"))
        const [twice] = yield* waiters(Effect.all([flight, flight]), 1)
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(twice!), [1, 2])
      }))
  })

  describe("closing", () => {
    const isClosed = (error: unknown) => error instanceof SingleFlight.Closed

    it.effect("[R28] fails waiters with Closed at once, however long the work's finalizer takes", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { seen, work } = yield* gated
        const finalized = yield* Deferred.make<void>()
        const slow = Effect.onInterrupt(work, () => Deferred.await(finalized))
        const fibers = yield* waiters(yield* Scope.provide(SingleFlight.make(slow), scope), 10)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        const errors = yield* errorsOf(fibers)
        assert.isTrue(errors.length === 10 && errors.every(isClosed))
        assert.strictEqual(ErrorCode.codeOf(errors[0]), "SHUTTING_DOWN")
        assert.isUndefined(closing.pollUnsafe())
        yield* Deferred.succeed(finalized, undefined)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(closing)))
        assert.strictEqual(seen.interrupted, 1)
      }))

    it.effect("fails every call after it, during the work's finalizer too, and runs nothing", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { seen, work } = yield* gated
        const finalized = yield* Deferred.make<void>()
        const slow = Effect.onInterrupt(work, () => Deferred.await(finalized))
        const flight = yield* Scope.provide(SingleFlight.make(slow), scope)
        yield* waiters(flight, 1)
        yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        assert.isTrue((yield* errorsOf(yield* waiters(flight, 2))).every(isClosed))
        yield* Deferred.succeed(finalized, undefined)
        assert.isTrue(isClosed(yield* Effect.flip(flight)))
        assert.strictEqual(seen.runs, 1)
      }))

    it.effect("closes at once where nothing runs", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const flight = yield* Scope.provide(SingleFlight.make(Effect.void), scope)
        yield* flight
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(isClosed(yield* Effect.flip(flight)))
      }))
  })

  describe("context", () => {
    it.effect("runs the work in the context it was made in, not in a caller's", () =>
      Effect.gen(function*() {
        const as = (name: string) => Effect.provideService(Tenant, name)
        const flight = yield* SingleFlight.make(Tenant).pipe(as("layer"))
        assert.strictEqual(yield* flight.pipe(as("first caller")), "layer")
      }))

    it.effect("makes the work's span no child of the first caller's", () =>
      Effect.gen(function*() {
        const work = Effect.withSpan(Effect.currentSpan, "work")
        const flight = yield* SingleFlight.make(work).pipe(Effect.withSpan("layer"))
        const span = yield* flight.pipe(Effect.withSpan("caller"))
        assert.isTrue(Option.exists(span.parent, (parent) => parent._tag === "Span" && parent.name === "layer"))
        assert.strictEqual((yield* Effect.provideService(flight, Tracer.MinimumTraceLevel, "None")).name, "work")
      }))

    it.effect("does not stop the work where the first caller's own scope closes", () =>
      Effect.gen(function*() {
        const { gate, seen, work } = yield* gated
        const flight = yield* SingleFlight.make(work)
        yield* Effect.scoped(Effect.forkScoped(flight, { startImmediately: true }))
        const [next] = yield* waiters(flight, 1)
        yield* Deferred.succeed(gate, "value")
        assert.deepStrictEqual([yield* Fiber.join(next!), seen.runs], ["value", 1])
      }))
  })
})
