import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Duration, Effect, Result } from "effect"
import { RefreshPolicy } from "../src/index.ts"

const exact = RefreshPolicy.make({ jitter: 0 })

/** Seconds of a plan. */
const planOf = (policy: RefreshPolicy.RefreshPolicy, seconds: number | undefined, random = 0) => {
  const lifetime = seconds === undefined ? undefined : Duration.seconds(seconds)
  const plan = Result.getOrThrow(RefreshPolicy.plan(policy, lifetime, random))
  return {
    lifetime: Duration.toSeconds(plan.lifetime),
    refreshAfter: Duration.toSeconds(plan.refreshAfter),
    usableFor: Duration.toSeconds(plan.usableFor),
    isLimited: plan.isLimited
  }
}

const errorOf = (f: () => unknown) => {
  try {
    f()
  } catch (error) {
    if (error instanceof KeelsonError.ConfigurationError) {
      return [error.code, error.details["path"], error.details["expected"]]
    }
    throw error
  }
  return undefined
}
const planError = (policy: RefreshPolicy.RefreshPolicy, seconds: number) =>
  errorOf(() => Result.getOrThrowWith(RefreshPolicy.plan(policy, Duration.seconds(seconds), 0), (error) => error))

describe("RefreshPolicy", () => {
  describe("plan", () => {
    const thresholds = [[1000, 120], [600, 120], [599, 119.8], [300, 60], [60, 12], [86_400, 120]] as const
    for (const [lifetime, threshold] of thresholds) {
      it(`[S2-02] a token of ${lifetime} s is refreshed when ${threshold} s remain`, () => {
        assert.closeTo(planOf(exact, lifetime).refreshAfter, lifetime - threshold, 1e-6)
      })
    }

    const skews = [[1000, 30], [300, 30], [200, 20], [60, 6]] as const
    for (const [lifetime, skew] of skews) {
      it(`[S2-07] a token of ${lifetime} s counts as expired ${skew} s early: at most half of the threshold`, () => {
        assert.closeTo(planOf(exact, lifetime).usableFor, lifetime - skew, 1e-6)
      })
    }

    it("[S2-06] an explicit threshold is used unchanged, and the cooldown delays a refresh that would be due at once", () => {
      const policy = RefreshPolicy.make({ threshold: "10 minutes", jitter: 0 })
      assert.strictEqual(planOf(policy, 1000).refreshAfter, 400)
      // Due from the first moment.
      assert.strictEqual(planOf(policy, 600).refreshAfter, 285)
      assert.strictEqual(
        planOf(RefreshPolicy.make({ threshold: "10 minutes", jitter: 0, cooldown: "0 millis" }), 600).refreshAfter,
        0
      )
      const long = RefreshPolicy.make({ threshold: "1 hour", jitter: 0 })
      assert.strictEqual(planOf(long, 3600).refreshAfter, 300)
    })

    it("[S2-06] a token with a lifetime below the threshold is rejected", () => {
      const policy = RefreshPolicy.make({ threshold: "10 minutes" })
      assert.deepStrictEqual(planError(policy, 599), [
        "INVALID_CONFIG",
        "threshold",
        "at most the token's lifetime, which is 599 seconds"
      ])
      assert.strictEqual(planError(policy, 600), undefined)
    })

    it("[S3-35] a buffer is limited to half of the lifetime", () => {
      const policy = RefreshPolicy.make({ buffer: "300 seconds", jitter: 0 })
      assert.strictEqual(planOf(policy, 3600).refreshAfter, 3300)
      assert.strictEqual(planOf(policy, 600).refreshAfter, 300)
      assert.strictEqual(planOf(policy, 100).refreshAfter, 50)
      assert.strictEqual(planOf(RefreshPolicy.make({ buffer: "0 millis" }), 600).refreshAfter, 600)
      assert.strictEqual(planOf(RefreshPolicy.make({ buffer: "0 millis" }), 600).usableFor, 600)
    })

    it("[S3-35] an unstated lifetime is 1 hour, or defaultLifetime", () => {
      assert.strictEqual(planOf(exact, undefined).lifetime, 3600)
      assert.strictEqual(planOf(RefreshPolicy.make({ defaultLifetime: "10 minutes" }), undefined).lifetime, 600)
    })

    it("[S2-04] the minimum lifetime is 60 seconds", () => {
      assert.strictEqual(planError(exact, 60), undefined)
      for (const lifetime of [59.999, 1, 0]) {
        assert.deepStrictEqual(planError(exact, lifetime), [
          "INVALID_CONFIG",
          "lifetime",
          "at least minLifetime, which is 1 minute"
        ])
      }
    })

    it("a lifetime above maxLifetime is limited to it", () => {
      assert.deepInclude(planOf(exact, 86_400), { lifetime: 86_400, isLimited: false })
      assert.deepInclude(planOf(exact, 86_401), { lifetime: 86_400, isLimited: true })
      assert.deepInclude(planOf(exact, 1e300), { lifetime: 86_400, isLimited: true })
    })

    it("[S2-02] jitter brings a refresh forward, by at most a tenth of the threshold", () => {
      const policy = RefreshPolicy.make()
      assert.strictEqual(planOf(policy, 1000, 0).refreshAfter, 880)
      assert.strictEqual(planOf(policy, 1000, 0.5).refreshAfter, 874)
      assert.closeTo(planOf(policy, 1000, 1).refreshAfter, 868, 1e-6)
    })

    it("[S2-08] a 60 s token under a 5-minute cooldown is refreshed in time", () => {
      const { refreshAfter, usableFor } = planOf(RefreshPolicy.make({ cooldown: "5 minutes", jitter: 0 }), 60)
      assert.deepStrictEqual([refreshAfter, usableFor], [48, 54])
    })

    it("[S2-27] the preset of self-signed tokens accepts 30 seconds to 1 hour, and refreshes 30 seconds early", () => {
      const policy = { ...RefreshPolicy.selfSigned, jitter: 0 }
      assert.strictEqual(planOf(policy, 3600).refreshAfter, 3570)
      assert.strictEqual(planOf(policy, 30).refreshAfter, 15)
      assert.deepInclude(planOf(policy, 7200), { lifetime: 3600, isLimited: true })
      assert.strictEqual(planError(policy, 29)?.[1], "lifetime")
    })
  })

  describe("options", () => {
    it("[S2-06] have the defaults of the rows", () => {
      const { cooldown, maxSkew } = RefreshPolicy.make()
      assert.deepStrictEqual([cooldown, maxSkew], [Duration.minutes(5), Duration.seconds(30)])
    })

    const wrong: ReadonlyArray<readonly [RefreshPolicy.Options, string, string]> = [
      [{ threshold: "0 millis" }, "threshold", "a duration with its unit, from 1 milli to 24 hours"],
      [{ cooldown: "25 hours" }, "cooldown", "a duration with its unit, from 0 millis to 24 hours"],
      [{ threshold: "30 seconds" }, "maxSkew", "below threshold, which is 30 seconds"],
      [{ threshold: "1 minute", buffer: "1 minute" }, "buffer", "left out where threshold is given"],
      [{ buffer: "3601 seconds" }, "buffer", "a duration with its unit, from 0 millis to 1 hour"],
      [{ jitter: 0.11 }, "jitter", "a number from 0 to 0.1"],
      [{ minLifetime: "29 seconds" }, "minLifetime", "a duration with its unit, from 30 seconds to 1 hour"],
      [
        { minLifetime: "2 minutes", maxLifetime: "1 minute", defaultLifetime: "1 minute" },
        "minLifetime",
        "at most maxLifetime, which is 1 minute"
      ],
      [
        { minLifetime: "2 minutes", defaultLifetime: "1 minute" },
        "minLifetime",
        "at most defaultLifetime, which is 1 minute"
      ],
      [
        { defaultLifetime: "2 hours", maxLifetime: "1 hour" },
        "defaultLifetime",
        "at most maxLifetime, which is 1 hour"
      ],
      [{ failureDelay: "2 minutes" }, "failureDelay", "at most maxFailureDelay, which is 1 minute"],
      [{ escalateAfter: 0 }, "escalateAfter", "a whole number from 1 to 1000"]
    ]
    for (const [options, path, expected] of wrong) {
      it(`[S2-06] ${JSON.stringify(options)} fails, naming ${path}`, () => {
        const error = errorOf(() => RefreshPolicy.make(options))
        assert.strictEqual(error?.[0], "INVALID_CONFIG")
        assert.include(JSON.stringify(error?.[1]), path)
        assert.include(JSON.stringify(error?.[2]), expected)
      })
    }

    it.effect("[S2-24] are read from a file and from the environment under the same names", () =>
      Effect.gen(function*() {
        const text = "token:\n  threshold: ${LEFT}\n  cooldown: 1 minute\n  maxSkew: 10 seconds\n"
        const variables = {
          LEFT: "90 seconds",
          TOKEN_THRESHOLD: "90 seconds",
          TOKEN_COOLDOWN: "1 minute",
          TOKEN_MAX_SKEW: "10 seconds"
        }
        const expected = RefreshPolicy.make({ threshold: "90 seconds", cooldown: "1 minute", maxSkew: "10 seconds" })
        const [file, environment] = yield* Effect.all([
          Configuration.decodeText(RefreshPolicy.RefreshPolicy, { format: "yaml", text, section: "token" }),
          Configuration.fromEnvironment(RefreshPolicy.RefreshPolicy, ["token"])
        ]).pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: variables })))
        assert.deepStrictEqual(file, expected)
        assert.deepStrictEqual(environment, expected)
        const unknown = yield* Effect.flip(
          Configuration.decode(RefreshPolicy.RefreshPolicy)({ threshhold: "1 minute" })
        )
        assert.strictEqual(unknown.details["path"], "threshhold")
      }))
  })
})
