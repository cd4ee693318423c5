import { assert, describe, it } from "@effect/vitest"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, sign, validatorOf } from "@keelson/testing/tokens"
import { Effect, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { TokenValidator, ValidationPolicy } from "../src/index.ts"
import { SignatureVerifier } from "../src/internal/validation/signature.ts"

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })

/** A validator with one key, and a function that signs with it. Virtual time is set to real time. */
const scene = Effect.fnUntraced(function*(more: Partial<ValidationPolicy.Options> = {}) {
  yield* TestClock.adjust("20000 days")
  const pair = yield* pairOf("ES256")
  const tokens = yield* validatorOf({ ...policy, ...more }, keysOf([pair]))
  const claims = yield* goodClaims
  const signed = (changes: Readonly<Record<string, unknown>> = {}, header: Readonly<Record<string, unknown>> = {}) =>
    sign(pair, { ...claims, ...changes }, header)
  return { pair, tokens, claims, signed, now: claims.iat ?? 0 }
})

/** The reason to reject a token with these claims and this header. */
const refusal = (
  changes: Readonly<Record<string, unknown>>,
  more?: Partial<ValidationPolicy.Options>,
  header?: Readonly<Record<string, unknown>>
) =>
  Effect.gen(function*() {
    const { signed, tokens } = yield* scene(more)
    return yield* reasonOf(tokens.validate(yield* signed(changes, header)))
  })

