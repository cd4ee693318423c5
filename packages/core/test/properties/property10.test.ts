import { assert, describe, it } from "@effect/vitest"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { Duration, Effect, Random, Schedule } from "effect"
import fc from "fast-check"
import * as Backoff from "../../src/Backoff.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { retryGaps } from "../scheduled.ts"

const jitterRatio = 0.1

/** 100 to 1000 ms, in steps of a microsecond. */
const base = fc.integer({ min: 100_000, max: 1_000_000 }).map((micros) => micros / 1000)
/** On [0, 1), its ends included more often than chance would. */
const random = fc.oneof(fc.constantFrom(0, 2 ** 53 - 1), fc.nat(2 ** 53 - 1)).map((n) => n / 2 ** 53)

const options = (base: number) =>
  ({
    initialDelay: Duration.millis(base),
    maxDelay: Duration.millis(base * 100),
    jitter: "proportional",
    jitterRatio
  }) as const

/** A delay is a whole number of nanoseconds, and half of one is lost in rounding. */
const rounding = 1e-6

/** Where a delay may lie: around the capped exponential (S0-03), cut to [base, max] (S0-04). */
const interval = (base: number, attempt: number) => {
  const max = base * 100
  const expected = Math.min(base * 2 ** attempt, max)
  return {
    low: Math.max(base, expected * (1 - jitterRatio)) - rounding,
    high: Math.min(max, expected * (1 + jitterRatio)) + rounding
  }
}

describe("Property 10: delays", () => {
  it("Property 10: [S0-03] [S0-04] [S0-13] a delay lies around the capped exponential, within base and max", (context) => {
    const cases = fc.tuple(fc.integer({ min: 0, max: 10 }), base, random)
    forAll(context, 1000, cases, ([attempt, base, random]) => {
      const { high, low } = interval(base, attempt)
      const delay = Duration.toMillis(Backoff.delay(Backoff.make(options(base)), attempt, random))
      assert.isAtLeast(delay, low)
      assert.isAtMost(delay, high)
    })
  })

  it("Property 10: [S0-03] [S0-04] [S0-13] so do the delays that Effect's own retry waits", (context) =>
    forAllEffect(context, 200, fc.tuple(base, fc.integer()), ([base, seed]) =>
      Effect.gen(function*() {
        const policy = RetryPolicy.make({ maxAttempts: 12, ...options(base) })
        const gaps = yield* Random.withSeed(retryGaps(RetryPolicy.toSchedule(policy), "no"), seed)
        assert.lengthOf(gaps, 11)
        gaps.forEach((gap, attempt) => {
          const { high, low } = interval(base, attempt)
          assert.isAtLeast(gap, low)
          assert.isAtMost(gap, high)
        })
      })))

  it("Property 10: [S0-03] [S0-04] so do the delays of a schedule without an end", (context) =>
    forAllEffect(context, 200, fc.tuple(base, fc.integer()), ([base, seed]) =>
      Effect.gen(function*() {
        const schedule = Backoff.schedule(Backoff.make(options(base))).pipe(Schedule.upTo({ times: 15 }))
        const gaps = yield* Random.withSeed(retryGaps(schedule, "no"), seed)
        gaps.forEach((gap, attempt) => {
          const { high, low } = interval(base, attempt)
          assert.isAtLeast(gap, low)
          assert.isAtMost(gap, high)
        })
        assert.lengthOf(new Set(gaps.slice(8)), 7)
      })))
})
