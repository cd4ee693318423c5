import { Forbidden, InvalidRequest, Unauthorized, Unavailable } from "../../HttpSecurityError.ts"
import type { TokenError } from "../../TokenError.ts"
import { challengeOf, type Protection } from "./challenge.ts"

/** A request that has no token: the challenge tells no error (RFC 6750, 3.1). */
export const tokenMissing = (protection: Protection): Unauthorized =>
  new Unauthorized({ code: "TOKEN_MISSING", challenge: challengeOf(protection) })

/**
 * A token that the validator did not accept. Why is kept from the caller, but for an expiry, which it can read itself: an
 * answer that differs by key, issuer, audience or signature would tell who guesses how far a guess got.
 */
export const tokenRefused = (protection: Protection, cause: TokenError): Unauthorized | Unavailable => {
  if (!cause.isRefusal) return new Unavailable({ retryAfter: cause.retryAfter, cause })
  const [code, description] = cause.reason._tag === "TokenExpired"
    ? ["TOKEN_EXPIRED", "The access token is past its expiry"] as const
    : ["UNAUTHORIZED", "The access token is not accepted"] as const
  return new Unauthorized({
    code,
    message: description,
    cause,
    challenge: challengeOf(protection, { error: "invalid_token", description })
  })
}

/** A token that is sent in a way that is not allowed. */
export const requestInvalid = (protection: Protection, description: string): InvalidRequest =>
  new InvalidRequest({
    code: "TOKEN_REQUEST_INVALID",
    message: description,
    challenge: challengeOf(protection, { error: "invalid_request", description })
  })

/** A token that lacks scopes, which the caller may go and ask for (RFC 6750, 3.1). */
export const scopesLacking = (protection: Protection, scopes: ReadonlyArray<string>): Forbidden => {
  const description = "The access token lacks a scope that this needs"
  return new Forbidden({
    message: description,
    scopes,
    challenge: challengeOf(protection, { error: "insufficient_scope", description, scopes })
  })
}

/** A caller who may not do this, for a reason that no scope mends, and that is not told. */
export const denied = (protection: Protection): Forbidden => {
  const description = "The caller may not do this"
  return new Forbidden({
    message: description,
    challenge: challengeOf(protection, { error: "insufficient_scope", description })
  })
}

/** A request with a cookie from a page that is not the application's. No other token would help: the challenge has no error. */
export const otherOrigin = (protection: Protection): Forbidden =>
  new Forbidden({ message: "The request comes from another origin", challenge: challengeOf(protection) })
