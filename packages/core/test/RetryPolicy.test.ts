import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { runOut } from "@keelson/testing/virtualTime"
import { ConfigProvider, Duration, Effect, Random, Schedule, Schema } from "effect"
import { ConfigurationError } from "../src/KeelsonError.ts"
import * as RetryBudget from "../src/RetryBudget.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import { delaysOf, retryGaps } from "./scheduled.ts"

const refusal = (options: unknown): ConfigurationError => {
  try {
    Reflect.apply(RetryPolicy.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, ConfigurationError)
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

/** How many calls Effect's own retry makes of an effect that always fails. */
const callsOf = (policy: RetryPolicy.RetryPolicy<unknown, unknown>) =>
  Effect.gen(function*() {
    let calls = 0
    const call = Effect.suspend(() => {
      calls++
      return Effect.fail("no")
    })
    const { elapsed } = yield* runOut(Effect.retry(call, RetryPolicy.toSchedule(policy)))
    return { calls, elapsed: Duration.toMillis(elapsed) }
  })

const presets = {
  standard: RetryPolicy.standard,
  jwks: RetryPolicy.jwks,
  tokenGuard: RetryPolicy.tokenGuard,
  objectStore: RetryPolicy.objectStore
}

describe("RetryPolicy", () => {
  describe("presets", () => {
    const statuses = [429, 502, 503, 504]
    const rest = {
      enabled: true,
      strategy: "exponential",
      increment: Duration.seconds(1),
      retryAfterCeiling: Duration.minutes(1),
      retryAfterBeyond: "stop",
      detach: false,
      budget: undefined,
      schedule: undefined
    }

    it("[S0-02] standard: 3 retries, 1 s to 30 s, ± 20 %, statuses 429 502 503 504", () => {
      assert.deepEqual<unknown>(RetryPolicy.standard, {
        ...rest,
        maxAttempts: 4,
        initialDelay: Duration.seconds(1),
        maxDelay: Duration.seconds(30),
        multiplier: 2,
        jitter: "proportional",
        jitterRatio: 0.2,
        statuses
      })
    })

    it("[S1-16] [S1-17] jwks: initial + 2 within 8 s, 3 s each, 250 ms to 2 s, full jitter", () => {
      assert.deepEqual<unknown>(RetryPolicy.jwks, {
        ...rest,
        maxAttempts: 3,
        initialDelay: Duration.millis(250),
        maxDelay: Duration.seconds(2),
        multiplier: 2,
        jitter: "full",
        jitterRatio: 0.2,
        statuses,
        attemptTimeout: Duration.seconds(3),
        deadline: Duration.seconds(8)
      })
    })

    it("[S2-11] tokenGuard: 4 attempts, 200 ms growing by 1.8 to 5 s, full jitter", () => {
      assert.deepEqual<unknown>(RetryPolicy.tokenGuard, {
        ...rest,
        maxAttempts: 4,
        initialDelay: Duration.millis(200),
        maxDelay: Duration.seconds(5),
        multiplier: 1.8,
        jitter: "full",
        jitterRatio: 0.2,
        statuses
      })
    })

    it("objectStore: 3 attempts, 100 ms to 1 s, full jitter, 500 too", () => {
      assert.deepEqual<unknown>(RetryPolicy.objectStore, {
        ...rest,
        maxAttempts: 3,
        initialDelay: Duration.millis(100),
        maxDelay: Duration.seconds(1),
        multiplier: 2,
        jitter: "full",
        jitterRatio: 0.2,
        statuses: [429, 500, 502, 503, 504]
      })
    })
  })

  describe("toSchedule", () => {
    for (const [name, preset] of Object.entries(presets)) {
      it.effect(`[S3-20] ${name} in Effect's own retry makes maxAttempts calls, within its delays`, () =>
        Effect.gen(function*() {
          const { calls, elapsed } = yield* Random.withSeed(callsOf(preset), name)
          assert.strictEqual(calls, preset.maxAttempts)
          const cap = Duration.toMillis(preset.maxDelay!)
          assert.isAbove(elapsed, 0)
          assert.isAtMost(elapsed, cap * (preset.maxAttempts - 1))
        }))
    }

    it.effect("[S3-20] 3 attempts are 2 delays", () =>
      Effect.gen(function*() {
        const policy = RetryPolicy.make({ maxAttempts: 3, jitter: "none" })
        assert.deepStrictEqual(yield* retryGaps(RetryPolicy.toSchedule(policy), "no"), [1000, 2000])
      }))

    for (const options of [{ maxAttempts: 1 }, { maxAttempts: 9, enabled: false }]) {
      it.effect(`[S0-10] ${JSON.stringify(options)} is one call without a sleep`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* callsOf(RetryPolicy.make(options)), { calls: 1, elapsed: 0 })
        }))
    }

    it.effect("limits a schedule of one's own to maxAttempts, and otherwise leaves it alone", () =>
      Effect.gen(function*() {
        const spaced = RetryPolicy.make({ maxAttempts: 4, schedule: Schedule.spaced("7 seconds") })
        assert.deepStrictEqual(yield* retryGaps(RetryPolicy.toSchedule(spaced), "no"), [7000, 7000, 7000])
        const short = RetryPolicy.make({
          maxAttempts: 10,
          schedule: Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 2 }))
        })
        assert.deepStrictEqual(yield* retryGaps(RetryPolicy.toSchedule(short), "no"), [1000, 2000])
      }))

    it.effect("starts anew with each use", () =>
      Effect.gen(function*() {
        const schedule = RetryPolicy.toSchedule(RetryPolicy.make({ maxAttempts: 3, jitter: "none" }))
        assert.deepStrictEqual(yield* delaysOf(schedule, 9, "no"), [1000, 2000])
        assert.deepStrictEqual(yield* delaysOf(schedule, 9, "no"), [1000, 2000])
      }))
  })

  describe("make", () => {
    it("[S0-01] takes attempts, delays, jitter and statuses in one object", () => {
      const policy = RetryPolicy.make({
        maxAttempts: 6,
        initialDelay: "2 seconds",
        maxDelay: Duration.seconds(9),
        jitter: "equal",
        statuses: [418]
      })
      assert.strictEqual(policy.maxAttempts, 6)
      assert.deepEqual(policy.initialDelay, Duration.seconds(2))
      assert.deepEqual(policy.maxDelay, Duration.seconds(9))
      assert.strictEqual(policy.jitter, "equal")
      assert.deepStrictEqual(policy.statuses, [418])
    })

    it("[S3-24] of nothing has 3 attempts, exponential from 1 s without a cap, no time limit and no budget", () => {
      const policy = RetryPolicy.make()
      assert.strictEqual(policy.maxAttempts, 3)
      assert.deepStrictEqual([policy.strategy, policy.multiplier, policy.jitter], ["exponential", 2, "full"])
      assert.deepEqual([policy.initialDelay, policy.increment], [Duration.seconds(1), Duration.seconds(1)])
      assert.deepStrictEqual(policy.statuses, [429, 502, 503, 504])
      assert.isTrue(policy.enabled)
      for (const key of ["maxDelay", "attemptTimeout", "deadline", "budget", "schedule"] as const) {
        assert.isUndefined(policy[key])
      }
    })

    it("keeps a shared budget itself, and makes one of options", () => {
      const budget = RetryBudget.make({ ratio: 0.5 })
      assert.strictEqual(RetryPolicy.make({ budget }).budget, budget)
      const own = RetryPolicy.make({ budget: { ratio: 0.3, window: "20 seconds" } }).budget
      assert.deepEqual(own?.policy, { ratio: 0.3, minPerSecond: 1, window: Duration.seconds(20) })
    })

    const accepted: ReadonlyArray<RetryPolicy.Options> = [
      { maxAttempts: 1 },
      { maxAttempts: 100 },
      { statuses: [] },
      { statuses: [400, 599] },
      { retryAfterCeiling: "0 millis" },
      { retryAfterCeiling: "24 hours" },
      { retryAfterBeyond: "clamp" },
      { attemptTimeout: "1 millis" },
      { attemptTimeout: "1 hour" },
      { deadline: "1 millis" },
      { deadline: "24 hours" },
      { attemptTimeout: "3 seconds", deadline: "3 seconds" },
      { budget: { ratio: 0, minPerSecond: 0, window: "1 second" } },
      { budget: { ratio: 10, minPerSecond: 10_000, window: "10 minutes" } }
    ]
    for (const options of accepted) {
      it(`[S3-23] accepts ${JSON.stringify(options)}`, () => {
        assert.isTrue(RetryPolicy.make(options).enabled)
      })
    }

    const attempts = "a whole number from 1 to 100"
    const status = "a whole number from 400 to 599"
    const timeout = "a duration with its unit, from 1 milli to 1 hour"
    const day = "a duration with its unit, from 1 milli to 24 hours"
    const ceiling = "a duration with its unit, from 0 millis to 24 hours"
    const refused: ReadonlyArray<readonly [options: object, path: string, bound: string]> = [
      ...[0, -1, 101, 1.5, NaN, Infinity, "3", "three", null, true].map((maxAttempts) =>
        [{ maxAttempts }, "maxAttempts", attempts] as const
      ),
      ...[399, 600, 429.5, "503"].map((code) => [{ statuses: [503, code] }, "statuses.1", status] as const),
      ...["0 millis", "999 micros", "3600001 millis", 3000, "3000", Infinity].map((attemptTimeout) =>
        [{ attemptTimeout }, "attemptTimeout", timeout] as const
      ),
      ...["0 millis", "25 hours", 8000, NaN].map((deadline) => [{ deadline }, "deadline", day] as const),
      ...["-1 millis", "86400001 millis", 60].map((retryAfterCeiling) =>
        [{ retryAfterCeiling }, "retryAfterCeiling", ceiling] as const
      ),
      [{ budget: { ratio: 10.1 } }, "budget.ratio", "a number from 0 to 10"],
      [{ budget: { minPerSecond: -1 } }, "budget.minPerSecond", "a number from 0 to 10000"],
      [{ budget: { window: "999 millis" } }, "budget.window", "a duration with its unit, from 1 second to 10 minutes"]
    ]
    for (const [options, path, bound] of refused) {
      it(`[S3-23] refuses ${JSON.stringify(options)} (${String(Object.values(options)[0])}) by its bound`, () => {
        const error = refusal(options)
        assert.strictEqual(error.message, `Invalid configuration: ${path} must be ${bound}`)
        assert.deepEqual(error.details["issues"], [{ path, expected: bound }])
      })
    }

    it("[S1-16] refuses an attempt timeout above the deadline, naming both", () => {
      const { details, message } = refusal({ attemptTimeout: "8001 millis", deadline: "8 seconds" })
      assert.strictEqual(message, "Invalid configuration: attemptTimeout must be at most deadline, which is 8 seconds")
      assert.strictEqual(details["path"], "attemptTimeout")
    })

    it("[S1-16] refuses a cap below the initial delay", () => {
      assert.strictEqual(refusal({ initialDelay: "2 seconds", maxDelay: "1 second" }).details["path"], "maxDelay")
    })

    it("reports every issue at once", () => {
      const { details } = refusal({ maxAttempts: 0, multiplier: 0, jitter: "wild", typo: 1 })
      const issues = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ path: Schema.String })))(details["issues"])
      assert.sameMembers(issues.map(({ path }) => path), ["maxAttempts", "multiplier", "jitter", "typo"])
    })

    it("[S3-23] refuses unknown options, nested ones too", () => {
      assert.strictEqual(refusal({ maxRetries: 3 }).message, "Invalid configuration: maxRetries is not an option")
      assert.include(refusal({ budget: { rate: 1 } }).message, "budget.rate is not an option")
      assert.include(refusal(JSON.parse("{\"__proto__\":{\"maxAttempts\":9}}")).message, "__proto__ is not an option")
    })

    it("[S2-24] refuses an unknown jitter, naming the known ones", () => {
      assert.include(refusal({ jitter: "some" }).message, "\"none\" | \"full\" | \"equal\"")
    })
  })

  describe("sources", () => {
    const plain = {
      maxAttempts: 5,
      initialDelay: "100 millis",
      maxDelay: "2 seconds",
      multiplier: 1.5,
      jitter: "equal"
    } as const
    const variables = {
      KEELSON_RETRY_MAX_ATTEMPTS: "5",
      KEELSON_RETRY_INITIAL_DELAY: "100 millis",
      KEELSON_RETRY_MAX_DELAY: "2 seconds",
      KEELSON_RETRY_MULTIPLIER: "1.5",
      KEELSON_RETRY_JITTER: "equal",
      KEELSON_RETRY_STATUSES: "429,500",
      KEELSON_RETRY_BUDGET_RATIO: "0.5"
    }
    const document: { readonly retry: RetryPolicy.Options } = {
      retry: { ...plain, statuses: [429, 500], budget: { ratio: 0.5 } }
    }
    const yaml = [
      "retry:",
      ...Object.entries(plain).map(([name, value]) => `  ${name}: ${value}`),
      "  statuses: [429, 500]",
      "  budget:",
      "    ratio: 0.5"
    ].join("\n")
    const text = (format: "json" | "yaml", text: string) =>
      Effect.map(Configuration.decodeText(RetryPolicy.Data, { format, text, section: "retry" }), RetryPolicy.fromData)

    it.effect("[S2-24] [S3-23] an object, JSON, YAML and the environment give the same policy", () =>
      Effect.gen(function*() {
        const decoded = RetryPolicy.fromData(yield* Configuration.decode(RetryPolicy.Data)(document.retry))
        const environment = Configuration.fromEnvironment(RetryPolicy.Data, ["keelson", "retry"]).pipe(
          Effect.map(RetryPolicy.fromData),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))
        )
        const others = [
          yield* text("json", JSON.stringify(document)),
          yield* text("yaml", yaml),
          yield* environment,
          RetryPolicy.make(document.retry)
        ]
        const comparable = ({ budget, ...policy }: typeof decoded) => ({
          ...policy,
          schedule: undefined,
          budget: budget?.policy
        })
        assert.strictEqual(decoded.maxAttempts, 5)
        assert.strictEqual(decoded.budget?.policy.ratio, 0.5)
        for (const other of others) assert.deepEqual(comparable(other), comparable(decoded))
      }))

    it.effect("[S3-23] decode fails, with a code and without throwing", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Configuration.decode(RetryPolicy.Data)({ maxAttempts: 0 }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.strictEqual(error.details["path"], "maxAttempts")
      }))
  })
})
