import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { makeRedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, RevocableTokens, sign } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Redacted } from "effect"
import { Revocation, ValidationPolicy } from "../src/index.ts"
import { inMillis, unavailable } from "./RevocationSuite.ts"

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })

/** A validator that checks revocation, and its list. */
const over = Effect.fnUntraced(function*<E>(list: Layer.Layer<Revocation.Revocation, E>) {
  const keys = keysOf([yield* pairOf("ES256")])
  const context = yield* Layer.build(Layer.provideMerge(RevocableTokens.layer(policy), Layer.merge(keys, list)))
  return { tokens: Context.get(context, RevocableTokens), list: Context.get(context, Revocation.Revocation) }
})

const signed = Effect.fnUntraced(function*(claims: Readonly<Record<string, unknown>> = {}) {
  return yield* sign(yield* pairOf("ES256"), { ...yield* goodClaims, ...claims })
})

const revoked = { _tag: "TokenRevoked" } as const
const unavailableReason = { _tag: "RevocationUnavailable" } as const

describe("A validator that checks revocation", () => {
  const subjects: ReadonlyArray<Revocation.Subject> = [
    { issuer, jti: "token-1" },
    { issuer, sid: "session-1" },
    { issuer, sub: "user-1" }
  ]
  for (const subject of subjects) {
    const [, kind = ""] = Object.keys(subject)
    it.effect(`[R6] [T3] [K-04] a cached token is rejected as soon as its ${kind} is revoked, and others are not`, () =>
      Effect.gen(function*() {
        const { list, tokens } = yield* over(Revocation.layerMemory())
        const token = yield* signed({ sid: "session-1" })
        const other = yield* signed({ jti: "token-2", sid: "session-2", sub: "user-2" })
        for (const one of [token, token, other]) yield* tokens.validate(one)
        yield* list.revoke(subject, yield* inMillis(3_600_000))
        assert.deepInclude(yield* reasonOf(tokens.validate(token)), revoked)
        assert.deepInclude(yield* reasonOf(tokens.validateWith(token, { audience })), revoked)
        assert.deepInclude(yield* reasonOf(tokens.validateWith(token, { skipExpiry: true })), revoked)
        yield* tokens.validate(other)
      }))
  }

  it.effect("[K-28 J18] [R6] revocation is asked with every option of a call, for a token in the cache and a new one", () =>
    Effect.gen(function*() {
      const { list, tokens } = yield* over(Revocation.layerMemory())
      const accessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
      const cases = [
        {},
        { accessToken },
        { accessToken: Redacted.make(accessToken) },
        { audience },
        { issuer },
        { requiredClaims: ["sub"] },
        { nonce: "n" },
        { skipExpiry: true },
        { accessToken, audience, issuer, requiredClaims: ["sub"], nonce: "n", skipExpiry: true }
      ]
      for (const [index, options] of cases.entries()) {
        const jti = `token-${index}`
        const at_hash = "77QmUPtjPfzWtF2AnpK9RQ"
        const cached = yield* signed({ jti, nonce: "n", at_hash })
        const fresh = yield* signed({ jti, nonce: "n", at_hash, other: 1 })
        yield* tokens.validateWith(cached, options)
        yield* list.revoke({ issuer, jti }, yield* inMillis(3_600_000))
        for (const token of [cached, fresh]) {
          assert.deepInclude(yield* reasonOf(tokens.validateWith(token, options)), revoked, JSON.stringify(options))
        }
      }
    }))

  it.effect("[K-04] a revoked token is rejected at its first use too, with a 401", () =>
    Effect.gen(function*() {
      const { list, tokens } = yield* over(Revocation.layerMemory())
      yield* list.revoke({ issuer, jti: "token-1" }, yield* inMillis(3_600_000))
      const exit = yield* Effect.exit(tokens.validate(yield* signed()))
      assert.deepInclude(Problem.encode(errorOf(exit)), { error_code: "JWT-010" })
      assert.strictEqual(errorOf(exit).status, 401)
    }))

  it.effect("[T6] [K-03] [R10] an unavailable list is a 503 for a valid token, cached or not, and changes nothing for an invalid one", () =>
    Effect.gen(function*() {
      let isDown = false
      const { tokens } = yield* over(Layer.succeed(Revocation.Revocation, {
        isRevoked: () =>
          Effect.suspend(() =>
            isDown ? Effect.fail(new Revocation.RevocationUnavailable({ reason: "store" })) : Effect.succeed(false)
          ),
        revoke: () => Effect.void
      }))
      const [token, unseen, foreign] = [yield* signed(), yield* signed({ jti: "2" }), yield* signed({ aud: "others" })]
      yield* tokens.validate(token)
      isDown = true
      for (const good of [token, unseen]) {
        const error = errorOf(yield* Effect.exit(tokens.validate(good)))
        assert.deepInclude(error.reason, unavailableReason)
        assert.strictEqual(error.status, 503)
        assert.isFalse(error.isRejection)
      }
      assert.deepInclude(yield* reasonOf(tokens.validate(foreign)), { _tag: "AudienceMismatch" })
      isDown = false
      for (const good of [token, unseen]) yield* tokens.validate(good)
    }))

  it.live.skipIf(skipReason !== undefined)(
    "[R10] [T6] [K-03] an outage of Redis is a 503, also for a cached token, until Redis is available again",
    () =>
      Effect.gen(function*() {
        const server = yield* makeRedisServer
        const { list, tokens } = yield* over(Revocation.layerRedis({ redis: server.redis }))
        const token = yield* signed()
        assert.deepInclude(yield* reasonOf(tokens.validate(token)), unavailableReason)
        yield* server.start
        yield* Effect.eventually(Effect.tapError(tokens.validate(token), () => Effect.sleep("10 millis")))
        yield* server.freeze
        yield* Effect.ensuring(
          Effect.gen(function*() {
            assert.deepInclude(yield* reasonOf(tokens.validate(token)), unavailableReason)
            const until = yield* inMillis(3_600_000)
            assert.strictEqual(yield* unavailable(list.revoke({ issuer, sub: "user-1" }, until)), "store")
            assert.deepInclude(yield* reasonOf(tokens.validate(token)), revoked)
          }),
          server.thaw
        )
      })
  )

  it.live.skipIf(skipReason !== undefined)(
    "[K-04] a token revoked in one process is rejected at once in another that has it in its cache",
    () =>
      Effect.gen(function*() {
        const { redis } = yield* redisServer
        const deny = () => Layer.fresh(Revocation.layerRedis({ redis, timeout: "10 seconds" }))
        const [one, other] = [yield* over(deny()), yield* over(deny())]
        const token = yield* signed({ sid: "session-1" })
        yield* Effect.andThen(one.tokens.validate(token), other.tokens.validate(token))
        yield* one.list.revoke({ issuer, sid: "session-1" }, yield* inMillis(3_600_000))
        for (const { tokens } of [one, other]) assert.deepInclude(yield* reasonOf(tokens.validate(token)), revoked)
      })
  )
})
