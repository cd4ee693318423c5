/**
 * The rules of logout tokens beside those of ID tokens.
 *
 * @see OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6
 */
import * as Schema from "effect/Schema"
import type { Reason } from "../../BackChannelLogoutError.ts"
import type { BackChannelLogoutOptions } from "../../BackChannelLogoutOptions.ts"
import { Audience, NumericDate } from "../../Claims.ts"
import type * as Revocation from "../../Revocation.ts"
import type * as ValidationPolicy from "../../ValidationPolicy.ts"

/** The claims of a logout token. `nonce` and `events` are checked by `checkLogoutToken`. */
export const LogoutClaims = Schema.Struct({
  iss: Schema.String,
  aud: Audience,
  iat: NumericDate,
  exp: NumericDate,
  jti: Schema.NonEmptyString,
  sub: Schema.optionalKey(Schema.NonEmptyString),
  sid: Schema.optionalKey(Schema.NonEmptyString),
  nonce: Schema.optionalKey(Schema.Unknown),
  events: Schema.Record(Schema.String, Schema.Unknown)
})
export type LogoutClaims = typeof LogoutClaims.Type

const logoutType = "logout+jwt"

/** The policy of the validator of logout tokens. Each is used once, so that none is cached. */
export const policyOf = (
  { algorithms, audiences, clockTolerance, issuers, maxAge, maxLength, requireType }: BackChannelLogoutOptions
): ValidationPolicy.Options => ({
  issuers,
  audiences,
  algorithms,
  clockTolerance,
  maxAge,
  maxLength,
  types: requireType ? [logoutType] : [logoutType, "JWT"],
  requireType,
  requiredClaims: ["iat", "jti", "events"],
  cacheEntries: 0
})

const event = "http://schemas.openid.net/event/backchannel-logout"

const eventMissing: Reason = { _tag: "EventMissing" }
const noncePresent: Reason = { _tag: "NoncePresent" }
const subjectMissing: Reason = { _tag: "SubjectMissing" }

const isJsonObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value)

/** Returns the reason to reject a token whose signature and registered claims are valid, or `undefined`. */
export const checkLogoutToken = (claims: LogoutClaims): Reason | undefined => {
  if (!Object.hasOwn(claims.events, event) || !isJsonObject(claims.events[event])) return eventMissing
  if (Object.hasOwn(claims, "nonce")) return noncePresent
  return claims.sid === undefined && claims.sub === undefined ? subjectMissing : undefined
}

/** What a logout token ends. One without `sid` ends all sessions of the subject (2.4). */
export const endedBy = (
  { iss: issuer, sid, sub }: LogoutClaims,
  ends: BackChannelLogoutOptions["ends"]
): Revocation.Subject | undefined => {
  if (sid !== undefined && (ends === "session" || sub === undefined)) return { issuer, sid }
  return sub === undefined ? undefined : { issuer, sub }
}

/**
 * The entry of a logout token in the list of revocations, by which it is found when it is sent again. Its issuer is no issuer of a
 * token, so that it revokes none.
 */
export const receipt = (
  { iss, jti }: Pick<LogoutClaims, "iss" | "jti">
): { readonly issuer: string; readonly jti: string } => ({ issuer: `logout token of ${iss}`, jti })
