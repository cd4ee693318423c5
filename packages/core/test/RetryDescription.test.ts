import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Duration, Effect, Exit, Random, Schedule } from "effect"
import fc from "fast-check"
import * as Jitter from "../src/Jitter.ts"
import * as ResiliencePolicy from "../src/ResiliencePolicy.ts"
import * as RetryAfter from "../src/RetryAfter.ts"
import * as RetryDescription from "../src/RetryDescription.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import { retryGaps } from "./scheduled.ts"

const describePolicy = <E>(policy: RetryPolicy.RetryPolicy<E, unknown>, error?: E) =>
  Effect.map(RetryDescription.describe(policy, error), (description) => ({
    description,
    bands: description.delays.map(({ max, min }) => [Duration.toMillis(min), Duration.toMillis(max)])
  }))

const policies = fc.record({
  maxAttempts: fc.integer({ min: 1, max: 8 }),
  strategy: fc.constantFrom("fixed", "linear", "exponential"),
  /** Micros: a band must hold for parts of a millisecond too. */
  initial: fc.integer({ min: 0, max: 2_000_000 }),
  increment: fc.integer({ min: 0, max: 500_000 }),
  multiplier: fc.integer({ min: 10, max: 30 }).map((n) => n / 10),
  cap: fc.option(fc.integer({ min: 0, max: 10_000_000 }), { nil: undefined }),
  jitter: fc.constantFrom("none", "full", "equal", "proportional", "decorrelated"),
  jitterRatio: fc.integer({ min: 0, max: 10 }).map((n) => n / 10)
}).map(({ cap, increment, initial, ...rest }) =>
  RetryPolicy.make({
    ...rest,
    initialDelay: Duration.micros(BigInt(initial)),
    increment: Duration.micros(BigInt(increment)),
    ...(cap === undefined ? undefined : { maxDelay: Duration.micros(BigInt(initial + cap)) })
  })
)

