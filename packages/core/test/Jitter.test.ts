import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { runOut } from "@keelson/testing/virtualTime"
import { type Cron, Duration, Effect, Random, Schedule } from "effect"
import * as Jitter from "../src/Jitter.ts"
import { ConfigurationError } from "../src/KeelsonError.ts"
import { delaysOf, retryGaps, summary } from "./scheduled.ts"

const sample = (schedule: Schedule.Schedule<unknown>, count: number) =>
  Effect.map(Random.withSeed(delaysOf(schedule, count, undefined), "jitter"), summary)

type Kind = <O>(self: Schedule.Schedule<O>, options?: Jitter.Options) => Schedule.Schedule<O>

const kinds: Record<"full" | "equal" | "decorrelated" | "proportional", Kind> = {
  full: Jitter.full,
  equal: Jitter.equal,
  decorrelated: Jitter.decorrelated,
  proportional: (self, options) => Jitter.proportional(0.2, options)(self)
}

/** 100 ms once and 1 s from then on, so that the base is below the delays that are looked at. */
const steps = Schedule.fromStep(Effect.sync(() => {
  let step = 0
  return () => Effect.succeed<[number, Duration.Duration]>([step, Duration.millis(step++ === 0 ? 100 : 1000)])
}))

describe("Jitter", () => {
  const intervals = [
    { row: "[S1-17] ", kind: "full", from: 0, to: 1000 },
    { row: "", kind: "equal", from: 500, to: 1000 },
    { row: "", kind: "proportional", from: 800, to: 1200 }
  ] as const
  for (const { from, kind, row, to } of intervals) {
    it.effect(`${row}${kind} draws uniformly from ${from} to ${to} ms for a delay of 1 s`, () =>
      Effect.gen(function*() {
        const delays = yield* Random.withSeed(delaysOf(kinds[kind](steps), 4001, undefined), "interval")
        const { heap, max, mean, min } = summary(delays.slice(1))
        const width = to - from
        assert.isAtLeast(min, from)
        assert.isAtMost(max, to)
        assert.isBelow(min, from + width * 0.02)
        assert.isAbove(max, to - width * 0.02)
        assert.closeTo(mean, from + width / 2, width * 0.03)
        assert.isBelow(heap, 0.01)
      }))
  }

  it.effect("[S1-17] decorrelated draws from the first delay to 3 times the delay before", () =>
    Effect.gen(function*() {
      const delays = yield* Random.withSeed(
        delaysOf(Jitter.decorrelated(Schedule.spaced("1 second")), 60, undefined),
        7
      )
      let previous = 1000
      const places = delays.map((delay) => {
        assert.isAtLeast(delay, 1000)
        assert.isAtMost(delay, previous * 3)
        const place = (delay - 1000) / (previous * 3 - 1000)
        previous = delay
        return place
      })
      const { max, min } = summary(places)
      assert.isBelow(min, 0.1)
      assert.isAbove(max, 0.9)
    }))

  it.effect("[S0-04] proportional never goes below the first delay of the schedule", () =>
    Effect.gen(function*() {
      const { max, min } = yield* sample(Jitter.proportional(0.5)(Schedule.spaced("1 second")), 1000)
      assert.isAtLeast(min, 1000)
      assert.isAbove(max, 1400)
    }))

  for (const [name, kind] of Object.entries(kinds)) {
    it.effect(`[S0-04] ${name} at the cap stays below it, and varies without a heap`, () =>
      Effect.gen(function*() {
        const schedule = kind(Schedule.exponential("100 millis"), { cap: "1 second" })
        const delays = yield* Random.withSeed(delaysOf(schedule, 3020, undefined), name)
        const { deviation, heap, max } = summary(delays.slice(20))
        assert.isAtMost(max, 1000)
        assert.isBelow(heap, 0.01)
        assert.isAbove(deviation, 50)
        assert.isBelow(delays.filter((delay) => delay === 1000).length / delays.length, 0.01)
      }))

    it.effect(`${name} keeps the schedule's end, with retry`, () =>
      Effect.gen(function*() {
        const gaps = yield* retryGaps(kind(Schedule.exponential("100 millis")).pipe(Schedule.upTo({ times: 4 })), "no")
        assert.lengthOf(gaps, 4)
        assert.lengthOf(new Set(gaps), 4)
        const inner = yield* retryGaps(kind(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 4 }))), "no")
        assert.lengthOf(inner, 4)
      }))

    it.effect(`${name} keeps the schedule's output, with repeat`, () =>
      Effect.gen(function*() {
        let runs = 0
        const plain = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 }))
        const { elapsed, exit } = yield* runOut(Effect.repeat(Effect.sync(() => runs++), kind(plain)))
        const expected = yield* runOut(Effect.repeat(Effect.void, plain))
        assert.strictEqual(runs, 4)
        assert.deepStrictEqual(exit, expected.exit)
        assert.isAbove(Duration.toMillis(elapsed), 0)
      }))

    it.effect(`${name} keeps no state between two uses of one schedule`, () =>
      Effect.gen(function*() {
        const schedule = kind(Schedule.exponential("100 millis"), { cap: "10 seconds" })
        const draws = Random.withSeed(delaysOf(schedule, 10, undefined), "state")
        assert.deepStrictEqual(yield* draws, yield* draws)
      }))

    it.effect(`${name} of an infinite delay without a cap is infinite, not zero`, () =>
      Effect.gen(function*() {
        const delays = yield* delaysOf(kind(Schedule.spaced(Duration.infinity)), 2, undefined)
        assert.deepStrictEqual(delays, [Infinity, Infinity])
      }))
  }

  it.effect("takes its options after the schedule, or before it in a pipe", () =>
    Effect.gen(function*() {
      const seeded = (schedule: Schedule.Schedule<unknown>) => Random.withSeed(delaysOf(schedule, 5, undefined), "dual")
      const base = Schedule.exponential("1 second")
      const options = { cap: "2 seconds" } as const
      const first = yield* seeded(Jitter.full(base, options))
      assert.deepStrictEqual(yield* seeded(base.pipe(Jitter.full(options))), first)
      assert.deepStrictEqual(yield* seeded(Jitter.full(options)(base)), first)
      assert.notDeepEqual(yield* seeded(base.pipe(Jitter.full)), first)
    }))

  it("keeps the types of a schedule in a pipe", () => {
    const timed = Schedule.exponential("1 second").pipe(Jitter.full, Schedule.upTo({ duration: "8 seconds" }))
    const failing = Schedule.cron("not a cron").pipe(
      Jitter.equal,
      Jitter.proportional(0.1),
      Jitter.full({ cap: "1 hour" })
    )
    expectTypeOf(timed).toEqualTypeOf<Schedule.Schedule<Duration.Duration>>()
    expectTypeOf(failing).toEqualTypeOf<Schedule.Schedule<Duration.Duration, unknown, Cron.CronParseError>>()
    expectTypeOf(Jitter.full(timed, { cap: "1 second" })).toEqualTypeOf<Schedule.Schedule<Duration.Duration>>()
    assert.isTrue(Schedule.isSchedule(timed) && Schedule.isSchedule(failing))
  })

  it.effect("[S0-04] a ratio of 0 changes nothing", () =>
    Effect.gen(function*() {
      const delays = yield* delaysOf(Jitter.proportional(0)(Schedule.exponential("100 millis")), 4, undefined)
      assert.deepStrictEqual(delays, [100, 200, 400, 800])
    }))

  for (const ratio of [-0.01, 1.01, NaN, Infinity]) {
    it(`refuses a ratio of ${ratio}`, () => {
      assert.throws(() => Jitter.proportional(ratio), ConfigurationError, "from 0 to 1")
    })
  }
  it("refuses a negative cap, and names the option and its bound", () => {
    assert.throws(() => Jitter.full(Schedule.forever, { cap: "-5 seconds" }), ConfigurationError, "cap must be")
    try {
      Jitter.proportional(2)
      assert.fail("accepted")
    } catch (error) {
      assert.instanceOf(error, ConfigurationError)
      assert.deepInclude(error, { details: { path: "ratio", expected: "a number from 0 to 1" } })
    }
  })
  for (const ratio of [0, 1]) {
    it(`accepts a ratio of ${ratio}`, () => {
      assert.isFunction(Jitter.proportional(ratio))
    })
  }
})
