import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random, Schedule, Schema } from "effect"
import * as Backoff from "../src/Backoff.ts"
import { delayBand } from "../src/internal/retry/delayBand.ts"
import { ConfigurationError } from "../src/KeelsonError.ts"
import { delaysOf, retryGaps, summary } from "./scheduled.ts"

const seconds = (backoff: Backoff.Backoff, count: number, random = 0) =>
  Array.from({ length: count }, (_, attempt) => Duration.toSeconds(Backoff.delay(backoff, attempt, random)))

const spread = ["full", "equal", "proportional", "decorrelated"] as const
const almostOne = 1 - Number.EPSILON

/** The error of a `make` that must fail. */
const refusal = (options: unknown): ConfigurationError => {
  try {
    Reflect.apply(Backoff.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, ConfigurationError)
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

describe("Backoff", () => {
  describe("delay", () => {
    it("[S3-17] fixed stays at the initial delay", () => {
      const backoff = Backoff.make({ strategy: "fixed", initialDelay: "3 seconds", jitter: "none" })
      assert.deepStrictEqual(seconds(backoff, 5), [3, 3, 3, 3, 3])
    })

    it("[S3-18] linear adds the increment for each retry", () => {
      const backoff = Backoff.make({
        strategy: "linear",
        initialDelay: "1 second",
        increment: "500 millis",
        jitter: "none"
      })
      assert.deepStrictEqual(seconds(backoff, 4), [1, 1.5, 2, 2.5])
    })

    it("[S3-19] exponential doubles by default and stops growing at the cap", () => {
      const backoff = Backoff.make({ initialDelay: "1 second", maxDelay: "5 seconds", jitter: "none" })
      assert.deepStrictEqual(seconds(backoff, 5), [1, 2, 4, 5, 5])
    })

    it("[S3-19] exponential multiplies with the multiplier", () => {
      const backoff = Backoff.make({ initialDelay: "1 second", multiplier: 3, jitter: "none" })
      assert.deepStrictEqual(seconds(backoff, 4), [1, 3, 9, 27])
      assert.deepStrictEqual(seconds(Backoff.make({ multiplier: 1, jitter: "none" }), 3), [1, 1, 1])
    })

    it("[S3-24] without a cap it grows to 24 hours, however many attempts there were", () => {
      const backoff = Backoff.make({ jitter: "none" })
      assert.strictEqual(Duration.toSeconds(Backoff.delay(backoff, 16, 0)), 65_536)
      for (const attempt of [17, 100, 5000]) {
        assert.strictEqual(Duration.toHours(Backoff.delay(backoff, attempt, 0)), 24)
      }
    })

    for (const strategy of ["fixed", "linear", "exponential"] as const) {
      it(`${strategy} of an initial delay of zero is zero, however many attempts there were`, () => {
        const backoff = Backoff.make({ strategy, initialDelay: "0 millis", increment: "0 millis", jitter: "none" })
        for (const attempt of [0, 1, 5000]) assert.deepStrictEqual(delayBand(backoff, attempt), { min: 0, max: 0 })
      })
    }

    it("[S0-04] a negative attempt counts as 0", () => {
      for (const jitter of ["none", ...spread] as const) {
        const backoff = Backoff.make({ jitter, maxDelay: "30 seconds" })
        assert.deepStrictEqual(delayBand(backoff, -3), delayBand(backoff, 0))
      }
    })

    it("[S0-04] with no jitter, or a ratio of 0, chance changes nothing", () => {
      for (const options of [{ jitter: "none" }, { jitter: "proportional", jitterRatio: 0 }] as const) {
        const backoff = Backoff.make({ ...options, maxDelay: "5 seconds" })
        for (const random of [0, 0.5, almostOne]) assert.deepStrictEqual(seconds(backoff, 5, random), [1, 2, 4, 5, 5])
      }
    })

    for (const jitter of ["none", "proportional", "decorrelated"] as const) {
      it(`[S0-04] ${jitter} is never below the base nor above the maximum`, () => {
        const backoff = Backoff.make({ jitter, jitterRatio: 1, initialDelay: "250 millis", maxDelay: "2 seconds" })
        for (let attempt = 0; attempt <= 12; attempt++) {
          for (const random of [0, 0.5, almostOne]) {
            const delay = Duration.toMillis(Backoff.delay(backoff, attempt, random))
            assert.isAtLeast(delay, 250)
            assert.isAtMost(delay, 2000)
          }
        }
      })
    }

    for (const jitter of spread) {
      it.effect(`[S0-04] ${jitter} at the cap varies, and few delays are equal to the cap or to each other`, () =>
        Effect.gen(function*() {
          const backoff = Backoff.make({ jitter, initialDelay: "100 millis", maxDelay: "1 second" })
          const draws = yield* Random.withSeed(Effect.all(Array.from({ length: 3000 }, () => Random.next)), jitter)
          const delays = draws.map((random) => Duration.toMillis(Backoff.delay(backoff, 10, random)))
          const { deviation, heap } = summary(delays)
          assert.isAbove(deviation, 50)
          assert.isBelow(heap, 0.01)
          assert.isBelow(delays.filter((delay) => delay === 1000).length, 30)
        }))
    }
  })

  describe("band", () => {
    const cases = [
      { jitter: "none", attempt: 2, min: 400, max: 400 },
      { jitter: "full", attempt: 2, min: 0, max: 400 },
      { jitter: "full", attempt: 9, min: 0, max: 1000 },
      { jitter: "equal", attempt: 2, min: 200, max: 400 },
      { jitter: "equal", attempt: 9, min: 500, max: 1000 },
      { jitter: "proportional", attempt: 0, min: 100, max: 120 },
      { jitter: "proportional", attempt: 2, min: 320, max: 480 },
      { jitter: "proportional", attempt: 9, min: 800, max: 1000 },
      { jitter: "decorrelated", attempt: 0, min: 100, max: 300 },
      { jitter: "decorrelated", attempt: 2, min: 100, max: 600 },
      { jitter: "decorrelated", attempt: 9, min: 100, max: 1000 }
    ] as const
    for (const { attempt, jitter, max, min } of cases) {
      it(`of ${jitter} after attempt ${attempt} is from ${min} to ${max} ms`, () => {
        const band = delayBand(Backoff.make({ jitter, initialDelay: "100 millis", maxDelay: "1 second" }), attempt)
        assert.closeTo(band.min, min, 1e-6)
        assert.closeTo(band.max, max, 1e-6)
      })
    }

    it("[S1-17] of decorrelated reaches 3 times the delay before", () => {
      const backoff = Backoff.make({ jitter: "decorrelated", initialDelay: "100 millis", maxDelay: "1 second" })
      assert.deepStrictEqual(delayBand(backoff, 5, Duration.millis(150)), { min: 100, max: 450 })
      assert.deepStrictEqual(delayBand(backoff, 5, Duration.millis(900)), { min: 100, max: 1000 })
    })

    it("of a cap that equals the base is that one delay", () => {
      for (const jitter of ["none", "proportional", "decorrelated"] as const) {
        const backoff = Backoff.make({ jitter, initialDelay: "1 second", maxDelay: "1 second" })
        assert.deepStrictEqual(delayBand(backoff, 3), { min: 1000, max: 1000 })
      }
    })
  })

  describe("schedule", () => {
    it.effect("[S3-19] gives the delays of `delay` to Effect's own retry", () =>
      Effect.gen(function*() {
        const backoff = Backoff.make({ maxDelay: "5 seconds", jitter: "none" })
        const gaps = yield* retryGaps(Backoff.schedule(backoff).pipe(Schedule.upTo({ times: 5 })), "no")
        assert.deepStrictEqual(gaps, [1000, 2000, 4000, 5000, 5000])
      }))

    for (const jitter of spread) {
      it.effect(`with ${jitter} draws what \`delay\` draws`, () =>
        Effect.gen(function*() {
          const backoff = Backoff.make({ jitter, initialDelay: "100 millis", maxDelay: "3 seconds" })
          const delays = yield* Random.withSeed(delaysOf(Backoff.schedule(backoff), 8, undefined), jitter)
          const randoms = yield* Random.withSeed(Effect.all(Array.from({ length: 8 }, () => Random.next)), jitter)
          let previous: Duration.Duration | undefined
          const expected = randoms.map((random, n) => previous = Backoff.delay(backoff, n, random, previous))
          assert.deepStrictEqual(delays, expected.map((delay) => Duration.toMillis(delay)))
        }))
    }

    it.effect("outputs the delay, and starts anew with each use", () =>
      Effect.gen(function*() {
        const schedule = Backoff.schedule(Backoff.make({ jitter: "none" }))
        for (let use = 0; use < 2; use++) {
          const step = yield* Schedule.toStep(schedule)
          assert.deepStrictEqual(yield* step(0, undefined), [Duration.seconds(1), Duration.seconds(1)])
          assert.deepStrictEqual(yield* step(0, undefined), [Duration.seconds(2), Duration.seconds(2)])
        }
      }))
  })

  describe("make", () => {
    it("[S3-24] [S1-17] of nothing is exponential from 1 s, increment 1 s, multiplier 2, no cap, full jitter", () => {
      assert.deepEqual(Backoff.make(), {
        strategy: "exponential",
        initialDelay: Duration.seconds(1),
        increment: Duration.seconds(1),
        multiplier: 2,
        jitter: "full",
        jitterRatio: 0.2
      })
      assert.isFalse("maxDelay" in Backoff.make())
    })

    it("leaves out an option that is undefined", () => {
      assert.deepEqual(Backoff.make({ maxDelay: undefined, multiplier: undefined }), Backoff.make())
    })

    const accepted: ReadonlyArray<Backoff.Options> = [
      { initialDelay: "0 millis" },
      { initialDelay: "24 hours" },
      { initialDelay: Duration.minutes(3) },
      { initialDelay: "0 millis", maxDelay: "0 millis" },
      { maxDelay: "24 hours" },
      { initialDelay: "5 seconds", maxDelay: "5 seconds" },
      { increment: "0 millis" },
      { increment: "24 hours" },
      { multiplier: 1 },
      { multiplier: 100 },
      { jitterRatio: 0 },
      { jitterRatio: 1 }
    ]
    const read = Schema.decodeUnknownSync(Schema.DurationFromString)
    for (const options of accepted) {
      it(`[S3-23] accepts ${JSON.stringify(options)}`, () => {
        const made: Record<string, unknown> = { ...Backoff.make(options) }
        for (const [name, value] of Object.entries(options)) {
          assert.deepEqual(made[name], typeof value === "string" ? read(value) : value)
        }
      })
    }

    const duration = "a duration with its unit, from 0 millis to 24 hours"
    const multiplier = "a number from 1 to 100"
    const ratio = "a number from 0 to 1"
    const refused: ReadonlyArray<readonly [option: string, value: unknown, bound: string]> = [
      ["initialDelay", "-1 millis", duration],
      ["initialDelay", Duration.millis(86_400_001), duration],
      ["initialDelay", Duration.infinity, duration],
      ["initialDelay", 250, duration],
      ["initialDelay", NaN, duration],
      ["initialDelay", "250", duration],
      ["initialDelay", "soon", duration],
      ["maxDelay", "86400001 millis", duration],
      ["maxDelay", "-1 nanos", duration],
      ["maxDelay", null, duration],
      ["increment", "-1 millis", duration],
      ["increment", "25 hours", duration],
      ["multiplier", 0.999, multiplier],
      ["multiplier", 100.001, multiplier],
      ["multiplier", NaN, multiplier],
      ["multiplier", Infinity, multiplier],
      ["multiplier", "2", multiplier],
      ["jitterRatio", -0.001, ratio],
      ["jitterRatio", 1.001, ratio],
      ["jitterRatio", NaN, ratio],
      ["jitterRatio", "0.1", ratio]
    ]
    for (const [option, value, bound] of refused) {
      it(`[S3-23] refuses ${option} ${typeof value} ${String(value)}, naming the option and its bound`, () => {
        const error = refusal({ [option]: value })
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.strictEqual(error.message, `Invalid configuration: ${option} must be ${bound}`)
        assert.deepStrictEqual([error.details["path"], error.details["expected"]], [option, bound])
      })
    }

    it("[S2-24] refuses an unknown jitter, naming the known ones", () => {
      const error = refusal({ jitter: "sideways" })
      assert.strictEqual(error.details["path"], "jitter")
      for (const jitter of ["none", ...spread]) assert.include(error.message, `"${jitter}"`)
    })

    it("[S3-23] refuses an unknown strategy, naming the known ones", () => {
      const { message } = refusal({ strategy: "quadratic" })
      assert.include(message, "strategy must be \"fixed\" | \"linear\" | \"exponential\"")
    })

    it("[S1-16] refuses a cap below the initial delay, naming both", () => {
      const { message } = refusal({ initialDelay: "2 seconds", maxDelay: "1999 millis" })
      assert.strictEqual(message, "Invalid configuration: maxDelay must be at least initialDelay, which is 2 seconds")
      assert.include(refusal({ maxDelay: "999 millis" }).message, "at least initialDelay, which is 1 second")
    })

    it("[S3-23] refuses an option that does not exist", () => {
      assert.strictEqual(
        refusal({ maxDelai: "1 second" }).message,
        "Invalid configuration: maxDelai is not an option; did you mean maxDelay?"
      )
    })
  })
})
