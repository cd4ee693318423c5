import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Schema } from "effect"
import * as BreakerPolicy from "../src/BreakerPolicy.ts"
import * as Configuration from "../src/Configuration.ts"
import { toTripPolicy } from "../src/internal/breaker/executeCall.ts"
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
      minimumCalls: 20,
      openDuration: Duration.minutes(1),
      maxOpenDuration: Duration.hours(1)
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
    { maxOpenDuration: Duration.hours(24) }
  ]
  for (const options of accepted) {
    it(`[S3-23] accepts ${JSON.stringify(options)}`, () => {
      const made: Record<string, unknown> = { ...BreakerPolicy.make(options) }
      for (const [name, value] of Object.entries(options)) {
        const isText = typeof value === "string" && name.endsWith("Duration")
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
    ["maxOpenDuration", ["-1 nanos", "25 hours", 3600], day]
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

  it("[S3-23] refuses unknown options and strategies, and a switch that is no boolean", () => {
    assert.strictEqual(refusal({ threshold: 5 }).message, "Invalid configuration: threshold is not an option")
    assert.include(refusal({ strategy: "some" }).message, "strategy must be \"consecutive\" | \"ratio\"")
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

  it("is a count or a rate in the terms of Effect's breaker", () => {
    const counted = BreakerPolicy.make({ failureThreshold: 7 })
    assert.deepEqual(toTripPolicy(counted), { _tag: "Consecutive", failures: 7 })
    const rated = BreakerPolicy.make({ strategy: "ratio", failureRatio: 0.25, windowSize: 40, minimumCalls: 8 })
    assert.deepEqual(toTripPolicy(rated), { _tag: "Rate", threshold: 0.25, minimumCalls: 8, size: 40 })
  })
})
