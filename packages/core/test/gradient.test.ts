import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import { Gradient, type Sample } from "../src/internal/limit/gradient.ts"

const options = { minLimit: 4, maxLimit: 100, initialLimit: 20, tolerance: 1.5, window: 100, minSamples: 10 }

/** Ends `count` calls of one latency, with as many in flight as given, from `now` on. Returns the time after it. */
const calls = (
  rule: Gradient,
  now: number,
  latency: number,
  count: number,
  inFlight: number,
  sample: Sample = "success"
) => {
  for (let call = 0; call < count; call++) {
    rule.start(inFlight)
    rule.end(now + call * 10 - latency, now + call * 10, inFlight, sample)
  }
  return now + count * 10
}

/** Runs windows against a service whose latency follows from the calls in flight. */
const windows = (rule: Gradient, from: number, count: number, latency: (inFlight: number) => number): number => {
  let now = from
  for (let window = 0; window < count; window++) {
    const inFlight = Math.floor(rule.limit)
    now = calls(rule, now + 5000, latency(inFlight), 11, inFlight)
  }
  return now
}

describe("Gradient", () => {
  it("[K-31] grows while latency stays at the baseline and the limit is used, up to its maximum", () => {
    const rule = new Gradient(options)
    let now = windows(rule, 0, 3, () => 50)
    assert.isAbove(rule.limit, 40)
    now = windows(rule, now, 60, () => 50)
    assert.isAtLeast(rule.limit, 70)
    assert.isAtMost(rule.limit, 100)
    assert.strictEqual(rule.baseline, 50)
  })

  it("[K-31] changes nothing before a window has its time and its samples", () => {
    const rule = new Gradient(options)
    calls(rule, 0, 50, 9, 20)
    assert.strictEqual(rule.limit, 20)
    assert.isUndefined(rule.baseline)
    // Eleven at once: no time passes.
    for (let call = 0; call < 2; call++) rule.end(30, 80, 20, "success")
    assert.isUndefined(rule.baseline)
    rule.end(60, 110, 20, "success")
    assert.isAbove(rule.limit, 20)
  })

  it("[K-31] does not grow if fewer calls are in flight than it allows", () => {
    const rule = new Gradient(options)
    calls(rule, 0, 50, 200, 19)
    assert.strictEqual(rule.limit, 20)
  })

  it("[K-31] shrinks where calls queue, to what the service answers within tolerance", () => {
    const rule = new Gradient({ ...options, initialLimit: 5, minLimit: 2 })
    const queueing = (workers: number) => (inFlight: number) => 50 * Math.max(1, inFlight / workers)
    let now = windows(rule, 0, 40, queueing(30))
    assert.isAtLeast(rule.limit, 25)
    assert.isAtMost(rule.limit, 60)
    now = windows(rule, now, 12, queueing(10))
    assert.isAtLeast(rule.limit, 8)
    assert.isAtMost(rule.limit, 22)
    windows(rule, now, 12, queueing(30))
    assert.isAtLeast(rule.limit, 25)
  })

  it("[K-31] takes the latency of a service that became slower as its baseline, and gives the limit back", () => {
    const rule = new Gradient(options)
    const now = windows(rule, 0, 10, () => 50)
    const { limit } = rule
    windows(rule, now, 6, () => 200)
    assert.strictEqual(rule.baseline, 200)
    assert.isAtLeast(rule.limit, 0.7 * limit)
  })

  it("[K-31] takes the latency of a service that became faster as its baseline in two windows", () => {
    const rule = new Gradient(options)
    const now = windows(rule, 0, 4, () => 50)
    windows(rule, now, 2, () => 20)
    assert.strictEqual(rule.baseline, 20)
  })

  it("[K-31] corrects a baseline that was measured under load", () => {
    const rule = new Gradient({ ...options, initialLimit: 60 })
    windows(rule, 0, 30, (inFlight) => 50 * Math.max(1, inFlight / 10))
    assert.isAtMost(rule.baseline!, 60)
    assert.isAtMost(rule.limit, 22)
  })

  it("[K-31] leaves its minimum when the service is slow for good", () => {
    const rule = new Gradient({ ...options, initialLimit: 4 })
    const now = calls(rule, 0, 50, 11, 3)
    windows(rule, now, 30, () => 400)
    assert.isAbove(rule.limit, 4)
  })

  it("[K-31] dropped calls shrink it: by their share, at most by half, and once for the calls of one overload", () => {
    const rule = new Gradient(options)
    let now = calls(rule, 1000, 500, 12, 20, "dropped")
    assert.strictEqual(rule.limit, 10)
    // These began before the limit shrank.
    now = calls(rule, now, 1000, 30, 20, "dropped")
    assert.strictEqual(rule.limit, 10)
    calls(rule, now + 2000, 100, 60, 10, "dropped")
    assert.strictEqual(rule.limit, 4)
  })

  it("[K-31] a few dropped calls hold it, and hardly any let it grow", () => {
    const mixed = (drops: number) => {
      const rule = new Gradient({ ...options, minSamples: 100 })
      calls(rule, 0, 50, 100 - drops, 20)
      calls(rule, 2000, 50, drops + 1, 20, "dropped")
      return rule.limit
    }
    assert.strictEqual(mixed(7), 20)
    assert.isAbove(mixed(3), 20)
    assert.isBelow(mixed(20), 20)
  })

  it("[K-31] one slow call among hundreds does not shrink it", () => {
    const rule = new Gradient({ ...options, minSamples: 100, initialLimit: 50 })
    let now = calls(rule, 0, 50, 101, 49)
    now = calls(rule, now, 50, 99, 49)
    calls(rule, now, 60_000, 2, 49)
    assert.strictEqual(rule.limit, 50)
  })

  it("[K-31] ignored calls count for nothing", () => {
    const rule = new Gradient(options)
    calls(rule, 0, 50, 100, 20, "ignored")
    assert.isUndefined(rule.baseline)
    assert.strictEqual(rule.limit, 20)
  })

  it("[K-31] stays between its minimum and its maximum, whatever is measured", (context) => {
    const call = fc.record({
      latency: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e7, noNaN: true })),
      inFlight: fc.integer({ min: 1, max: 300 }),
      gap: fc.double({ min: 0, max: 500, noNaN: true }),
      sample: fc.constantFrom<Sample>("success", "success", "success", "dropped", "ignored")
    })
    forAll(context, 300, fc.array(call, { maxLength: 300 }), (all) => {
      const rule = new Gradient({ ...options, minSamples: 5, window: 10 })
      let now = 0
      for (const { gap, inFlight, latency, sample } of all) {
        now += gap
        rule.start(inFlight)
        const before = Math.floor(rule.limit)
        const isChanged = rule.end(now - latency, now, inFlight, sample)
        assert.strictEqual(isChanged, Math.floor(rule.limit) !== before)
        assert.isAtLeast(rule.limit, 4)
        assert.isAtMost(rule.limit, 100)
        assert.isTrue(rule.baseline === undefined || rule.baseline > 0)
      }
    })
  })
})
