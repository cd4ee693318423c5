import * as SharedError from "@keelson/core/unstable/SharedError"
import type { JwksUnavailable } from "@keelson/jwks/JwksError"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as TokenError from "../../TokenError.ts"

type Reason = TokenError.Reason

/** Upper bound of memoized reasons: a call may require claims of any name. */
const maxMemoized = 1000

/** Makes one object per key, at its first use; keys beyond the bound get a new object each time. */
const memoized = <K extends string>(make: (key: K) => Reason): (key: K) => Reason => {
  const reasons = new Map<K, Reason>()
  return (key) => {
    const existing = reasons.get(key)
    if (existing !== undefined) return existing
    const reason = make(key)
    if (reasons.size < maxMemoized) reasons.set(key, reason)
    return reason
  }
}

const malformedPart: Record<TokenError.Part, (problem: TokenError.Problem) => Reason> = {
  token: memoized((problem) => ({ _tag: "TokenMalformed", part: "token", problem })),
  header: memoized((problem) => ({ _tag: "TokenMalformed", part: "header", problem })),
  payload: memoized((problem) => ({ _tag: "TokenMalformed", part: "payload", problem })),
  signature: memoized((problem) => ({ _tag: "TokenMalformed", part: "signature", problem }))
}

/** The reason for a malformed part of a token. */
export const malformed = (part: TokenError.Part, problem: TokenError.Problem): Reason => malformedPart[part](problem)

/** The reasons for claims that Keelson itself checks; a claims schema makes its own. */
export const missingMember: (claim: string) => Reason = memoized((claim) => ({ _tag: "ClaimMissing", claim }))
export const invalidMember: (path: string) => Reason = memoized((path) => ({ _tag: "ClaimInvalid", path }))

/** By claim and bound. Each policy has one claim and one bound. */
const audienceBounds = new Map<string, Reason>()

/** The reason for more audiences than the policy allows. */
export const tooManyAudiences = (path: string, maximum: number): Reason => {
  const key = `${path} ${maximum}`
  const existing = audienceBounds.get(key)
  if (existing !== undefined) return existing
  const reason: Reason = { _tag: "ClaimInvalid", path, expected: `at most ${maximum} audiences (maxAudiences)` }
  audienceBounds.set(key, reason)
  return reason
}

export const keyNotFound = memoized<"unknown" | "mismatched" | "ambiguous">((reason) => ({
  _tag: "KeyNotFound",
  reason
}))

export const algorithmUnsupported: Reason = { _tag: "AlgorithmUnsupported" }
export const typeMismatch: Reason = { _tag: "TypeMismatch" }
export const issuerUntrusted: Reason = { _tag: "IssuerUntrusted" }
/** The policy trusts the issuer, but the key source does not know it. Callers see no difference. */
export const issuerUnserved: Reason = { _tag: "IssuerUntrusted" }
export const signatureInvalid: Reason = { _tag: "SignatureInvalid" }
export const audienceMismatch: Reason = { _tag: "AudienceMismatch" }
const unavailable = new WeakMap<JwksUnavailable, Reason>()

/** One reason for each error object of a key source. A key source reuses its error while the retry delay is the same. */
export const keysUnavailable = (error: JwksUnavailable): Reason => {
  const existing = unavailable.get(error)
  if (existing !== undefined) return existing
  const reason: Reason = { _tag: "KeysUnavailable", retryAfter: error.retryAfter }
  unavailable.set(error, reason)
  return reason
}

/** The keys changed during every attempt to verify the token. */
export const keysChanged: Reason = { _tag: "KeysUnavailable", retryAfter: Duration.zero }
export const revoked: Reason = { _tag: "TokenRevoked" }
export const revocationUnavailable: Reason = { _tag: "RevocationUnavailable" }

/** Upper bound of the characters of `keyIssuer`, which comes from the provider. */
const maxIssuerLength = 256

/** The reason for keys that the provider published for another issuer. */
export const keyOfIssuer: (keyIssuer: string) => Reason = memoized((keyIssuer) => ({
  _tag: "KeyNotFound",
  reason: "mismatched",
  keyIssuer: keyIssuer.slice(0, maxIssuerLength)
}))

const errors = new WeakMap<Reason, TokenError.TokenError>()

/** The error of a reason, made once for each reason object. */
export const errorOf = (reason: Reason): TokenError.TokenError => {
  const existing = errors.get(reason)
  if (existing !== undefined) return existing
  const error = SharedError.make(() => new TokenError.TokenError(reason))
  errors.set(reason, error)
  return error
}

const failures = new WeakMap<Reason, Effect.Effect<never, TokenError.TokenError>>()

/**
 * Fails for a reason. Each reason object has one error, and most reasons are made once: a flood of hostile tokens creates no
 * errors.
 */
export const failWith = (reason: Reason): Effect.Effect<never, TokenError.TokenError> => {
  const existing = failures.get(reason)
  if (existing !== undefined) return existing
  const failure = Exit.fail(errorOf(reason))
  failures.set(reason, failure)
  return failure
}
