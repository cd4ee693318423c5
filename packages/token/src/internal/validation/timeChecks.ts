import type { Registered } from "../../Claims.ts"
import type { Reason } from "../../TokenError.ts"
import { missingMember } from "./reasons.ts"
import type { Rules } from "./rules.ts"

/** When a token is valid, in milliseconds since 1970: from `begins`, and before `ends`. */
export interface Window {
  readonly begins: number
  readonly ends: number
}

/** The clock tolerance is on the token's side at both ends. `iat` binds only where the policy has a `maxAge`. */
export const windowOf = ({ exp, iat, nbf }: Registered, { maxAge, tolerance }: Rules): Window => ({
  begins: Math.max(nbf ?? 0, iat ?? 0) * 1000 - tolerance,
  ends:
    Math.min(exp * 1000, maxAge === undefined || iat === undefined ? Number.POSITIVE_INFINITY : iat * 1000 + maxAge) +
    tolerance
})

const expired: Reason = { _tag: "TokenExpired" }
const early: Reason = { _tag: "TokenNotYetValid", claim: "nbf" }
const future: Reason = { _tag: "TokenNotYetValid", claim: "iat" }
const old: Reason = { _tag: "TokenTooOld" }
const undated = missingMember("iat")

/** At `exp` a token is expired (RFC 7519, 4.1.4). */
export const expiryProblem = ({ exp }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  now >= exp * 1000 + tolerance ? expired : undefined

/** Before `nbf` it is early (RFC 7519, 4.1.5). */
export const notBeforeProblem = ({ nbf }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  nbf !== undefined && now < nbf * 1000 - tolerance ? early : undefined

/** An `iat` to come is wrong (RFC 7519, 4.1.6). */
export const issuedAtProblem = ({ iat }: Registered, { tolerance }: Rules, now: number): Reason | undefined =>
  iat !== undefined && now < iat * 1000 - tolerance ? future : undefined

/** Past `maxAge` it is too old. */
export const ageProblem = ({ iat }: Registered, { maxAge, tolerance }: Rules, now: number): Reason | undefined => {
  if (maxAge === undefined) return undefined
  if (iat === undefined) return undated
  return now >= iat * 1000 + maxAge + tolerance ? old : undefined
}

/** What time says against a token. `skipExpiry` passes over its expiry alone. */
export const timeProblem = (
  registered: Registered,
  rules: Rules,
  now: number,
  skipExpiry = false
): Reason | undefined =>
  (skipExpiry ? undefined : expiryProblem(registered, rules, now)) ?? notBeforeProblem(registered, rules, now) ??
    issuedAtProblem(registered, rules, now) ?? ageProblem(registered, rules, now)
