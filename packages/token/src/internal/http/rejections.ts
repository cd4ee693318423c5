import { Forbidden, InvalidRequest, Unauthorized, Unavailable } from "../../HttpSecurityError.ts"
import type { TokenError } from "../../TokenError.ts"
import { challenge, type ChallengeError as ChallengeParameters, type ProtectionSpace } from "./challenge.ts"

/** The request has no token. Its challenge names no error (RFC 6750, 3.1). */
export const tokenMissing = (space: ProtectionSpace): Unauthorized =>
  new Unauthorized({ code: "TOKEN_MISSING", challenge: challenge(space, undefined, space.scopes) })

/**
 * The validator rejected the token. The caller learns only of an expiry, which it can read in the token: a response that
 * differed by key, issuer, audience or signature would help an attacker to improve a forged token.
 */
export const tokenRejected = (space: ProtectionSpace, cause: TokenError): Unauthorized | Unavailable => {
  if (!cause.isRejection) return new Unavailable({ retryAfter: cause.retryAfter, cause })
  const bound = bindingRejected(space, cause)
  if (bound !== undefined) return bound
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

/** The code, error and description for a request with a valid token that the caller does not prove its key of. */
const bindingResponse = (
  { schemes: [scheme = "Bearer"] = [] }: ProtectionSpace,
  { message, reason }: TokenError
): readonly [code: Unauthorized["code"], error: ChallengeParameters["error"], description: string] | undefined => {
  switch (reason._tag) {
    case "TokenUnbound":
      return ["UNAUTHORIZED", "invalid_token", "The access token is not bound to a key as required"]
    case "BindingUnsupported":
      return ["UNAUTHORIZED", "invalid_token", "The access token is bound in a way that is not supported"]
    case "BindingMismatch":
      return ["UNAUTHORIZED", "invalid_token", "The access token is bound to another key"]
    case "CertificateMissing":
      return ["UNAUTHORIZED", "invalid_token", "The access token is bound to a client certificate"]
    case "ProofMissing":
      return scheme === "DPoP"
        ? ["DPOP_REQUIRED", "invalid_dpop_proof", "The request has no DPoP proof"]
        : ["DPOP_REQUIRED", "invalid_token", "The access token is bound to a key and must be sent with the scheme DPoP"]
    // The caller wrote the proof: what is wrong with it reveals nothing.
    case "ProofMalformed":
    case "ProofRejected":
    case "ProofReplayed":
      return ["DPOP_INVALID", "invalid_dpop_proof", message]
    default:
      return undefined
  }
}

/**
 * The caller does not prove that it has the key of its token. The response names the reason: it is about what the caller itself
 * sent, and nothing of it helps to use a stolen token. `undefined` for a reason of the validator.
 */
const bindingRejected = (space: ProtectionSpace, cause: TokenError): Unauthorized | undefined => {
  const response = bindingResponse(space, cause)
  if (response === undefined) return undefined
  const [code, error, description] = response
  // Another proof is enough for a token that is good.
  const scopes = error === "invalid_token" ? space.scopes : undefined
  return new Unauthorized({
    code,
    message: description,
    cause,
    challenge: challenge(space, { error, description, scopes })
  })
}

/** The proof has no current nonce. The caller learns the nonce for its next proof: RFC 9449, 9. */
export const nonceRequired = (space: ProtectionSpace, cause: TokenError, nonce: string): Unauthorized => {
  const description = "The DPoP proof must have the nonce of this response"
  return new Unauthorized({
    code: "DPOP_NONCE_REQUIRED",
    message: description,
    cause,
    nonce,
    challenge: challenge(space, { error: "use_dpop_nonce", description })
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