describe("TokenValidator", () => {
  describe("validate", () => {
    it.effect("[S0-22] [K-08] gives typed claims, and the registered ones in one form", () =>
      Effect.gen(function*() {
        const { claims, now, signed, tokens } = yield* scene()
        const token = yield* signed({
          scope: "read  write",
          aud: [audience, "other"],
          nbf: now,
          sid: "s",
          roles: ["a"]
        })
        const validated = yield* tokens.validate(token)
        assert.deepStrictEqual(validated.registered, {
          iss: issuer,
          sub: "user-1",
          aud: [audience, "other"],
          exp: now + 3600,
          nbf: now,
          iat: now,
          jti: "token-1",
          sid: "s",
          client_id: "client-1",
          cnf: undefined,
          scope: "read  write",
          scopes: ["read", "write"]
        })
        assert.deepStrictEqual(validated.claims.roles, ["a"])
        assert.strictEqual(validated.claims.sub, claims.sub)
      }))

    it.effect("[S0-22] accepts a Redacted token, and rejects what is not text", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene()
        const validated = yield* tokens.validate(Redacted.make(yield* signed()))
        assert.strictEqual(validated.claims.sub, "user-1")
        const hostile: ReadonlyArray<unknown> = [undefined, null, 7, {}, [], Redacted.make(7)]
        for (const token of hostile) {
          // @ts-expect-error -- as from JavaScript
          const reason = yield* reasonOf(tokens.validate(token))
          assert.deepStrictEqual(reason, { _tag: "TokenMalformed", part: "token", problem: "segments" })
        }
      }))

    it.effect("[R6] the result is frozen deeply", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene()
        const result = yield* tokens.validate(yield* signed({ roles: ["a"], amr: ["pwd"] }))
        const { claims, registered } = result
        for (const held of [result, claims, claims.roles, claims.amr, registered, registered.aud, registered.scopes]) {
          assert.isTrue(Object.isFrozen(held))
        }
      }))

    it.effect("[S0-22] a scope in an array, or in scp, is a scope too", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene()
        const scopesOf = (changes: Readonly<Record<string, unknown>>) =>
          Effect.flatMap(signed(changes), (token) => Effect.map(tokens.validate(token), ({ registered }) => registered))
        assert.deepInclude(yield* scopesOf({ scp: ["a", "b"] }), { scope: "a b", scopes: ["a", "b"] })
        assert.deepInclude(yield* scopesOf({ scp: "a b" }), { scope: "a b", scopes: ["a", "b"] })
        assert.deepInclude(yield* scopesOf({ scope: "c", scp: "a b" }), { scope: "c", scopes: ["c"] })
        assert.deepInclude(yield* scopesOf({}), { scope: undefined, scopes: [] })
      }))

    it.effect("[S0-22] a scope in a list stays one, though it has a space", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene()
        const { registered } = yield* tokens.validate(yield* signed({ scp: ["read admin", "write"] }))
        assert.deepStrictEqual(registered.scopes, ["read admin", "write"])
      }))

    it.effect("[T1] [K-08] where the policy says so, client_id says who a token is for, and has to", () =>
      Effect.gen(function*() {
        const policy = {
          profile: "jwt",
          types: ["at+jwt"],
          audienceClaim: "client_id",
          audiences: ["client-1"]
        } as const
        const pair = yield* pairOf("ES256")
        const validator = yield* TokenValidator.make(
          "test/Cognito",
          {
            claims: Schema.Struct({ sub: Schema.String }),
            policy: { issuers: [issuer], algorithms: ["ES256"], ...policy }
          }
        ).pipe(Effect.provide(keysOf([pair])))
        const { aud: _, ...claims } = yield* goodClaims
        const validated = yield* validator.validate(yield* sign(pair, claims))
        assert.deepStrictEqual([validated.registered.aud, validated.registered.client_id], [[], "client-1"])
        const reason = (changes: object) =>
          Effect.flatMap(sign(pair, { ...claims, ...changes }), (token) => reasonOf(validator.validate(token)))
        assert.deepStrictEqual(yield* reason({ client_id: "client-2" }), { _tag: "AudienceMismatch" })
        assert.deepStrictEqual(yield* reason({ client_id: "client-2", aud: "client-1" }), { _tag: "AudienceMismatch" })
        assert.deepStrictEqual(yield* reason({ client_id: undefined }), { _tag: "ClaimMissing", claim: "client_id" })
        const token = yield* sign(pair, claims)
        assert.strictEqual((yield* validator.validateWith(token, { audience: "client-1" })).claims.sub, "user-1")
        assert.deepStrictEqual(
          yield* reasonOf(validator.validateWith(token, { audience: "client-2" })),
          { _tag: "AudienceMismatch" }
        )
      }))

    it.effect("[T1] [S0-23] each check rejects on its own, with its own reason", () =>
      Effect.gen(function*() {
        const { now } = yield* scene()
        assert.deepStrictEqual(yield* refusal({ iss: "https://other.example" }), { _tag: "IssuerUntrusted" })
        assert.deepStrictEqual(yield* refusal({ aud: "other" }), { _tag: "AudienceMismatch" })
        assert.deepStrictEqual(yield* refusal({ aud: [] }), { _tag: "AudienceMismatch" })
        assert.deepStrictEqual(yield* refusal({ exp: now - 31 }), { _tag: "TokenExpired" })
        for (const claim of ["iss", "aud", "exp", "sub", "client_id", "iat", "jti"]) {
          assert.deepStrictEqual(yield* refusal({ [claim]: undefined }), { _tag: "ClaimMissing", claim })
        }
        assert.deepStrictEqual(yield* refusal({}, { requiredClaims: ["tenant"] }), {
          _tag: "ClaimMissing",
          claim: "tenant"
        })
        assert.deepStrictEqual(yield* refusal({ roles: ["a", 7] }), { _tag: "ClaimInvalid", path: "roles.1" })
        assert.deepStrictEqual(yield* refusal({}, {}, { typ: "JWT" }), { _tag: "TypeMismatch" })
        assert.deepStrictEqual(yield* refusal({}, {}, { typ: undefined }), { _tag: "TypeMismatch" })
        assert.deepStrictEqual(yield* refusal({}, {}, { kid: "unknown" }), { _tag: "KeyNotFound", reason: "unknown" })
      }).pipe(Effect.scoped))

    it.effect("[S4-36] a token of an algorithm that the policy lacks is refused, though there is a key for it", () =>
      Effect.gen(function*() {
        const { claims } = yield* scene()
        const pair = yield* pairOf("RS256")
        const tokens = yield* validatorOf(policy, keysOf([pair]))
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(yield* sign(pair, claims))), {
          _tag: "AlgorithmUnsupported"
        })
      }))

    it.effect("[S4-36] a token that another key signed is refused", () =>
      Effect.gen(function*() {
        const { claims, tokens } = yield* scene()
        const other = yield* pairOf("ES256", "other")
        const token = yield* sign({ ...other, kid: "ES256-1" }, claims)
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "SignatureInvalid" })
      }))

    it.effect("[S4-37] several keys of several algorithms: kid selects, and without one all that fit are tried", () =>
      Effect.gen(function*() {
        const { claims } = yield* scene()
        const pairs = yield* Effect.all([pairOf("ES256"), pairOf("ES256", "old"), pairOf("RS256"), pairOf("EdDSA")])
        const tokens = yield* validatorOf({ ...policy, algorithms: ["ES256", "RS256", "EdDSA"] }, keysOf(pairs))
        for (const pair of pairs) {
          assert.strictEqual((yield* tokens.validate(yield* sign(pair, claims))).claims.sub, "user-1")
          assert.strictEqual(
            (yield* tokens.validate(yield* sign(pair, claims, { kid: undefined }))).claims.sub,
            "user-1"
          )
          const reason = yield* reasonOf(tokens.validate(yield* sign(pair, claims, { kid: "none such" })))
          assert.deepStrictEqual(reason, { _tag: "KeyNotFound", reason: "unknown" })
        }
        const stranger = yield* sign(yield* pairOf("ES256", "stranger"), claims, { kid: undefined })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(stranger)), { _tag: "SignatureInvalid" })
      }))
  })

  describe("time", () => {
    const verdictAt = (
      changes: (now: number) => Readonly<Record<string, unknown>>,
      more?: Partial<ValidationPolicy.Options>
    ) =>
      Effect.gen(function*() {
        const { now, signed, tokens } = yield* scene(more)
        const token = yield* signed(changes(now))
        return yield* Effect.match(tokens.validate(token), {
          onFailure: ({ reason }) => reason._tag,
          onSuccess: () => "ok"
        })
      }).pipe(Effect.scoped)

    it.effect("[T1] a token ends at exp and the tolerance, to the second", () =>
      Effect.gen(function*() {
        const iat = (now: number) => ({ iat: now - 100 })
        assert.strictEqual(yield* verdictAt((now) => ({ ...iat(now), exp: now - 29 })), "ok")
        assert.strictEqual(yield* verdictAt((now) => ({ ...iat(now), exp: now - 30 })), "TokenExpired")
        assert.strictEqual(
          yield* verdictAt((now) => ({ ...iat(now), exp: now + 1 }), { clockTolerance: "0 millis" }),
          "ok"
        )
        assert.strictEqual(
          yield* verdictAt((now) => ({ ...iat(now), exp: now }), { clockTolerance: "0 millis" }),
          "TokenExpired"
        )
      }))

    it.effect("[T1] nbf and iat may lie ahead by the tolerance, and no further", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* verdictAt((now) => ({ nbf: now + 30 })), "ok")
        assert.strictEqual(yield* verdictAt((now) => ({ nbf: now + 31 })), "TokenNotYetValid")
        assert.strictEqual(yield* verdictAt((now) => ({ iat: now + 30 })), "ok")
        assert.strictEqual(yield* verdictAt((now) => ({ iat: now + 31 })), "TokenNotYetValid")
      }))

    it.effect("[T1] maxAge counts from iat, and needs one", () =>
      Effect.gen(function*() {
        const jwt = { profile: "jwt", types: ["at+jwt"], maxAge: "10 minutes" } as const
        assert.strictEqual(yield* verdictAt((now) => ({ iat: now - 629 }), jwt), "ok")
        assert.strictEqual(yield* verdictAt((now) => ({ iat: now - 630 }), jwt), "TokenTooOld")
      }))
  })

  describe("validateWith", () => {
    it.effect("[S0-23] [R6] an audience, issuer or claim of the call narrows the policy, each by itself, for a cached token too", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene({ audiences: ["api", "admin"], issuers: [issuer, "https://b.example"] })
        const token = yield* signed()
        const reason = (options: Parameters<typeof tokens.validateWith>[1]) =>
          reasonOf(tokens.validateWith(token, options))
        assert.strictEqual(
          (yield* tokens.validateWith(token, { audience: "api", issuer, requiredClaims: ["jti"] })).claims.sub,
          "user-1"
        )
        assert.deepStrictEqual(yield* reason({ audience: "admin" }), { _tag: "AudienceMismatch" })
        assert.deepStrictEqual(yield* reason({ issuer: "https://b.example" }), { _tag: "ClaimRejected", claim: "iss" })
        assert.deepStrictEqual(yield* reason({ requiredClaims: ["jti", "acr"] }), {
          _tag: "ClaimMissing",
          claim: "acr"
        })
      }))

    it.effect("[T1] [S0-23] no option of a call widens the policy", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* scene()
        const reason = yield* reasonOf(tokens.validateWith(yield* signed({ aud: "other" }), { audience: "other" }))
        assert.deepStrictEqual(reason, { _tag: "AudienceMismatch" })
        const foreign = yield* signed({ iss: "https://b.example" })
        assert.deepStrictEqual(
          yield* reasonOf(tokens.validateWith(foreign, { issuer: "https://b.example" })),
          { _tag: "IssuerUntrusted" }
        )
      }))

    it.effect("[S0-23] [R6] skipExpiry passes over exp alone, for this call alone", () =>
      Effect.gen(function*() {
        const { now, signed, tokens } = yield* scene()
        const token = yield* signed({ iat: now - 7200, exp: now - 3600 })
        assert.strictEqual((yield* tokens.validateWith(token, { skipExpiry: true })).claims.sub, "user-1")
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TokenExpired" })
        assert.strictEqual((yield* tokens.validateWith(token, { skipExpiry: true })).claims.sub, "user-1")
        const early = yield* signed({ exp: now - 3600, nbf: now + 600 })
        assert.deepStrictEqual(
          yield* reasonOf(tokens.validateWith(early, { skipExpiry: true })),
          { _tag: "TokenNotYetValid", claim: "nbf" }
        )
        const undated = yield* signed({ exp: undefined })
        assert.deepStrictEqual(
          yield* reasonOf(tokens.validateWith(undated, { skipExpiry: true })),
          { _tag: "ClaimMissing", claim: "exp" }
        )
      }))
  })

  describe("cache", () => {
    /** Accepts every signature, and counts the checks. */
    const counting = Effect.fnUntraced(function*(more: Partial<ValidationPolicy.Options> = {}) {
      let checks = 0
      const verifier = async () => {
        checks++
        return true
      }
      const made = yield* Effect.provideService(scene(more), SignatureVerifier, verifier)
      return { ...made, checks: () => checks }
    })

    it.effect("[K-05] [R6] a token is verified once, and then answered with the same object", () =>
      Effect.gen(function*() {
        const { checks, signed, tokens } = yield* counting()
        const token = yield* signed()
        const first = yield* tokens.validate(token)
        assert.strictEqual(yield* tokens.validate(token), first)
        assert.strictEqual(yield* tokens.validateWith(token, { audience }), first)
        assert.strictEqual(checks(), 1)
        yield* tokens.validate(yield* signed({ jti: "token-2" }))
        assert.strictEqual(checks(), 2)
      }))

    it.effect("[R6] can be turned off with one option", () =>
      Effect.gen(function*() {
        const { checks, signed, tokens } = yield* counting({ cacheEntries: 0 })
        const token = yield* signed()
        yield* tokens.validate(token)
        yield* tokens.validate(token)
        assert.strictEqual(checks(), 2)
      }))

    it.effect("[K-05] [T3] concurrent callers with the same token share one signature check", () =>
      Effect.gen(function*() {
        const { checks, signed, tokens } = yield* counting()
        const token = yield* signed()
        const results = yield* Effect.all(Array.from({ length: 50 }, () => tokens.validate(token)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(new Set(results).size, 1)
        assert.strictEqual(checks(), 1)
      }))

    it.effect("[T3] [R6] a remembered token ends at its exp, and one past maxAge with it", () =>
      Effect.gen(function*() {
        const { signed, tokens } = yield* counting()
        const token = yield* signed()
        yield* tokens.validate(token)
        yield* TestClock.adjust("3629 seconds")
        yield* tokens.validate(token)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TokenExpired" })
        const aged = yield* counting({ maxAge: "1 minute" })
        const old = yield* aged.signed()
        yield* aged.tokens.validate(old)
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual(yield* reasonOf(aged.tokens.validate(old)), { _tag: "TokenTooOld" })
      }))

    it.effect("[K-05] after invalidate every token is verified again", () =>
      Effect.gen(function*() {
        const { checks, signed, tokens } = yield* counting()
        const token = yield* signed()
        yield* tokens.validate(token)
        yield* tokens.invalidate
        yield* tokens.validate(token)
        assert.strictEqual(checks(), 2)
      }))

    it.effect("[R6] an invalid signature is cached for at most ten seconds", () =>
      Effect.gen(function*() {
        let checks = 0
        const { signed, tokens } = yield* Effect.provideService(scene(), SignatureVerifier, async () => {
          checks++
          return false
        })
        const token = yield* signed()
        for (const [wait, expected] of [["0 millis", 1], ["9 seconds", 1], ["1 second", 2]] as const) {
          yield* TestClock.adjust(wait)
          assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "SignatureInvalid" })
          assert.strictEqual(checks, expected)
        }
      }))
  })
})
