import { Forbidden, InvalidRequest, Unauthorized, Unavailable } from "../../HttpSecurityError.ts"
import type { TokenError } from "../../TokenError.ts"
import { challenge, type ProtectionSpace } from "./challenge.ts"

/** The request has no token. Its challenge names no error (RFC 6750, 3.1). */
export const tokenMissing = (space: ProtectionSpace): Unauthorized =>
  new Unauthorized({ code: "TOKEN_MISSING", challenge: challenge(space, undefined, space.scopes) })

/**
 * The validator rejected the token. The caller learns only of an expiry, which it can read in the token: a response that
 * differed by key, issuer, audience or signature would help an attacker to improve a forged token.
 */
export const tokenRejected = (space: ProtectionSpace, cause: TokenError): Unauthorized | Unavailable => {
  if (!cause.isRejection) return new Unavailable({ retryAfter: cause.retryAfter, cause })
  const [code, description] = cause.reason._tag === "TokenExpired"
    ? ["TOKEN_EXPIRED", "The access token is expired"] as const
    : ["UNAUTHORIZED", "The access token is not accepted"] as const
  return new Unauthorized({
    code,
    message: description,
    cause,
    challenge: challenge(space, { error: "invalid_token", description, scopes: space.scopes })
  })
}

/** The request sends its token in a way that is not allowed. */
export const requestInvalid = (space: ProtectionSpace, description: string): InvalidRequest =>
  new InvalidRequest({
    code: "TOKEN_REQUEST_INVALID",
    message: description,
    challenge: challenge(space, { error: "invalid_request", description })
  })

/** The token lacks scopes. The challenge names them, so that the caller can request them (RFC 6750, 3.1). */
export const scopesMissing = (space: ProtectionSpace, scopes: ReadonlyArray<string>): Forbidden => {
  const description = "The access token lacks a required scope"
  return new Forbidden({
    message: description,
    scopes,
    challenge: challenge(space, { error: "insufficient_scope", description, scopes })
  })
}

/**
 * The caller is not allowed to do this, for a reason that the response does not name and no scope changes. Therefore the challenge
 * names no error: `insufficient_scope` without scopes would make clients request a new token, which would be rejected too.
 */
export const denied = (space: ProtectionSpace): Forbidden =>
  new Forbidden({ message: "The caller is not allowed to do this", challenge: challenge(space) })

/** A page of another origin sent the cookie. The challenge names no error, since no other token would help. */
export const otherOrigin = (space: ProtectionSpace): Forbidden =>
  new Forbidden({ message: "The request comes from another origin", challenge: challenge(space) })