describe("RetryDescription", () => {
  it("[K-22] every delay that a retry waits lies in its band", (context) =>
    forAllEffect(context, 300, fc.tuple(policies, fc.integer()), ([policy, seed]) =>
      Effect.gen(function*() {
        const { bands, description } = yield* describePolicy(policy)
        const gaps = yield* Random.withSeed(retryGaps(RetryPolicy.toSchedule(policy), "no"), seed)
        assert.strictEqual(description.maxAttempts, policy.maxAttempts)
        assert.lengthOf(gaps, bands.length)
        gaps.forEach((gap, index) => {
          const [min, max] = bands[index]!
          assert.isAtLeast(gap, min! - 1e-5)
          assert.isAtMost(gap, max! + 1e-5)
        })
      })))

  it.effect("[S2-11] shows the bands of the tokenGuard preset", () =>
    Effect.gen(function*() {
      const { bands, description } = yield* describePolicy(RetryPolicy.tokenGuard)
      assert.strictEqual(description.maxAttempts, 4)
      assert.deepStrictEqual(description.delays.map(({ attempt }) => attempt), [1, 2, 3])
      assert.deepStrictEqual(bands, [[0, 200], [0, 360], [0, 648]])
      assert.strictEqual(Duration.toMillis(description.longestDelays), 1208)
    }))

  it.effect("[S0-02] shows the bands of the standard preset", () =>
    Effect.gen(function*() {
      const { bands } = yield* describePolicy(RetryPolicy.standard)
      assert.deepStrictEqual(bands, [[1000, 1200], [1600, 2400], [3200, 4800]])
    }))

  it.effect("shows parts of a millisecond as they are", () =>
    Effect.gen(function*() {
      const options = { jitter: "none", initialDelay: Duration.micros(400n) } as const
      const { bands } = yield* describePolicy(RetryPolicy.make(options))
      assert.deepStrictEqual(bands, [[0.4, 0.4], [0.8, 0.8]])
    }))

  describe("worst case", () => {
    const worst = (options: RetryPolicy.Options) =>
      Effect.map(
        RetryDescription.describe(RetryPolicy.make({ jitter: "none", ...options } as RetryPolicy.Options)),
        ({ worstCase }) => Duration.toMillis(worstCase)
      )

    it.effect("is without end where no time is limited", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* worst({}), Infinity)
        assert.strictEqual(yield* worst({ maxAttempts: 1 }), Infinity)
      }))

    it.effect("is the attempts and the delays where each attempt is limited", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* worst({ attemptTimeout: "2 seconds" }), 3 * 2000 + 1000 + 2000)
        assert.strictEqual(yield* worst({ attemptTimeout: "2 seconds", enabled: false }), 2000)
      }))

    it.effect("[S1-16] is the deadline where that is sooner", () =>
      Effect.gen(function*() {
        const { description } = yield* describePolicy(RetryPolicy.jwks)
        assert.strictEqual(Duration.toMillis(description.worstCase), 8000)
        assert.strictEqual(yield* worst({ deadline: "1 hour" }), 3_600_000)
        assert.strictEqual(yield* worst({ deadline: "1 hour", attemptTimeout: "1 second" }), 6000)
      }))
  })

  describe("of a schedule of one's own", () => {
    it.effect("shows its jitter, up to maxAttempts or its own end", () =>
      Effect.gen(function*() {
        const schedule = Schedule.exponential("100 millis").pipe(Jitter.equal)
        const { bands } = yield* describePolicy(RetryPolicy.make({ maxAttempts: 4, schedule }))
        assert.deepStrictEqual(bands, [[50, 100], [100, 200], [200, 400]])
        const ended = yield* describePolicy(
          RetryPolicy.make({ maxAttempts: 9, schedule: schedule.pipe(Schedule.upTo({ times: 2 })) })
        )
        assert.strictEqual(ended.description.maxAttempts, 3)
      }))

    interface Busy {
      readonly after: Duration.Duration
    }
    const policy = RetryPolicy.make<Busy>({
      maxAttempts: 3,
      schedule: Schedule.spaced("1 second").pipe(RetryAfter.floor((error: Busy) => error.after))
    })

    it.effect("steps it with the error given", () =>
      Effect.gen(function*() {
        const { bands } = yield* describePolicy(policy, { after: Duration.seconds(10) })
        assert.deepStrictEqual(bands, [[10_000, 11_000], [10_000, 11_000]])
      }))

    it.effect("does not pass a broken schedule off as one attempt", () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(RetryDescription.describe(policy))
        assert.isTrue(Exit.hasDies(exit))
      }))
  })

  it.effect("[K-22] format is a table with the worst case below", () =>
    Effect.gen(function*() {
      const bounded = yield* RetryDescription.describe(RetryPolicy.jwks)
      assert.deepStrictEqual(RetryDescription.format(bounded).split("\n"), [
        "after attempt  least    most",
        "1              0        250ms",
        "2              0        500ms",
        "at most 3 attempts, 750ms of delays, 8s in all"
      ])
      const open = RetryDescription.format(yield* RetryDescription.describe(RetryPolicy.standard))
      assert.include(open, "at most 4 attempts, 8s 400ms of delays, attempts are not bounded in time")
    }))

  it.effect("format keeps columns apart, however long a delay is", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ maxAttempts: 2, initialDelay: "754567 millis", jitter: "none" })
      const [head, row] = RetryDescription.format(yield* RetryDescription.describe(policy)).split("\n")
      assert.deepStrictEqual([head, row], [
        "after attempt  least         most",
        "1              12m 34s 567ms 12m 34s 567ms"
      ])
    }))

  describe("of a whole policy", () => {
    const bounds = (options: ResiliencePolicy.Options) =>
      Effect.map(
        RetryDescription.describePolicy(ResiliencePolicy.make(options)),
        ({ maxAttempts, maxExecutions, worstCase }) => [maxAttempts, maxExecutions, Duration.toMillis(worstCase)]
      )
    const retry = { maxAttempts: 3, initialDelay: "1 second", jitter: "none", strategy: "fixed" } as const

    it.effect("[K-22] adds pause, hedges, queues and attempts, up to the deadline", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* bounds({}), [1, 1, Infinity])
        assert.deepStrictEqual(yield* bounds({ attemptTimeout: "1 second" }), [1, 1, 1000])
        const whole = {
          attemptTimeout: "1 second",
          retry,
          bulkhead: { maxQueued: 1, maxWait: "100 millis" },
          limit: { maxQueued: 1, maxWait: "10 millis" },
          throttle: { maxWait: "20 seconds" }
        } as const
        assert.deepStrictEqual(yield* bounds(whole), [3, 1, 20_000 + 110 + 5000])
        const hedge = { delay: "200 millis", maxHedges: 2 } as const
        assert.deepStrictEqual(yield* bounds({ ...whole, hedge }), [3, 3, 20_000 + 400 + 110 + 5000])
        assert.deepStrictEqual(yield* bounds({ ...whole, hedge, deadline: "4 seconds" }), [3, 3, 4000])
      }))

    it.effect("[K-22] a hedge whose delay follows latency has no bound but the deadline", () =>
      Effect.gen(function*() {
        const hedge = { maxHedges: 2 }
        assert.deepStrictEqual(yield* bounds({ attemptTimeout: "1 second", hedge }), [3, 3, Infinity])
        assert.deepStrictEqual(yield* bounds({ deadline: "3 seconds", hedge }), [3, 3, 3000])
        assert.deepStrictEqual(yield* bounds({ retry: { ...retry, maxAttempts: 2 }, hedge }), [2, 2, Infinity])
        assert.deepStrictEqual(
          yield* bounds({ attemptTimeout: "1 second", hedge: { enabled: false } }),
          [1, 1, 1000]
        )
      }))

    it.effect("[K-22] a queue without places adds nothing", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* bounds({ attemptTimeout: "1 second", bulkhead: { maxQueued: 0 }, limit: { maxQueued: 0 } }),
          [1, 1, 1000]
        )
      }))

    it.effect("[K-22] formatPolicy prints the bounds of each part that is there", () =>
      Effect.gen(function*() {
        const lines = (options: ResiliencePolicy.Options) =>
          Effect.map(
            RetryDescription.describePolicy(ResiliencePolicy.make(options)),
            (description) => RetryDescription.formatPolicy(description).split("\n")
          )
        assert.deepStrictEqual(yield* lines({}), ["at most 1 attempts", "a call is not bounded in time"])
        const all = yield* lines({
          deadline: "5 seconds",
          retry: { ...retry, maxAttempts: 2 },
          hedge: {},
          breaker: { openDuration: "30 seconds", maxOpenDuration: "1 minute", openJitter: 0.5 },
          bulkhead: { maxQueued: 5 },
          throttle: {}
        })
        assert.deepStrictEqual(all, [
          "after attempt  least    most",
          "1              1s       1s",
          "at most 2 attempts in 2 executions",
          "at most 1m waiting for a pause to end",
          "at most 1s waiting in queues",
          "an open circuit rejects calls for 30s to 1m 30s",
          "at most 5s in all"
        ])
      }))
  })
})
