import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { forAllEffect } from "@keelson/testing/properties"
import { Tokens } from "@keelson/testing/tokens"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as Explain from "../../src/Explain.ts"
import { shows } from "../corpus/run.ts"
import { Hostile, now } from "./hostile.ts"
import { hostileValidator } from "./oracle.ts"

describe("Explain and hostile tokens", () => {
  it("[R8] accepts exactly the tokens that the validator accepts, gives the same reason, and renders nothing of a token", (context) =>
    forAllEffect(context, 100, fc.integer(), (seed) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const tokens = yield* hostileValidator()
        const hostile = new Hostile(seed)
        for (let count = 0; count < 50; count++) {
          const { token } = hostile.next()
          const exit = yield* Effect.exit(tokens.validate(token))
          const explanation = yield* Effect.provideService(Explain.explain(Tokens, token), Tokens, tokens)
          assert.strictEqual(explanation.accepted, Exit.isSuccess(exit), token)
          assert.deepStrictEqual(explanation.reason, Exit.isSuccess(exit) ? undefined : errorOf(exit).reason, token)
          assert.isFalse(shows(Explain.render(explanation), token), token)
        }
      })))
})
