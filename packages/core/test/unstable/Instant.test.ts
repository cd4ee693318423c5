import { assert, describe, it } from "@effect/vitest"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { after, hasCome, hasComeOnBoth, now, offset, until } from "../../src/unstable/Instant.ts"

describe("Instant", () => {
  it.effect("[R23] a moment has come once either clock is there, and not a nanosecond before", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const moment = after(now(clock), 1000)
      yield* TestClock.adjust("999999 micros")
      assert.isFalse(hasCome(moment, clock))
      yield* TestClock.adjust("1 micros")
      assert.isTrue(hasCome(moment, clock))
      skew.millis = -3_600_000
      assert.isTrue(hasCome(moment, clock))
      const later = after(now(clock), 1000)
      skew.millis += 999
      assert.isFalse(hasCome(later, clock))
      skew.millis += 1
      assert.isTrue(hasCome(later, clock))
    }))

  it.effect("[R23] a moment has come on both clocks once the later one is there, and not a nanosecond before", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const moment = after(now(clock), 1000)
      skew.millis = 3_600_000
      yield* TestClock.adjust("999999 micros")
      assert.isFalse(hasComeOnBoth(moment, clock))
      yield* TestClock.adjust("1 micros")
      assert.isTrue(hasComeOnBoth(moment, clock))
      skew.millis = -1
      assert.isFalse(hasComeOnBoth(moment, clock))
      yield* TestClock.adjust("1 millis")
      assert.isTrue(hasComeOnBoth(moment, clock))
    }))

  it.effect("[R23] the time until a moment is that of the clock which is there first", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const moment = after(now(clock), 1000)
      assert.strictEqual(until(moment, now(clock)), 1000)
      skew.millis = 300
      assert.strictEqual(until(moment, now(clock)), 700)
      skew.millis = -5000
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(until(moment, now(clock)), 750)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(until(moment, now(clock)), 0)
    }))

  it.effect("[R29] the time is that of the clock in context, far from the system's", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2000 days")
      const clock = yield* Clock.Clock
      assert.deepStrictEqual(now(clock), { monotonic: 172_800_000n * 1_000_000_000n, wall: 172_800_000_000 })
    }))

  it("a moment before another, to a fraction of a millisecond", () => {
    const moment = { monotonic: 5_000_000n, wall: 100 }
    assert.deepStrictEqual(after(moment, -2.5), { monotonic: 2_500_000n, wall: 97.5 })
  })

  it.effect("[R23] the offset of the clocks changes by as much as they diverge", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const before = offset(now(clock))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(offset(now(clock)), before)
      skew.millis = 31_000
      assert.strictEqual(offset(now(clock)) - before, 31_000)
      skew.millis = -1
      assert.strictEqual(offset(now(clock)) - before, -1)
    }))
})
