import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Part, type Problem, type Reason, TokenError } from "../../TokenError.ts"

/** The most keys: a call may ask for claims of any name. */
const maxMade = 1000

/** One object for each key, made at its first use; keys beyond the most get a new one each time. */
const memoized = <K extends string>(make: (key: K) => Reason): (key: K) => Reason => {
  const made = new Map<K, Reason>()
  return (key) => {
    const known = made.get(key)
    if (known !== undefined) return known
    const reason = make(key)
    if (made.size < maxMade) made.set(key, reason)
    return reason
  }
}

const byPart: Record<Part, (problem: Problem) => Reason> = {
  token: memoized((problem) => ({ _tag: "TokenMalformed", part: "token", problem })),
  header: memoized((problem) => ({ _tag: "TokenMalformed", part: "header", problem })),
  payload: memoized((problem) => ({ _tag: "TokenMalformed", part: "payload", problem })),
  signature: memoized((problem) => ({ _tag: "TokenMalformed", part: "signature", problem }))
}

/** The reason for what is wrong with the form of a token. */
export const malformed = (part: Part, problem: Problem): Reason => byPart[part](problem)

/** For claims that Keelson itself looks at; others make their own. */
export const missingMember: (claim: string) => Reason = memoized((claim) => ({ _tag: "ClaimMissing", claim }))
export const invalidMember: (path: string) => Reason = memoized((path) => ({ _tag: "ClaimInvalid", path }))

export const keyNotFound = memoized<"unknown" | "mismatched" | "ambiguous">((reason) => ({
  _tag: "KeyNotFound",
  reason
}))

/** Reasons that say nothing beyond their tag. */
export const algorithmUnsupported: Reason = { _tag: "AlgorithmUnsupported" }
export const typeMismatch: Reason = { _tag: "TypeMismatch" }
export const issuerUntrusted: Reason = { _tag: "IssuerUntrusted" }
/** The policy trusts the issuer, and the key source does not know it: for the caller there is no difference. */
export const issuerUnserved: Reason = { _tag: "IssuerUntrusted" }
export const signatureInvalid: Reason = { _tag: "SignatureInvalid" }
export const audienceMismatch: Reason = { _tag: "AudienceMismatch" }
/** The keys changed each time that the token was judged. */
export const keysUnsettled: Reason = { _tag: "KeysUnavailable", retryAfter: Duration.zero }
export const revoked: Reason = { _tag: "TokenRevoked" }
export const revocationUnavailable: Reason = { _tag: "RevocationUnavailable" }

const failures = new WeakMap<Reason, Effect.Effect<never, TokenError>>()

/**
 * Fails for a reason. One error is made for each reason object, and most of those are made once: a flood of hostile
 * tokens makes no errors with stacks, which cost as much as a signature check.
 */
export const failWith = (reason: Reason): Effect.Effect<never, TokenError> => {
  const known = failures.get(reason)
  if (known !== undefined) return known
  const failure = Effect.fail(new TokenError(reason))
  failures.set(reason, failure)
  return failure
}
