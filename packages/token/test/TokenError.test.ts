import { assert, describe, it } from "@effect/vitest"
import { ErrorCode, KeelsonError, Problem, ProblemResponse } from "@keelson/core"
import { Duration, Effect } from "effect"
import { TokenError } from "../src/index.ts"
import { validationCodes } from "../src/internal/validation/reasonCodes.ts"

/** The code and status of each reason. */
const table: Readonly<Record<TokenError.Reason["_tag"], readonly [code: TokenError.Code, status: number]>> = {
  TokenMalformed: ["TOKEN_INVALID", 401],
  AlgorithmUnsupported: ["TOKEN_ALGORITHM_UNSUPPORTED", 401],
  TypeMismatch: ["TOKEN_TYPE_MISMATCH", 401],
  IssuerUntrusted: ["TOKEN_ISSUER_UNTRUSTED", 401],
  KeyNotFound: ["JWKS_KEY_NOT_FOUND", 401],
  KeysUnavailable: ["JWKS_UNAVAILABLE", 503],
  SignatureInvalid: ["TOKEN_SIGNATURE_INVALID", 401],
  TokenExpired: ["TOKEN_EXPIRED", 401],
  TokenNotYetValid: ["TOKEN_NOT_YET_VALID", 401],
  TokenTooOld: ["TOKEN_TOO_OLD", 401],
  AudienceMismatch: ["TOKEN_AUDIENCE_MISMATCH", 401],
  ClaimMissing: ["TOKEN_CLAIM_MISSING", 401],
  ClaimInvalid: ["TOKEN_CLAIM_INVALID", 401],
  ClaimRejected: ["VALIDATION_FAILED", 401],
  TokenRevoked: ["TOKEN_REVOKED", 401],
  RevocationUnavailable: ["AUTHORIZATION_UNAVAILABLE", 503],
  TokenUnbound: ["TOKEN_UNBOUND", 401],
  BindingUnsupported: ["TOKEN_BINDING_UNSUPPORTED", 401],
  BindingMismatch: ["TOKEN_BINDING_MISMATCH", 401],
  ProofMissing: ["DPOP_REQUIRED", 401],
  ProofMalformed: ["DPOP_INVALID", 401],
  ProofRejected: ["DPOP_INVALID", 401],
  ProofReplayed: ["DPOP_INVALID", 401],
  ProofNonceRequired: ["DPOP_NONCE_REQUIRED", 401],
  ProofReplaysUnavailable: ["AUTHORIZATION_UNAVAILABLE", 503],
  CertificateMissing: ["TOKEN_CERTIFICATE_MISSING", 401],
  TokenInactive: ["TOKEN_INACTIVE", 401],
  IntrospectionUnavailable: ["INTROSPECTION_UNAVAILABLE", 503]
}

/** One example of each reason. */
const reasons: ReadonlyArray<TokenError.Reason> = [
  { _tag: "TokenMalformed", part: "payload", problem: "duplicate" },
  { _tag: "AlgorithmUnsupported" },
  { _tag: "TypeMismatch" },
  { _tag: "IssuerUntrusted" },
  { _tag: "KeyNotFound", reason: "unknown" },
  { _tag: "KeysUnavailable", retryAfter: Duration.seconds(3) },
  { _tag: "SignatureInvalid" },
  { _tag: "TokenExpired" },
  { _tag: "TokenNotYetValid", claim: "nbf" },
  { _tag: "TokenTooOld" },
  { _tag: "AudienceMismatch" },
  { _tag: "ClaimMissing", claim: "jti" },
  { _tag: "ClaimInvalid", path: "limits.*" },
  { _tag: "ClaimRejected", claim: "nonce" },
  { _tag: "TokenRevoked" },
  { _tag: "RevocationUnavailable" },
  { _tag: "TokenUnbound" },
  { _tag: "BindingUnsupported" },
  { _tag: "BindingMismatch", confirmation: "jkt" },
  { _tag: "ProofMissing" },
  { _tag: "ProofMalformed", part: "header", problem: "json" },
  { _tag: "ProofRejected", check: "htu" },
  { _tag: "ProofReplayed" },
  { _tag: "ProofNonceRequired" },
  { _tag: "ProofReplaysUnavailable" },
  { _tag: "CertificateMissing", certificate: "untrusted" },
  { _tag: "TokenInactive" },
  { _tag: "IntrospectionUnavailable", problem: "status", retryAfter: Duration.seconds(1) }
]

