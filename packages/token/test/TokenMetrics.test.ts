import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { metric } from "@keelson/testing/observe"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, sign, validatorOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { ValidationPolicy } from "../src/index.ts"

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })
const validator = `validator="test/Tokens"`

describe("TokenValidator metrics", () => {
  it.effect("count each validation by its result, hits and misses, and what the cache holds", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* TestClock.adjust("20000 days")
      const pair = yield* pairOf("ES256")
      const tokens = yield* validatorOf(policy, keysOf([pair]))
      const claims = yield* goodClaims
      const token = yield* sign(pair, claims)
      for (let n = 0; n < 3; n++) yield* tokens.validate(token)
      yield* tokens.validateWith(token, {})
      yield* reasonOf(tokens.validateWith(token, { audience: "other" }))
      yield* reasonOf(tokens.validate(yield* sign(pair, { ...claims, exp: 1, iat: 0 })))
      assert.strictEqual(yield* metric("token_validations_total", `${validator},result="accepted"`), 4)
      assert.strictEqual(yield* metric("token_validations_total", `${validator},result="TOK-002"`), 1)
      assert.strictEqual(yield* metric("token_validations_total", `${validator},result="JWT-005"`), 1)
      assert.strictEqual(yield* metric("token_validations_total", `${validator},result="JWT-002"`), 0)
      assert.strictEqual(yield* metric("token_cache_hits_total", validator), 4)
      assert.strictEqual(yield* metric("token_cache_misses_total", validator), 2)
      assert.strictEqual(yield* metric("token_cache_entries", validator), 1)
      assert.isAbove((yield* metric("token_cache_bytes", validator)) ?? 0, 1000)
      yield* tokens.invalidate
      assert.strictEqual(yield* metric("token_cache_entries", validator), 0)
    })).pipe(Effect.provide(Layer.fresh(Metrics.layerIsolated))))
})
