import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Duration } from "effect"
import fc from "fast-check"
import { refreshDelay } from "../src/internal/cache/applyKeySet.ts"

const options = { refreshEarly: Duration.seconds(30), refreshJitter: Duration.seconds(5) }

describe("accept", () => {
  it.each([
    [3_600_000, 0, 3_570_000],
    [3_600_000, 0.5, 3_567_500],
    [3_600_000, 1, 3_565_000],
    [60_000, 0, 30_000],
    [60_000, 1, 30_000],
    [61_000, 0, 31_000],
    [30_000, 0.9, 15_000],
    [0, 0.5, 0]
  ])("[S1-11] a lifetime of %i ms with a draw of %d is renewed after %i ms", (lifetime, random, delay) => {
    assert.strictEqual(refreshDelay(lifetime, options, random), delay)
  })

  it("[S1-11] a renewal is never before half of the lifetime, nor after its end", (context) => {
    const span = fc.integer({ min: 0, max: 86_400_000 })
    const cases = fc.tuple(span, span, span, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
    forAll(context, 500, cases, ([lifetime, early, jitter, random]) => {
      const given = { refreshEarly: Duration.millis(early), refreshJitter: Duration.millis(jitter) }
      const delay = refreshDelay(lifetime, given, random)
      assert.isAtLeast(delay, lifetime / 2)
      assert.isAtMost(delay, lifetime)
    })
  })
})
