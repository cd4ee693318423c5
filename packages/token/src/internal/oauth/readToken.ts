import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TokenEndpointResponse } from "oauth4webapi"
import type { TokenResponse } from "../../TokenSource.ts"

/** A token with the refresh token of the same response. */
export interface GrantedToken extends TokenResponse {
  readonly refreshToken: Redacted.Redacted | undefined
}

/** The response contains no valid token; the details name the member at fault. */
export const invalidResponse = (
  details: Readonly<Record<string, unknown>>
): KeelsonError.AuthenticationError => new KeelsonError.AuthenticationError({ code: "TOKEN_RESPONSE_INVALID", details })

/**
 * The lifetime: a finite, non-negative number of seconds, or a string of digits, which some servers send. `undefined` without
 * one, `invalid` for anything else.
 */
const lifetimeOf = (value: unknown): Duration.Duration | undefined | "invalid" => {
  if (value === undefined) return undefined
  const seconds = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0
    ? Duration.seconds(seconds)
    : "invalid"
}

/**
 * Checks what the OAuth library accepts too leniently: `expires_in`, of which the library parses only the leading digits, and
 * `token_type`, which must be `Bearer` (RFC 6750).
 */
export const readToken = (
  token: TokenEndpointResponse,
  received: Readonly<Record<string, unknown>>,
  endpoint: string
): Effect.Effect<GrantedToken, KeelsonError.AuthenticationError> => {
  const expiresIn = lifetimeOf(received["expires_in"])
  if (expiresIn === "invalid") return Effect.fail(invalidResponse({ reason: "expires_in", endpoint }))
  if (token.token_type !== "bearer") return Effect.fail(invalidResponse({ reason: "token_type", endpoint }))
  return Effect.succeed({
    accessToken: Redacted.make(token.access_token, { label: "accessToken" }),
    expiresIn,
    scope: token.scope,
    refreshToken: token.refresh_token === undefined
      ? undefined
      : Redacted.make(token.refresh_token, { label: "refreshToken" })
  })
}
