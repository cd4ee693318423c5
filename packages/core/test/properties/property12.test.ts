import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { runOut } from "@keelson/testing/virtualTime"
import { Effect, Exit, Result } from "effect"
import fc from "fast-check"
import { Retry, RetryPolicy } from "../../src/index.ts"

describe("Property 12", () => {
  it("Property 12: success on attempt N of at most maxRetries + 1 is a success with attempts = N [S0-08] [S0-13]", (context) =>
    forAllEffect(
      context,
      200,
      fc.integer({ min: 0, max: 10 }).chain((retries) =>
        fc.tuple(fc.constant(retries), fc.integer({ min: 1, max: retries + 1 }))
      ),
      ([retries, succeedsOn]) =>
        Effect.gen(function*() {
          let calls = 0
          const call = Effect.suspend(() => ++calls === succeedsOn ? Effect.succeed(calls) : Effect.fail("no"))
          const { exit } = yield* runOut(Retry.outcome(call, RetryPolicy.make({ maxAttempts: retries + 1 })))
          assert.deepStrictEqual(
            Exit.map(exit, ({ attempts, result, success }) => ({ attempts, result, success })),
            Exit.succeed({ attempts: succeedsOn, result: Result.succeed(succeedsOn), success: true })
          )
          assert.strictEqual(calls, succeedsOn)
        })
    ))

  it("Property 12: an immediate success is one call [S0-08] [S0-13]", (context) =>
    forAllEffect(context, 100, fc.integer({ min: 1, max: 100 }), (maxAttempts) =>
      Effect.gen(function*() {
        let calls = 0
        const call = Effect.sync(() => ++calls)
        assert.strictEqual(yield* Retry.retry(call, RetryPolicy.make({ maxAttempts })), 1)
        assert.strictEqual(calls, 1)
      })))
})
