import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Duration, Result } from "effect"
import fc from "fast-check"
import { RefreshPolicy } from "../../src/index.ts"

const seconds = (minimum: number, maximum: number) =>
  fc.integer({ min: minimum, max: maximum }).map((n) => Duration.seconds(n))

const form = fc.oneof(
  fc.constant({}),
  fc.record({ threshold: seconds(31, 3600) }),
  fc.record({ buffer: seconds(0, 3600) })
)
const options = fc.record({
  form,
  cooldown: seconds(0, 86_400),
  maxSkew: seconds(0, 30),
  jitter: fc.integer({ min: 0, max: 100 }).map((n) => n / 1000)
})
const random = fc.integer({ min: 0, max: 999 }).map((n) => n / 1000)

/** How much of the lifetime remains when a refresh is due, as the documentation of the options says. */
const thresholdOf = ({ buffer, threshold }: RefreshPolicy.RefreshPolicy, lifetime: Duration.Duration) => {
  if (buffer !== undefined) return Duration.min(buffer, Duration.times(lifetime, 0.5))
  return threshold ?? Duration.min(Duration.minutes(2), Duration.times(lifetime, 0.2))
}

describe("RefreshPolicy", () => {
  it("[S2-02] [S2-06] [S2-08] [S2-25] [S3-35] no policy lets a token lapse, or has it refreshed before its time", (context) =>
    forAll(context, 2000, fc.tuple(options, seconds(60, 200_000), random), ([{ form, ...rest }, lifetime, random]) => {
      const policy = RefreshPolicy.make({ ...rest, ...form })
      const result = RefreshPolicy.plan(policy, lifetime, random)
      const lifetimeUsed = Duration.min(lifetime, policy.maxLifetime)
      if (Result.isFailure(result)) {
        assert.isTrue(policy.threshold !== undefined && Duration.isGreaterThan(policy.threshold, lifetimeUsed))
        return
      }
      const { refreshAfter, usableFor } = result.success
      const threshold = Duration.toMillis(thresholdOf(policy, lifetimeUsed))
      const due = Duration.toMillis(lifetimeUsed) - threshold
      const [refresh, usable] = [Duration.toMillis(refreshAfter), Duration.toMillis(usableFor)]
      assert.isAtMost(refresh, usable, "due before it counts as expired")
      assert.isAtLeast(refresh, due - threshold * policy.jitter - 1e-3, "not before the threshold and its jitter")
      assert.isAtMost(refresh, Math.max(due, usable / 2) + 1e-3, "the cooldown does not hold it up for long")
      assert.isAtLeast(usable, Duration.toMillis(lifetimeUsed) - threshold / 2 - 1e-3, "the skew is half of it at most")
      if (policy.threshold === undefined && policy.buffer === undefined && policy.jitter === 0) {
        assert.closeTo(refresh, due, 1e-3, "exact at jitter 0")
      }
    }))
})
