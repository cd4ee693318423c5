import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Duration, Effect } from "effect"
import * as BreakerPolicy from "../src/BreakerPolicy.ts"
import { retryPolicyOf } from "../src/internal/retry/policyOf.ts"
import { ConfigurationError } from "../src/KeelsonError.ts"
import * as ResiliencePolicy from "../src/ResiliencePolicy.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"

const refusal = (options: unknown): ConfigurationError => {
  try {
    Reflect.apply(ResiliencePolicy.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, ConfigurationError)
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

describe("ResiliencePolicy", () => {
  it("of nothing has no part at all", () => {
    assert.deepEqual(ResiliencePolicy.make(), { detach: false })
  })

  it("[S3-24] an empty part has the defaults of that part", () => {
    const policy = ResiliencePolicy.make({ retry: {}, breaker: {} })
    const { attemptTimeout: _, deadline: _2, detach: _3, budget: _4, schedule: _5, ...retry } = RetryPolicy.make()
    assert.deepEqual<unknown>(policy.retry, retry)
    assert.deepEqual(policy.breaker, BreakerPolicy.make())
  })

  describe("one decoded policy", () => {
    const document: ResiliencePolicy.Options = {
      deadline: "8 seconds",
      attemptTimeout: "3 seconds",
      detach: true,
      retry: { maxAttempts: 4, jitter: "none", statuses: [503], budget: { ratio: 0.5 } },
      breaker: { failureThreshold: 3, openDuration: "30 seconds" }
    }
    const yaml = `
service:
  deadline: 8 seconds
  attemptTimeout: \${ATTEMPT}
  detach: true
  retry: { maxAttempts: 4, jitter: none, statuses: [503], budget: { ratio: 0.5 } }
  breaker:
    failureThreshold: 3
    openDuration: 30 seconds
`
    const variables = {
      ATTEMPT: "3 seconds",
      BILLING_DEADLINE: "8 seconds",
      BILLING_ATTEMPT_TIMEOUT: "3 seconds",
      BILLING_DETACH: "true",
      BILLING_RETRY_MAX_ATTEMPTS: "4",
      BILLING_RETRY_JITTER: "none",
      BILLING_RETRY_STATUSES_0: "503",
      BILLING_RETRY_BUDGET_RATIO: "0.5",
      BILLING_BREAKER_FAILURE_THRESHOLD: "3",
      BILLING_BREAKER_OPEN_DURATION: "30 seconds"
    }
    const provided = Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

    it.effect("[S2-24] [S3-23] is equal from an object, JSON, YAML and the environment", () =>
      Effect.gen(function*() {
        const made = ResiliencePolicy.make(document)
        assert.deepEqual(made.breaker?.openDuration, Duration.seconds(30))
        assert.deepStrictEqual(made.retry?.budget?.ratio, 0.5)
        assert.deepEqual(yield* Configuration.decode(ResiliencePolicy.ResiliencePolicy)(document), made)
        const json = JSON.stringify({ service: document })
        assert.deepEqual(
          yield* Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, {
            format: "json",
            text: json,
            section: "service"
          }),
          made
        )
        assert.deepEqual(
          yield* Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, {
            format: "yaml",
            text: yaml,
            section: "service"
          }),
          made
        )
        assert.deepEqual(yield* Configuration.fromEnvironment(ResiliencePolicy.ResiliencePolicy, ["billing"]), made)
      }).pipe(provided))
  })

  const refused: ReadonlyArray<readonly [options: object, message: string]> = [
    [
      { attemptTimeout: "9 seconds", deadline: "8 seconds" },
      "attemptTimeout must be at most deadline, which is 8 seconds"
    ],
    [{ retry: { initialDelay: "2 seconds", maxDelay: "1 second" } }, "retry.maxDelay must be at least initialDelay"],
    [{ breaker: { strategy: "ratio", windowSize: 5 } }, "breaker.minimumCalls must be at most windowSize, which is 5"],
    [{ retry: { maxAttempts: 0 } }, "retry.maxAttempts must be a whole number from 1 to 100"],
    [{ retry: { budget: { ratio: -1 } } }, "retry.budget.ratio must be a number from 0 to 10"],
    [
      { breaker: { openDuration: 30 } },
      "breaker.openDuration must be a duration with its unit, from 0 millis to 24 hours"
    ],
    [{ deadline: 8000 }, "deadline must be a duration with its unit, from 1 milli to 24 hours"],
    [{ timeout: "1 second" }, "timeout is not an option"],
    [{ retry: { deadline: "1 second" } }, "retry.deadline is not an option"],
    [{ breaker: { jitter: "full" } }, "breaker.jitter is not an option"],
    [{ retry: { jitter: "some" } }, "retry.jitter must be \"none\""],
    [{ detach: 1 }, "detach must be boolean"],
    [{ retry: true }, "retry must be a section of options"],
    [{ breaker: null }, "breaker must be a section of options"]
  ]
  for (const [options, message] of refused) {
    it(`[S3-23] refuses ${JSON.stringify(options)}, naming the place`, () => {
      const error = refusal(options)
      assert.include(error.message, message)
      assert.strictEqual(error.code, "INVALID_CONFIG")
    })
  }

  describe("retryPolicy", () => {
    it("is the retry part with the times of the whole", () => {
      const policy = ResiliencePolicy.make({
        deadline: "8 seconds",
        attemptTimeout: "3 seconds",
        detach: true,
        retry: { maxAttempts: 2, budget: { ratio: 1 } }
      })
      const retry = retryPolicyOf(policy)
      assert.isDefined(retry)
      assert.strictEqual(retry.maxAttempts, 2)
      assert.deepEqual(retry.deadline, Duration.seconds(8))
      assert.deepEqual(retry.attemptTimeout, Duration.seconds(3))
      assert.isTrue(retry.detach)
      assert.strictEqual(retry.budget?.policy.ratio, 1)
    })

    it("has no time that the whole does not have", () => {
      const retry = retryPolicyOf(ResiliencePolicy.make({ retry: {} }))
      assert.isDefined(retry)
      assert.notProperty(retry, "deadline")
      assert.notProperty(retry, "attemptTimeout")
    })

    it("is absent without a retry part; a disabled one makes one attempt, and errors keep their type", () => {
      assert.isUndefined(retryPolicyOf(ResiliencePolicy.make({ breaker: {} })))
      const disabled = retryPolicyOf(ResiliencePolicy.make({ retry: { enabled: false } }))
      assert.strictEqual(disabled?.enabled, false)
    })
  })
})
