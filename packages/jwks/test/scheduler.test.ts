import { assert, describe, it } from "@effect/vitest"
import { after, type Instant, now } from "@keelson/core/unstable/Instant"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeScheduler, type Scheduled } from "../src/internal/cache/scheduler.ts"

const nowIn = Effect.map(Clock.Clock, now)

/** Due at a moment that a test sets, with the times at which it was called; not due any more once it was. */
const entry = (due: Instant | undefined, again?: number) => {
  const made: Scheduled & { readonly ticks: Array<number>; due: Instant | undefined } = {
    ticks: [],
    due,
    dueAt: () => made.due,
    tick: (clock) => {
      made.ticks.push(Number(now(clock).monotonic / 1_000_000n))
      made.due = again === undefined ? undefined : after(now(clock), again)
    }
  }
  return made
}

const soon = (millis: number, again?: number) => Effect.map(nowIn, (at) => entry(after(at, millis), again))

describe("scheduler", () => {
  it.effect("calls each entry when it is due, and not before", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const [a, b] = [yield* soon(1000), yield* soon(500, 2000)]
      scheduler.add(a)
      scheduler.add(b)
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual([a.ticks, b.ticks], [[], []])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([a.ticks, b.ticks], [[1000], [500, 2500, 4500]])
    }).pipe(Effect.scoped))

  it.effect("an entry that is due already is called at once", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const a = yield* soon(0)
      scheduler.add(a)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(a.ticks, [0])
    }).pipe(Effect.scoped))

  it.effect("an entry that is due sooner than before is called in time once it is poked", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const a = yield* soon(3_600_000)
      scheduler.add(a)
      yield* TestClock.adjust("1 second")
      a.due = after(yield* nowIn, 1000)
      scheduler.poke(a)
      yield* TestClock.adjust("999 millis")
      assert.isEmpty(a.ticks)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(a.ticks, [2000])
    }).pipe(Effect.scoped))

  it.effect("an entry that is due later than before, or not at all, is not called at the old time", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const [a, b] = [yield* soon(1000), yield* soon(1000)]
      scheduler.add(a)
      scheduler.add(b)
      yield* TestClock.adjust("1 millis")
      a.due = after(yield* nowIn, 4999)
      b.due = undefined
      scheduler.poke(a)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([a.ticks, b.ticks], [[5000], []])
    }).pipe(Effect.scoped))

  it.effect("an entry that is removed is not called any more", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const [a, b] = [yield* soon(1000), yield* soon(1000)]
      scheduler.add(a)
      scheduler.add(b)
      scheduler.remove(a)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([a.ticks, b.ticks], [[], [1000]])
    }).pipe(Effect.scoped))

  it.effect("an entry that stays due does not keep the fiber busy", () =>
    Effect.gen(function*() {
      const scheduler = yield* makeScheduler
      const a = yield* soon(0, 0)
      scheduler.add(a)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(a.ticks.length, 101)
    }).pipe(Effect.scoped))

  it.effect("[R23] a wall clock that jumps is noticed at the next round, and one set back delays nothing", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const scheduler = yield* Effect.provideService(makeScheduler, Clock.Clock, clock)
      const [a, b] = [yield* soon(10_000), yield* soon(7_200_000)]
      scheduler.add(a)
      scheduler.add(b)
      yield* TestClock.adjust("1 second")
      skew.millis = -3_600_000
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual([a.ticks, b.ticks], [[10_000], []])
      skew.millis = 8_000_000
      a.due = after(yield* nowIn, 1)
      scheduler.poke(a)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(b.ticks, [10_000])
    }).pipe(Effect.scoped))

  it.effect("[S0-15] [L8] the end of the scope ends it: nothing is called in the years after", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const scheduler = yield* Scope.provide(makeScheduler, scope)
      const a = yield* soon(1000, 1000)
      scheduler.add(a)
      yield* TestClock.adjust("3500 millis")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1000 days")
      assert.deepStrictEqual(a.ticks, [1000, 2000, 3000])
    }))
})
