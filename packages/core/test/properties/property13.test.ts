import { assert, describe, it } from "@effect/vitest"
import { exhausted } from "@keelson/testing/exits"
import { forAllEffect } from "@keelson/testing/properties"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect } from "effect"
import fc from "fast-check"
import { Backoff, Retry, RetryPolicy } from "../../src/index.ts"
import { delayBand } from "../../src/internal/retry/delayBand.ts"

const strategy = fc.constantFrom("fixed", "linear", "exponential")
const jitter = fc.constantFrom("none", "full", "equal", "proportional", "decorrelated")

describe("Property 13", () => {
  it("Property 13: an operation that always fails runs maxRetries + 1 times and returns the last error with the attempts [S0-09] [S0-13]", (context) =>
    forAllEffect(
      context,
      200,
      fc.record({ retries: fc.integer({ min: 0, max: 10 }), strategy, jitter }),
      ({ jitter, retries, strategy }) =>
        Effect.gen(function*() {
          let calls = 0
          const call = Effect.suspend(() => Effect.fail({ call: ++calls }))
          const policy = RetryPolicy.make({ maxAttempts: retries + 1, strategy, jitter, maxDelay: "10 seconds" })
          const { exit } = yield* runOut(Retry.retry(call, policy))
          const error = exhausted(exit)
          assert.deepStrictEqual(
            [calls, error.error, error.attempts.length, error.stoppedBy],
            [retries + 1, { call: retries + 1 }, retries + 1, "attempts"]
          )
        })
    ))

  it("Property 13: the delays in the history are those that a backoff allows [S0-13]", (context) =>
    forAllEffect(
      context,
      200,
      fc.record({ retries: fc.integer({ min: 1, max: 10 }), strategy, jitter }),
      ({ jitter, retries, strategy }) =>
        Effect.gen(function*() {
          const backoff = Backoff.make({ strategy, jitter, initialDelay: "100 millis", maxDelay: "2 seconds" })
          const policy = RetryPolicy.make({ ...backoff, maxAttempts: retries + 1 })
          const { exit } = yield* runOut(Retry.retry(Effect.fail("no"), policy))
          const error = exhausted(exit)
          error.attempts.slice(0, -1).forEach(({ delay }, index, all) => {
            const { max, min } = delayBand(backoff, index, all[index - 1]?.delay)
            const millis = Duration.toMillis(delay)
            assert.isAtLeast(millis, min - 1e-6)
            assert.isAtMost(millis, max + 1e-6)
          })
        })
    ))
})