describe("TokenError", () => {
  it.each(reasons)("[S0-25] $_tag has a code and a status of its own", (reason) => {
    const [code, status] = table[reason._tag]
    const error = new TokenError.TokenError(reason)
    assert.deepStrictEqual([error.code, error.status, error.isRejection], [code, status, status === 401])
    assert.isTrue(error instanceof KeelsonError.CodedError)
    assert.strictEqual(Problem.encode(error).http_status, status)
    assert.strictEqual(ErrorCode.codeOf(error), code)
    assert.isAbove(error.message.length, 10)
    assert.notInclude(error.message, "REDACTED")
  })

  it("[S0-25] there is one for each tag, and no code is two reasons'", () => {
    assert.deepStrictEqual(new Set(reasons.map(({ _tag }) => _tag)), new Set(Object.keys(table)))
    assert.strictEqual(new Set(Object.values(validationCodes)).size, Object.keys(validationCodes).length)
  })

  it("describes the problem in its message and details, in fixed words", () => {
    const shown = (reason: TokenError.Reason) => {
      const { details, message } = new TokenError.TokenError(reason)
      return [message, details]
    }
    assert.deepStrictEqual(shown({ _tag: "TokenMalformed", part: "payload", problem: "duplicate" }), [
      "The token is malformed (payload: duplicate)",
      { part: "payload", problem: "duplicate" }
    ])
    assert.deepStrictEqual(shown({ _tag: "ClaimMissing", claim: "jti" }), [
      "The token lacks the claim jti",
      { claim: "jti" }
    ])
    assert.deepStrictEqual(shown({ _tag: "ClaimInvalid", path: "limits.*" }), [
      "The claim at limits.* does not match its schema",
      { path: "limits.*" }
    ])
    assert.deepStrictEqual(shown({ _tag: "ClaimRejected", claim: "nonce" }), [
      "The claim nonce does not have the expected value",
      { claim: "nonce" }
    ])
    assert.deepStrictEqual(shown({ _tag: "TokenExpired" }), ["The token is past its expiry.", {}])
    assert.deepStrictEqual(shown({ _tag: "ProofMalformed", part: "header", problem: "json" }), [
      "The DPoP proof is malformed (header: json)",
      { part: "header", problem: "json" }
    ])
    assert.deepStrictEqual(shown({ _tag: "ProofRejected", check: "htu" }), [
      "The DPoP proof is for another URL",
      { check: "htu" }
    ])
    assert.deepStrictEqual(shown({ _tag: "CertificateMissing", certificate: "untrusted" }), [
      "The request has a client certificate in a header, and does not come from a listed proxy",
      { certificate: "untrusted" }
    ])
    const unavailable = { _tag: "IntrospectionUnavailable", retryAfter: Duration.seconds(2) } as const
    assert.deepStrictEqual(shown({ ...unavailable, problem: "status" }), [
      "The token could not be introspected (status)",
      { problem: "status", retry_after_ms: 2000 }
    ])
    assert.deepStrictEqual(shown({ ...unavailable, problem: "answer", detail: "duplicate" }), [
      "The token could not be introspected (answer: duplicate)",
      { problem: "answer", detail: "duplicate", retry_after_ms: 2000 }
    ])
  })

  it("[T6] has the retryAfter of the keys", () => {
    const error = new TokenError.TokenError({ _tag: "KeysUnavailable", retryAfter: Duration.millis(2500) })
    assert.deepStrictEqual(error.details, { retry_after_ms: 2500 })
    assert.strictEqual(ProblemResponse.make(error).headers["retry-after"], "3")
    const refused = ProblemResponse.make(new TokenError.TokenError({ _tag: "TokenExpired" }))
    assert.isUndefined(refused.headers["retry-after"])
  })

  it.effect("is caught by its reason", () =>
    Effect.gen(function*() {
      const failing: Effect.Effect<string, TokenError.TokenError> = Effect.fail(
        new TokenError.TokenError({ _tag: "ClaimMissing", claim: "jti" })
      )
      const caught = Effect.catchReason(failing, "TokenError", "ClaimMissing", ({ claim }) => Effect.succeed(claim))
      assert.strictEqual(yield* caught, "jti")
      const other = Effect.catchReason(failing, "TokenError", "TokenExpired", () => Effect.succeed("expired"))
      assert.strictEqual((yield* Effect.flip(other)).code, "TOKEN_CLAIM_MISSING")
    }))
})
