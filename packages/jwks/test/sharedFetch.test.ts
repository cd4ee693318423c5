import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { atOnce } from "@keelson/testing/observe"
import { Clock, Duration, Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { RefreshResult } from "../src/internal/cache/refresh.ts"
import { type Fetches, SharedFetch } from "../src/internal/cache/sharedFetch.ts"
import type { FetchRequest } from "../src/internal/http/fetchKeySet.ts"

const lookup: FetchRequest = { cause: "lookup", noCache: false }
const forced: FetchRequest = { cause: "forced", noCache: true }
const error = new KeelsonError.NetworkError({ code: "NETWORK_ERROR" })

/** A shared fetch whose runs wait for a gate, and then end with a given result. */
const gated = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const gate = Latch.makeUnsafe()
  const runs: Array<FetchRequest> = []
  const made = { runs, ends: 0, result: Exit.succeed("loaded") as Exit.Exit<RefreshResult, KeelsonError.NetworkError> }
  const context = yield* Effect.context()
  const fetches: Fetches<typeof made> = {
    run: (of, request) => {
      of.runs.push(request)
      return Effect.andThen(gate.await, Effect.suspend(() => of.result))
    },
    ended: (of) => void of.ends++,
    joined: () => {},
    limit: () => Duration.seconds(9),
    context: () => context
  }
  const flight = new SharedFetch(fetches, made)
  yield* Scope.addFinalizer(scope, flight.close)
  return {
    isRunning: () => flight.isRunning(),
    start: (request: FetchRequest) => flight.start(request),
    join: (request: FetchRequest) => flight.join(request),
    wait: (request: FetchRequest, clock: Clock.Clock) => flight.wait(request, clock),
    made,
    gate,
    scope
  }
})

const forked = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(self), { startImmediately: true })

