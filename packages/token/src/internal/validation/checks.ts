/**
 * The checks of a token's header, claims and times. Each returns the reason to reject the token, or `undefined`.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as base64url from "jose/base64url"
import type { Registered } from "../../Claims.ts"
import type * as TokenError from "../../TokenError.ts"
import type { ValidateOptions } from "../../TokenValidator.ts"
import { stringsOf } from "./claims.ts"
import type { TokenHeader } from "./compactJws.ts"
import { isWorkloadId } from "./issuers.ts"
import { algorithmUnsupported, audienceMismatch, missingMember, typeMismatch } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import { type JsonObject, own } from "./strictJson.ts"

type Reason = TokenError.Reason

/** The claims of a token, decoded from its payload. */
export interface TokenClaims {
  readonly members: JsonObject
  readonly registered: Registered
}

/** The header's algorithm has to be one of the policy's (RFC 8725, 3.1). */
export const checkAlgorithm = ({ alg }: TokenHeader, { algorithms }: Rules): Reason | undefined =>
  algorithms.has(alg) ? undefined : algorithmUnsupported

/** The header's `typ`, normalized by `normalizedType`, has to be an expected one (RFC 8725, 3.11). */
export const checkType = ({ typ }: TokenHeader, { requireType, types }: Rules): Reason | undefined =>
  (typ === undefined ? !requireType : types.has(typ)) ? undefined : typeMismatch

/** The audiences of a token, in the claim that the policy names. */
const audiencesOf = ({ members, registered }: TokenClaims, { policy }: Rules): ReadonlyArray<string> =>
  policy.audienceClaim === "aud" ? registered.aud : stringsOf(own(members, policy.audienceClaim)) ?? []

/** One of the token's audiences has to be one of the policy's (RFC 7519, 4.1.3). */
export const checkAudience = (claims: TokenClaims, rules: Rules): Reason | undefined =>
  audiencesOf(claims, rules).some((audience) => rules.audiences.has(audience)) ? undefined : audienceMismatch

/** The named claims have to be present and not null. The reason names the first that is missing. */
export const checkRequiredClaims = (members: JsonObject, names: ReadonlyArray<string>): Reason | undefined => {
  const claim = names.find((name) => Predicate.isNullish(own(members, name)))
  return claim === undefined ? undefined : missingMember(claim)
}

const azpRejected: Reason = { _tag: "ClaimRejected", claim: "azp" }

/** The authorized party has to be one of the policy's, where it names any (OpenID Connect Core 1.0 errata 2, 3.1.3.7). */
export const checkAuthorizedParty = ({ members }: TokenClaims, { authorizedParties }: Rules): Reason | undefined => {
  if (authorizedParties === undefined) return undefined
  const azp = own(members, "azp")
  if (azp === undefined) return missingMember("azp")
  return typeof azp === "string" && authorizedParties.has(azp) ? undefined : azpRejected
}

const subRejected: Reason = { _tag: "ClaimRejected", claim: "sub" }

/** The subject of a JWT-SVID has to be a workload of the trust domain (SPIFFE JWT-SVID, 3.1). */
export const checkSpiffeId = ({ registered: { sub } }: TokenClaims, { policy: { trustDomain } }: Rules) =>
  trustDomain === undefined || (sub !== undefined && isWorkloadId(sub, trustDomain)) ? undefined : subRejected

/** When a token is valid, in milliseconds since 1970: from `begins`, and before `ends`. */
export interface ValidityWindow {
  readonly begins: number
  readonly ends: number
}

/** The clock tolerance widens the window at both ends. `iat` limits the end only where the policy has a `maxAge`. */
export const validityWindow = ({ exp, iat, nbf }: Registered, { maxAge, tolerance }: Rules): ValidityWindow => ({
  begins: Math.max(nbf ?? 0, iat ?? 0) * 1000 - tolerance,
  ends:
    Math.min(exp * 1000, maxAge === undefined || iat === undefined ? Number.POSITIVE_INFINITY : iat * 1000 + maxAge) +
    tolerance
})

const expired: Reason = { _tag: "TokenExpired" }
const beforeNotBefore: Reason = { _tag: "TokenNotYetValid", claim: "nbf" }
const issuedInFuture: Reason = { _tag: "TokenNotYetValid", claim: "iat" }
const tooOld: Reason = { _tag: "TokenTooOld" }
const issuedAtMissing = missingMember("iat")

