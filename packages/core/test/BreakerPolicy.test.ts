import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Schema } from "effect"
import * as BreakerPolicy from "../src/BreakerPolicy.ts"
import * as Configuration from "../src/Configuration.ts"
import { ConfigurationError } from "../src/KeelsonError.ts"

const duration = Schema.decodeUnknownSync(Schema.DurationFromString)

const refusal = (options: unknown): ConfigurationError => {
  try {
    Reflect.apply(BreakerPolicy.make, undefined, [options])
  } catch (error) {
    assert.instanceOf(error, ConfigurationError)
    return error
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`)
}

describe("BreakerPolicy", () => {
  it("of nothing opens at the fifth failure in a row, for 60 s", () => {
    assert.deepEqual(BreakerPolicy.make(), {
      enabled: true,
      strategy: "consecutive",
      failureThreshold: 5,
      failureRatio: 0.5,
      windowSize: 100,
      windowDuration: Duration.minutes(1),
      minimumCalls: 20,
      openDuration: Duration.minutes(1),
      maxOpenDuration: Duration.hours(1),
      openMultiplier: 1,
      openJitter: 0,
      probes: 1,
      probeTimeout: Duration.minutes(1)
    })
  })

  const accepted: ReadonlyArray<BreakerPolicy.Options> = [
    { enabled: false },
    { failureThreshold: 1 },
    { failureThreshold: 10_000 },
    { strategy: "ratio", failureRatio: 0.01 },
    { strategy: "ratio", failureRatio: 1 },
    { windowSize: 1, minimumCalls: 1 },
    { windowSize: 10_000, minimumCalls: 10_000 },
    { openDuration: "0 millis" },
    { openDuration: "24 hours" },
    { maxOpenDuration: "0 millis" },
    { maxOpenDuration: Duration.hours(24) },
    { strategy: "timeWindow", windowDuration: "1 second" },
    { strategy: "timeWindow", windowDuration: "1 hour", minimumCalls: 10_000 },
    { strategy: "ratio", slowCallDuration: "1 millis", slowCallRatio: 0.01 },
    { strategy: "timeWindow", slowCallDuration: "1 hour", slowCallRatio: 1 },
    { openMultiplier: 1, openJitter: 0 },
    { openMultiplier: 10, openJitter: 1 },
    { probes: 100, probeSuccesses: 100 },
    { probes: 3, probeSuccesses: 1 },
    { probeTimeout: "1 millis" },
    { probeTimeout: "1 hour" }
  ]
  for (const options of accepted) {
    it(`[S3-23] accepts ${JSON.stringify(options)}`, () => {
      const made: Record<string, unknown> = { ...BreakerPolicy.make(options) }
      for (const [name, value] of Object.entries(options)) {
        const isText = typeof value === "string" && /Duration$|Timeout$/.test(name)
        assert.deepEqual(made[name], isText ? duration(value) : value)
      }
    })
  }

  const count = "a whole number from 1 to 10000"
  const ratio = "a number from 0.01 to 1"
  const day = "a duration with its unit, from 0 millis to 24 hours"
  const refused: ReadonlyArray<readonly [option: string, values: ReadonlyArray<unknown>, bound: string]> = [
    ["failureThreshold", [0, -1, 10_001, 2.5, NaN, Infinity, "5", null], count],
    ["windowSize", [0, 10_001, 50.5, NaN, "100"], count],
    ["minimumCalls", [0, 10_001, 1.5, -Infinity, "20"], count],
    ["failureRatio", [0, 0.009, 1.001, NaN, Infinity, "0.5"], ratio],
    ["openDuration", ["-1 millis", "86400001 millis", 60, "60", NaN, "Infinity"], day],
    ["maxOpenDuration", ["-1 nanos", "25 hours", 3600], day],
    ["windowDuration", ["999 millis", "61 minutes", 60], "a duration with its unit, from 1 second to 1 hour"],
    ["slowCallDuration", ["0 millis", "61 minutes", 5], "a duration with its unit, from 1 milli to 1 hour"],
    ["slowCallRatio", [0, 1.01, NaN, "1"], ratio],
    ["openMultiplier", [0.99, 10.01, NaN, "2"], "a number from 1 to 10"],
    ["openJitter", [-0.01, 1.01, NaN, "0.5"], "a number from 0 to 1"],
    ["probes", [0, 101, 1.5, "3"], "a whole number from 1 to 100"],
    ["probeSuccesses", [0, 101, 1.5, "3"], "a whole number from 1 to 100"],
    ["probeTimeout", ["0 millis", "61 minutes", 60], "a duration with its unit, from 1 milli to 1 hour"]
  ]
  for (const [option, values, bound] of refused) {
    for (const value of values) {
      it(`[S3-23] refuses ${option} ${typeof value} ${String(value)}, naming the option and its bound`, () => {
        const { details, message } = refusal({
          [option]: value,
          ...(option === "windowSize" ? { minimumCalls: 1 } : {})
        })
        assert.strictEqual(message, `Invalid configuration: ${option} must be ${bound}`)
        assert.deepStrictEqual([details["path"], details["expected"]], [option, bound])
      })
    }
  }

  it("refuses more minimum calls than the window holds, naming both", () => {
    const { details, message } = refusal({ strategy: "ratio", windowSize: 10, minimumCalls: 11 })
    assert.strictEqual(message, "Invalid configuration: minimumCalls must be at most windowSize, which is 10")
    assert.strictEqual(details["path"], "minimumCalls")
    assert.include(
      refusal({ strategy: "ratio", windowSize: 19 }).message,
      "minimumCalls must be at most windowSize, which is 19"
    )
    assert.strictEqual(BreakerPolicy.make({ strategy: "ratio", windowSize: 20 }).minimumCalls, 20)
    assert.strictEqual(BreakerPolicy.make({ windowSize: 10 }).windowSize, 10)
  })

  it("[K-18] refuses options that do nothing under the policy, and more successes than probes", () => {
    const message = (options: unknown) => refusal(options).message.replace("Invalid configuration: ", "")
    assert.strictEqual(
      message({ slowCallDuration: "1 second" }),
      "slowCallDuration must be absent with the strategy consecutive, which does not count slow calls"
    )
    assert.strictEqual(
      message({ strategy: "ratio", slowCallRatio: 0.5 }),
      "slowCallRatio must be absent without slowCallDuration"
    )
    assert.strictEqual(
      message({ probes: 2, probeSuccesses: 3 }),
      "probeSuccesses must be at most probes, which is 2"
    )
    assert.strictEqual(message({ probeSuccesses: 2 }), "probeSuccesses must be at most probes, which is 1")
  })

  it("[S3-23] refuses unknown options and strategies, and a switch that is no boolean", () => {
    assert.strictEqual(refusal({ threshold: 5 }).message, "Invalid configuration: threshold is not an option")
    assert.include(
      refusal({ strategy: "some" }).message,
      "strategy must be \"consecutive\" | \"ratio\" | \"timeWindow\""
    )
    assert.include(refusal({ enabled: "true" }).message, "enabled must be boolean")
  })

  it.effect("[S2-24] [S3-23] threshold and cooldown by object, file or environment are the same", () =>
    Effect.gen(function*() {
      const made = BreakerPolicy.make({ failureThreshold: 3, openDuration: "30 seconds", enabled: false })
      const plain = { failureThreshold: 3, openDuration: "30 seconds", enabled: false }
      const text = (format: "json" | "yaml", text: string) =>
        Configuration.decodeText(BreakerPolicy.BreakerPolicy, { format, text })
      const environment = ConfigProvider.fromEnvRecord({
        KEELSON_BREAKER_FAILURE_THRESHOLD: "3",
        KEELSON_BREAKER_OPEN_DURATION: "30 seconds",
        KEELSON_BREAKER_ENABLED: "false"
      })
      assert.deepEqual(yield* Configuration.decode(BreakerPolicy.BreakerPolicy)(plain), made)
      assert.deepEqual(yield* text("json", JSON.stringify(plain)), made)
      assert.deepEqual(yield* text("yaml", "failureThreshold: 3\nopenDuration: 30 seconds\nenabled: false\n"), made)
      const config = Configuration.fromEnvironment(BreakerPolicy.BreakerPolicy, ["keelson", "breaker"])
      assert.deepEqual(yield* Effect.provideService(config, ConfigProvider.ConfigProvider, environment), made)
    }))

  it.effect("[S3-23] decode fails with a code", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Configuration.decode(BreakerPolicy.BreakerPolicy)({ failureThreshold: 0 }))
      assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "failureThreshold"])
    }))
})