describe("flight", () => {
  it.effect("[S1-10] callers during a fetch wait for it; a caller after it starts another", () =>
    Effect.gen(function*() {
      const { gate, isRunning, join, made } = yield* gated
      const first = yield* Effect.all([join(lookup), join(forced), join(lookup)].map(forked))
      assert.isTrue(isRunning())
      gate.openUnsafe()
      const exits = yield* Effect.forEach(first, Fiber.join)
      assert.deepStrictEqual(exits, Array.from({ length: 3 }, () => Exit.succeed<RefreshResult>("loaded")))
      assert.isFalse(isRunning())
      yield* join(forced)
      assert.deepStrictEqual(made.runs, [lookup, forced])
    }))

  it.effect("start does not wait, and starts nothing during a fetch", () =>
    Effect.gen(function*() {
      const { gate, isRunning, made, start } = yield* gated
      start(lookup)
      start(forced)
      assert.isTrue(isRunning())
      gate.openUnsafe()
      yield* Effect.yieldNow
      assert.isFalse(isRunning())
      assert.deepStrictEqual(made.runs, [lookup])
    }))

  it.effect("calls onEnd once, however the fetch ends; the next fetch is a new one", () =>
    Effect.gen(function*() {
      const { gate, isRunning, join, made } = yield* gated
      gate.openUnsafe()
      made.result = Exit.fail(error)
      assert.strictEqual(errorOf(yield* Effect.exit(join(lookup))), error)
      assert.deepStrictEqual([made.ends, isRunning()], [1, false])
      made.result = Exit.succeed("notModified")
      assert.strictEqual(yield* join(lookup), "notModified")
      assert.strictEqual(made.ends, 2)
    }))

  it.effect("[L1] interrupting a waiter does not affect the fetch for other and later waiters", () =>
    Effect.gen(function*() {
      const { gate, isRunning, join, made } = yield* gated
      for (let index = 0; index < 5; index++) yield* atOnce(Effect.exit(join(lookup)))
      assert.isTrue(isRunning())
      const last = yield* forked(join(lookup))
      gate.openUnsafe()
      assert.deepStrictEqual(yield* Fiber.join(last), Exit.succeed<RefreshResult>("loaded"))
      assert.lengthOf(made.runs, 1)
    }))

  it.effect("[R28] the end of the scope fails waiters at once, and everyone after them", () =>
    Effect.gen(function*() {
      const { join, made, scope, start } = yield* gated
      const waiters = yield* Effect.all([join(lookup), join(lookup)].map(forked))
      yield* Scope.close(scope, Exit.void)
      for (const waiter of waiters) assert.strictEqual(errorOf(yield* Fiber.join(waiter)).code, "SHUTTING_DOWN")
      assert.strictEqual(errorOf(yield* Effect.exit(join(lookup))).code, "SHUTTING_DOWN")
      start(lookup)
      assert.lengthOf(made.runs, 1)
      assert.strictEqual(made.ends, 1)
    }))

  it.effect("[K-28 J21] [L1] however many start it, one fetch runs at a time, and the next only after it", () =>
    Effect.gen(function*() {
      const { gate, join, made, start } = yield* gated
      start(lookup)
      const waiter = yield* forked(join(forced))
      for (let turn = 0; turn < 10; turn++) start(forced)
      assert.deepStrictEqual(made.runs, [lookup])
      gate.openUnsafe()
      assert.deepStrictEqual(yield* Fiber.join(waiter), Exit.succeed<RefreshResult>("loaded"))
      start(forced)
      assert.deepStrictEqual(made.runs, [lookup, forced])
    }))

  it.effect("[L1] a caller waits until its own limit, whenever it joined, and the fetch continues", () =>
    Effect.gen(function*() {
      const { gate, isRunning, join, made, wait } = yield* gated
      const clock = yield* Clock.Clock
      const patient = yield* forked(join(lookup))
      const first = yield* forked(wait(lookup, clock))
      const interrupted = yield* Effect.forkChild(wait(lookup, clock), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      const second = yield* forked(wait(lookup, clock))
      yield* Fiber.interrupt(interrupted)
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(errorOf(yield* Fiber.join(first)).code, "TIMEOUT")
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(errorOf(yield* Fiber.join(second)).code, "TIMEOUT")
      assert.isTrue(isRunning())
      const last = yield* forked(wait(lookup, clock))
      gate.openUnsafe()
      for (const waiter of [patient, last]) {
        assert.deepStrictEqual(yield* Fiber.join(waiter), Exit.succeed<RefreshResult>("loaded"))
      }
      assert.lengthOf(made.runs, 1)
    }))

  it.effect("a thousand callers with a limit share one timer, which ends with the fetch", () =>
    Effect.gen(function*() {
      let sleeps = 0
      let running = 0
      const inner = yield* Clock.Clock
      const sleep = (duration: Duration.Duration) =>
        Effect.suspend(() => {
          sleeps++
          running++
          return Effect.ensuring(inner.sleep(duration), Effect.sync(() => running--))
        })
      const clock: Clock.Clock = Object.create(inner, { sleep: { value: sleep } })
      const { gate, wait } = yield* Effect.provideService(gated, Clock.Clock, clock)
      const waiters = yield* Effect.forEach(Array.from({ length: 1000 }), () => forked(wait(lookup, clock)))
      assert.deepStrictEqual([sleeps, running], [1, 1])
      gate.openUnsafe()
      for (const waiter of waiters) assert.isTrue(Exit.isSuccess(yield* Fiber.join(waiter)))
      assert.deepStrictEqual([sleeps, running], [1, 0])
    }))

  it.effect("[L8] [R28] the end of the scope ends the timer too", () =>
    Effect.gen(function*() {
      const { scope, wait } = yield* gated
      const waiter = yield* forked(wait(lookup, yield* Clock.Clock))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(errorOf(yield* Fiber.join(waiter)).code, "SHUTTING_DOWN")
      yield* TestClock.adjust("1 minute")
    }))
})
