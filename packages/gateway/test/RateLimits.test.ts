import { assert, describe, it } from "@effect/vitest"
import { BucketOptions, RateLimits } from "@keelson/gateway"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"

const make = (options: BucketOptions.RateLimitOptions, maxEntries = 1000) =>
  Effect.map(
    Clock.Clock,
    (clock) =>
      RateLimits.local(clock, { maxEntries, fallback: "local" })(
        "b",
        Schema.decodeUnknownSync(BucketOptions.RateLimit)(options)
      )
  )

const admitted = (ask: () => unknown, times: number): number =>
  Array.from({ length: times }, ask).filter((rejection) => rejection === undefined).length

describe("RateLimits", () => {
  it.effect("[R39] a rejected request is counted nowhere", () =>
    Effect.gen(function*() {
      const limits = yield* make({ perUser: "2 per hour", perBucket: "5 per hour" })
      assert.strictEqual(admitted(() => limits.caller?.("a"), 10), 2)
      assert.deepStrictEqual(limits.caller?.("a"), { limit: "perUser", retryAfter: 1800 })
      assert.strictEqual(admitted(() => limits.caller?.("b"), 10), 2)
      assert.strictEqual(admitted(() => limits.caller?.("c"), 10), 1)
      assert.strictEqual(limits.caller?.("d")?.limit, "perBucket")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(admitted(() => limits.caller?.("d"), 10), 2)
      assert.strictEqual(admitted(() => limits.caller?.(undefined), 10), 3)
    }))

  it.effect("[S4-48] addresses, users and the bucket are counted apart, and what is not limited is not asked", () =>
    Effect.gen(function*() {
      const limits = yield* make({ perAddress: "1 per second" })
      assert.strictEqual(limits.caller, undefined)
      assert.strictEqual(limits.address?.("a"), undefined)
      assert.deepStrictEqual(limits.address?.("a"), { limit: "perAddress", retryAfter: 1 })
      assert.strictEqual(limits.address?.("b"), undefined)
      const none = yield* make({})
      assert.deepStrictEqual(none, { address: undefined, caller: undefined })
      const clock = yield* Clock.Clock
      const limitsOf = RateLimits.local(clock, { maxEntries: 1000, fallback: "local" })
      const option = { algorithm: "tokenBucket", perAddress: "1 per second" } as const
      assert.strictEqual(limitsOf("one", option).address?.("a"), undefined)
      assert.strictEqual(limitsOf("other", option).address?.("a"), undefined)
    }))

  it.effect("[S4-48] a token bucket admits a burst, then the rate; a window admits no more than its limit", () =>
    Effect.gen(function*() {
      const tokens = yield* make({ perAddress: "10 per second" })
      const window = yield* make({ algorithm: "slidingWindow", perAddress: "10 per second" })
      for (const { address } of [tokens, window]) assert.strictEqual(admitted(() => address?.("a"), 50), 10)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(admitted(() => tokens.address?.("a"), 50), 5)
      assert.strictEqual(admitted(() => window.address?.("a"), 50), 0)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(admitted(() => tokens.address?.("a"), 50), 5)
      assert.strictEqual(admitted(() => window.address?.("a"), 50), 10)
    }))

  it.effect("[R39] names are bounded, and no number of addresses makes the count of the bucket forgotten", () =>
    Effect.gen(function*() {
      const limits = yield* make({ perAddress: "1 per hour", perBucket: "1 per hour" })
      assert.strictEqual(limits.address?.("first"), undefined)
      assert.strictEqual(limits.caller?.(undefined), undefined)
      for (let index = 0; index < 5000; index++) limits.address?.(`a${index}`)
      assert.strictEqual(limits.address?.("first"), undefined)
      assert.strictEqual(limits.caller?.(undefined)?.limit, "perBucket")
    }))

  it.effect("[R39] windows with many times take a bounded memory", () =>
    Effect.gen(function*() {
      // 1000 entries of 1 KiB: twelve windows with 10,000 times of 8 bytes fill it.
      const limits = yield* make({ algorithm: "slidingWindow", perUser: "10000 per hour" })
      for (let user = 0; user < 20; user++) {
        assert.strictEqual(admitted(() => limits.caller?.(`u${user}`), 10_001), 10_000)
      }
      assert.strictEqual(limits.caller?.("u19")?.limit, "perUser")
      assert.strictEqual(limits.caller?.("u0"), undefined)
    }))

  it.effect("rates have a count and a time, and others fail with the bound", () =>
    Effect.gen(function*() {
      const isRate = (perUser: string, algorithm: "tokenBucket" | "slidingWindow" = "tokenBucket") =>
        Exit.isSuccess(Schema.decodeUnknownExit(BucketOptions.RateLimit)({ algorithm, perUser }))
      for (
        const rate of [
          "100 per second",
          "5 per 10 seconds",
          "1/s",
          "60 / minute",
          "1000000 per day",
          "1 per 24 hours",
          "3 per 500ms"
        ]
      ) {
        assert.isTrue(isRate(rate), rate)
      }
      for (
        const rate of [
          "",
          "100",
          "per second",
          "0 per second",
          "-1 per second",
          "1.5 per second",
          "1000001 per second",
          "1 per 0 seconds",
          "1 per 25 hours",
          "1 per month",
          "1e3 per second"
        ]
      ) {
        assert.isFalse(isRate(rate), rate)
      }
      assert.isTrue(isRate("10000 per second", "slidingWindow"))
      assert.isFalse(isRate("10001 per second", "slidingWindow"))
      yield* Effect.void
    }))
})
