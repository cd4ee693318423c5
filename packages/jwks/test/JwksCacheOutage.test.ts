import { assert, describe, it } from "@effect/vitest"
import { outcome } from "@keelson/testing/observe"
import { cacheOf, down, hanging, keysOf } from "@keelson/testing/scriptedProvider"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

/** When the first renewal is due, with the default lifetime of an hour: an outage that begins then is the longest felt. */
const due = 3_565_000

/** Lookups each second of two hours with an outage of 15 minutes: how many of them failed. */
const failuresOf = (begins: number, outage: typeof down) =>
  Effect.gen(function*() {
    const { cache, provider } = yield* cacheOf(keysOf("a"), { staleWindow: Duration.minutes(15) })
    let failures = 0
    const until = function*(end: number) {
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      for (let time = now; time < end; time += 1000) {
        if ((yield* outcome(cache, "a")) !== "a") failures++
        yield* TestClock.adjust(1000)
      }
    }
    yield* until(begins)
    provider.answer = outage
    yield* until(begins + 900_000)
    provider.answer = keysOf("a")
    yield* until(7_200_000)
    return failures
  }).pipe(Effect.scoped)

describe("JwksCache outage", () => {
  it.effect.each(
    [-900_000, -600_000, -60_000, -30_000, -10_000, 0].flatMap((offset) =>
      [["down", offset, down], ["hanging", offset, hanging]] as const
    )
  )(
    "[S1-15] no lookup fails in 15 minutes of a provider that is %s, begun %i ms from a renewal",
    ([, offset, outage]) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* failuresOf(due + offset, outage), 0)
      })
  )
})
