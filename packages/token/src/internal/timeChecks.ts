import type { Registered } from "../Claims.ts"
import type { Reason } from "../TokenError.ts"
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

/**
 * What time says against a token: at `exp` it is expired, before `nbf` it is early, an `iat` to come is wrong, and past
 * `maxAge` it is too old (RFC 7519, 4.1.4 to 4.1.6). `skipExpiry` passes over the first alone.
 */
export const timeProblem = (
  { exp, iat, nbf }: Registered,
  { maxAge, tolerance }: Rules,
  now: number,
  skipExpiry = false
): Reason | undefined => {
  if (!skipExpiry && now >= exp * 1000 + tolerance) return expired
  if (nbf !== undefined && now < nbf * 1000 - tolerance) return early
  if (iat !== undefined && now < iat * 1000 - tolerance) return future
  if (maxAge === undefined) return undefined
  if (iat === undefined) return undated
  return now >= iat * 1000 + maxAge + tolerance ? old : undefined
}
