import { assert, describe, it } from "@effect/vitest"
import { runOut } from "@keelson/testing/virtualTime"
import { DateTime, Duration, Effect, Schedule } from "effect"
import { Headers } from "effect/http"
import { TestClock } from "effect/testing"
import { delayAfter } from "../src/internal/retry/delayAfter.ts"
import * as Jitter from "../src/Jitter.ts"
import * as RetryAfter from "../src/RetryAfter.ts"
import { delaysOf, retryGaps } from "./scheduled.ts"

/** 2026-01-01T00:00:00Z */
const now = 1_767_225_600_000

const second = Duration.seconds(1)
const almostOne = 1 - Number.EPSILON

describe("RetryAfter", () => {
  describe("parse", () => {
    const present = [
      ["0", 0],
      ["1", 1],
      ["120", 120],
      [" 5 ", 5],
      ["007", 7],
      ["Thu, 01 Jan 2026 00:00:01 GMT", 1],
      ["Thu, 01 Jan 2026 01:00:00 GMT", 3600],
      ["Thursday, 01-Jan-26 00:01:00 GMT", 60],
      ["Thu Jan  1 00:00:30 2026", 30]
    ] as const
    for (const [value, seconds] of present) {
      it(`[S0-06] reads ${JSON.stringify(value)} as ${seconds} s`, () => {
        assert.deepEqual(RetryAfter.parse(value, now), Duration.seconds(seconds))
      })
    }

    const absent = [
      undefined,
      "",
      " ",
      "-1",
      "-120",
      "+5",
      "1e3",
      "0x10",
      "soon",
      "5 seconds",
      "5, 10",
      "NaN",
      "Infinity",
      "2026-01-01T00:01:00Z",
      "Thu, 32 Jan 2026 00:00:00 GMT",
      "Thu, 01 Jan 2026 25:00:00 GMT",
      "Thu, 01 Jan 2026 00:01:00",
      "Wed, 31 Dec 2025 23:59:59 GMT",
      "Thu, 01 Jan 1970 00:00:00 GMT",
      "Thu, 01 Jan 2026 00:00:00 GMT"
    ]
    for (const value of absent) {
      it(`[S0-06] reads ${JSON.stringify(value)} as absent`, () => {
        assert.isUndefined(RetryAfter.parse(value, now))
      })
    }

    it("reads a number without bound as what it says, for a ceiling to judge", () => {
      const parsed = RetryAfter.parse("99999999999999999999", now)
      assert.isDefined(parsed)
      assert.isTrue(Duration.isGreaterThan(parsed, Duration.days(10_000)))
    })
  })

  describe("fromHeaders", () => {
    it.effect("[S0-06] counts a date from the current time", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const date = Headers.formatHttpDate(DateTime.makeUnsafe(now + 90_000))
        const headers = Headers.fromInput({ "Retry-After": date })
        assert.deepEqual(yield* RetryAfter.fromHeaders(headers), Duration.seconds(90))
        yield* TestClock.adjust("30 seconds")
        assert.deepEqual(yield* RetryAfter.fromHeaders(headers), Duration.seconds(60))
        yield* TestClock.adjust("2 minutes")
        assert.isUndefined(yield* RetryAfter.fromHeaders(headers))
      }))

    it.effect("is absent without the header", () =>
      Effect.gen(function*() {
        assert.isUndefined(yield* RetryAfter.fromHeaders(Headers.fromInput({ "x-retry-after": "5" })))
      }))
  })

  describe("apply", () => {
    it("is the backoff where nothing was asked for", () => {
      assert.deepEqual(delayAfter(second, undefined, 0.5), second)
      assert.deepEqual(delayAfter(Duration.minutes(5), undefined, 0.5), Duration.minutes(5))
    })

    it("is never below what was asked for, and at most 10 % above it", () => {
      const asked = Duration.seconds(10)
      const at = (random: number) => Duration.toMillis(delayAfter(second, asked, random)!)
      assert.strictEqual(at(0), 10_000)
      assert.strictEqual(at(0.5), 10_500)
      assert.isAbove(at(almostOne), 10_999)
      assert.isAtMost(at(almostOne), 11_000)
    })

    it("is the backoff where that is longer", () => {
      assert.deepEqual(delayAfter(Duration.seconds(20), Duration.seconds(10), 0.5), Duration.seconds(20))
      assert.deepEqual(delayAfter(second, Duration.zero, 0.5), second)
    })

    it("[S2-17] accepts the ceiling of 60 s itself, spread above it, and stops beyond it", () => {
      assert.deepEqual(delayAfter(second, Duration.minutes(1), 0.5), Duration.seconds(63))
      assert.isUndefined(delayAfter(second, Duration.millis(60_001), 0.5))
      assert.isUndefined(delayAfter(second, Duration.days(1), 0))
      assert.isUndefined(delayAfter(Duration.days(2), Duration.days(1), 0))
    })

    it("clamps to the ceiling where told so, with the spread above it", () => {
      const clamped = (random: number) =>
        delayAfter(second, Duration.days(1), random, { ceiling: "30 seconds", beyond: "clamp" })
      assert.deepEqual(clamped(0), Duration.seconds(30))
      assert.deepEqual(clamped(0.5), Duration.millis(31_500))
    })

    it("takes a ceiling of its own", () => {
      const options = { ceiling: "2 hours" } as const
      assert.deepEqual(delayAfter(second, Duration.hours(2), 0, options), Duration.hours(2))
      assert.isUndefined(delayAfter(second, Duration.millis(7_200_001), 0, options))
      assert.deepEqual(delayAfter(second, Duration.zero, 0, { ceiling: "0 millis" }), second)
    })
  })

  describe("floor", () => {
    interface Busy {
      readonly after?: Duration.Duration | undefined
    }
    const floor = (options?: RetryAfter.Options) => RetryAfter.floor((error: Busy) => error.after, options)
    const spaced = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 5 }))

    it.effect("lifts the delays of any schedule in Effect's own retry", () =>
      Effect.gen(function*() {
        const gaps = yield* retryGaps(spaced.pipe(floor()), { after: Duration.seconds(10) })
        assert.lengthOf(gaps, 5)
        for (const gap of gaps) {
          assert.isAtLeast(gap, 10_000)
          assert.isAtMost(gap, 11_000)
        }
        assert.lengthOf(new Set(gaps), 5)
      }))

    it.effect("leaves the delays alone where the error asks for nothing", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* retryGaps(spaced.pipe(floor()), {}), [1000, 1000, 1000, 1000, 1000])
      }))

    it.effect("ends the schedule above the ceiling, with the last error", () =>
      Effect.gen(function*() {
        const error: Busy = { after: Duration.hours(24) }
        let calls = 0
        const call = Effect.suspend(() => {
          calls++
          return Effect.fail(error)
        })
        const { elapsed, exit } = yield* runOut(Effect.flip(Effect.retry(call, spaced.pipe(floor()))))
        assert.strictEqual(calls, 1)
        assert.isTrue(Duration.isZero(elapsed))
        assert.deepStrictEqual(exit, yield* Effect.exit(Effect.succeed(error)))
      }))

    it.effect("waits for the ceiling where told to clamp", () =>
      Effect.gen(function*() {
        const schedule = spaced.pipe(floor({ ceiling: "20 seconds", beyond: "clamp" }))
        for (const gap of yield* retryGaps(schedule, { after: Duration.hours(24) })) {
          assert.isAtLeast(gap, 20_000)
          assert.isAtMost(gap, 22_000)
        }
      }))

    it.effect("composes with jitter and a limit of time, each seeing the error", () =>
      Effect.gen(function*() {
        const schedule = Schedule.exponential("250 millis").pipe(
          Jitter.full,
          Schedule.upTo({ duration: "8 seconds" }),
          floor({ ceiling: "60 seconds" })
        )
        const asked = yield* delaysOf(schedule, 10, { after: Duration.seconds(3) })
        assert.isAtLeast(Math.min(...asked), 3000)
        assert.lengthOf(asked, 3)
        const unasked = yield* delaysOf(schedule, 100, {})
        assert.isBelow(Math.min(...unasked), 3000)
      }))
  })
})
