import * as Effect from "effect/Effect"
import { base64url } from "jose"
import type { Reason } from "../../TokenError.ts"
import type { ValidateOptions } from "../../TokenValidator.ts"
import { audiencesOf, missingClaim } from "./claimChecks.ts"
import { audienceMismatch, missingMember } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import { own } from "./strictJson.ts"
import { textOf, type Token } from "./textOf.ts"
import type { Entry } from "./tokenCache.ts"

const issuerRejected: Reason = { _tag: "ClaimRejected", claim: "iss" }
const nonceRejected: Reason = { _tag: "ClaimRejected", claim: "nonce" }
const hashRejected: Reason = { _tag: "ClaimRejected", claim: "at_hash" }

type Checked = Pick<Entry<unknown>, "members" | "registered">

/** The audience that a call asks for has to be one of the token's. */
export const callAudienceProblem = (
  { registered }: Checked,
  { audience }: ValidateOptions,
  rules: Rules
): Reason | undefined =>
  audience === undefined || audiencesOf(registered, rules).includes(audience) ? undefined : audienceMismatch

/** The issuer that a call asks for has to be the token's. */
export const callIssuerProblem = ({ registered }: Checked, { issuer }: ValidateOptions): Reason | undefined =>
  issuer === undefined || registered.iss === issuer ? undefined : issuerRejected

/** Whether a nonce is looked at: where the call gives one, or the policy wants it to. */
export const isNonceAsked = ({ nonce }: ValidateOptions, { policy }: Rules): boolean =>
  nonce !== undefined || (policy.profile === "idToken" && policy.nonce === "required")

/** The nonce of the authentication request that an ID token answers (OpenID Connect Core 1.0, 3.1.3.7, 11). */
export const nonceProblem = (
  { members }: Pick<Checked, "members">,
  options: ValidateOptions,
  rules: Rules
): Reason | undefined => {
  if (!isNonceAsked(options, rules)) return undefined
  if (options.nonce === undefined) return nonceRejected
  const nonce = own(members, "nonce")
  if (nonce === undefined) return missingMember("nonce")
  return nonce === options.nonce ? undefined : nonceRejected
}

/** What one call asks for beyond the policy, which it can narrow and not widen. */
export const callProblem = (token: Checked, options: ValidateOptions, rules: Rules): Reason | undefined =>
  callAudienceProblem(token, options, rules) ?? callIssuerProblem(token, options) ??
    missingClaim(token.members, options.requiredClaims ?? []) ?? nonceProblem(token, options, rules)

/** The hash that an algorithm is named for; Ed25519's is SHA-512 (RFC 8032, 5.1). */
const hashOf = (alg: string): string => alg.startsWith("Ed") ? "SHA-512" : `SHA-${alg.slice(-3)}`

const encoder = new TextEncoder()

/** Whether `at_hash` fits an access token: the left half of its hash (OpenID Connect Core 1.0, 3.1.3.6). */
export const accessTokenProblem = (
  { alg, members }: Pick<Entry<unknown>, "alg" | "members">,
  accessToken: Token
): Effect.Effect<Reason | undefined> => {
  const expected = own(members, "at_hash")
  if (expected === undefined) return Effect.succeed(missingMember("at_hash"))
  return Effect.map(
    Effect.promise(() => crypto.subtle.digest(hashOf(alg), encoder.encode(textOf(accessToken)))),
    (digest) =>
      base64url.encode(new Uint8Array(digest, 0, digest.byteLength / 2)) === expected ? undefined : hashRejected
  )
}