/** A token is expired from `exp` on (RFC 7519, 4.1.4). */
export const checkExpiry = ({ exp }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  now >= exp * 1000 + tolerance ? expired : undefined

/** A token is not valid before `nbf` (RFC 7519, 4.1.5). */
export const checkNotBefore = ({ nbf }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  nbf !== undefined && now < nbf * 1000 - tolerance ? beforeNotBefore : undefined

/** `iat` must not be in the future (RFC 7519, 4.1.6). */
export const checkIssuedAt = ({ iat }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  iat !== undefined && now < iat * 1000 - tolerance ? issuedInFuture : undefined

/** A token must not be older than the policy's `maxAge`. */
export const checkAge = ({ iat }: Registered, { maxAge, tolerance }: Rules, now: number): Reason | undefined => {
  if (maxAge === undefined) return undefined
  if (iat === undefined) return issuedAtMissing
  return now >= iat * 1000 + maxAge + tolerance ? tooOld : undefined
}

/** All checks of times. `skipExpiry` leaves out `exp` alone. */
export const checkTimes = (
  registered: Registered,
  rules: Rules,
  now: number,
  skipExpiry = false
): Reason | undefined =>
  (skipExpiry ? undefined : checkExpiry(registered, rules, now)) ?? checkNotBefore(registered, rules, now) ??
    checkIssuedAt(registered, rules, now) ?? checkAge(registered, rules, now)

/** All checks of claims that depend on the policy alone, not on the options of a call. */
export const checkClaims = (
  claims: TokenClaims,
  rules: Rules,
  now: number,
  skipExpiry: boolean
): Reason | undefined =>
  checkAudience(claims, rules) ?? checkTimes(claims.registered, rules, now, skipExpiry) ??
    checkRequiredClaims(claims.members, rules.requiredClaims) ?? checkAuthorizedParty(claims, rules) ??
    checkSpiffeId(claims, rules)

const issuerRejected: Reason = { _tag: "ClaimRejected", claim: "iss" }
const nonceRejected: Reason = { _tag: "ClaimRejected", claim: "nonce" }

/** The audience in a call's options has to be one of the token's. */
export const checkCallAudience = (
  claims: TokenClaims,
  { audience }: ValidateOptions,
  rules: Rules
): Reason | undefined =>
  audience === undefined || audiencesOf(claims, rules).includes(audience) ? undefined : audienceMismatch

/** The issuer in a call's options has to be the token's. */
export const checkCallIssuer = ({ registered }: TokenClaims, { issuer }: ValidateOptions): Reason | undefined =>
  issuer === undefined || registered.iss === issuer ? undefined : issuerRejected

/** Whether the nonce is checked: where the call gives one, or the policy requires one. */
export const isNonceChecked = ({ nonce }: ValidateOptions, { policy }: Rules): boolean =>
  nonce !== undefined || (policy.profile === "idToken" && policy.nonce === "required")

/** `nonce` has to be the one of the authentication request (OpenID Connect Core 1.0, 3.1.3.7, 11). */
export const checkNonce = (
  { members }: Pick<TokenClaims, "members">,
  options: ValidateOptions,
  rules: Rules
): Reason | undefined => {
  if (!isNonceChecked(options, rules)) return undefined
  if (options.nonce === undefined) return nonceRejected
  const nonce = own(members, "nonce")
  if (nonce === undefined) return missingMember("nonce")
  return nonce === options.nonce ? undefined : nonceRejected
}

/** All synchronous checks of the options of a call, which can narrow the policy and never widen it. */
export const checkCall = (claims: TokenClaims, options: ValidateOptions, rules: Rules): Reason | undefined =>
  checkCallAudience(claims, options, rules) ?? checkCallIssuer(claims, options) ??
    checkRequiredClaims(claims.members, options.requiredClaims ?? []) ?? checkNonce(claims, options, rules)

/** The hash function of a signature algorithm; Ed25519's is SHA-512 (RFC 8032, 5.1). */
const hashFunctionOf = (alg: string): string => alg.startsWith("Ed") ? "SHA-512" : `SHA-${alg.slice(-3)}`

const encoder = new TextEncoder()

/** The left half of a text's hash, by the hash function of a signature algorithm (OpenID Connect Core 1.0, 3.1.3.6). */
export const halfHash = (alg: string, text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest(hashFunctionOf(alg), encoder.encode(text))),
    (digest) => base64url.encode(new Uint8Array(digest, 0, digest.byteLength / 2))
  )

/** The claims that hold a hash, each with the option of a call that has the text. */
export type HashClaim = "at_hash" | "c_hash"

const hashesRejected: Record<HashClaim, Reason> = {
  at_hash: { _tag: "ClaimRejected", claim: "at_hash" },
  c_hash: { _tag: "ClaimRejected", claim: "c_hash" }
}

/**
 * `at_hash` has to be the hash of the access token, and `c_hash` that of the code (OpenID Connect Core 1.0, 3.1.3.8, 3.2.2.9 and
 * 3.3.2.10). Both are required where a token is issued together with what it hashes (3.3.2.11).
 */
export const checkHash = (
  alg: string,
  { members }: Pick<TokenClaims, "members">,
  claim: HashClaim,
  text: string
): Effect.Effect<Reason | undefined> => {
  const expected = own(members, claim)
  if (expected === undefined) return Effect.succeed(missingMember(claim))
  return Effect.map(halfHash(alg, text), (hash) => hash === expected ? undefined : hashesRejected[claim])
}
