import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TokenEndpointResponse } from "oauth4webapi"
import type { TokenResponse } from "../../TokenSource.ts"

/** A token with the refresh token that came with it. */
export interface Granted extends TokenResponse {
  readonly refreshToken: Redacted.Redacted | undefined
}

/** An answer that is no token, and which member says so. */
export const invalidResponse = (
  details: Readonly<Record<string, unknown>>
): KeelsonError.AuthenticationError => new KeelsonError.AuthenticationError({ code: "TOKEN_RESPONSE_INVALID", details })

/**
 * The lifetime: a finite number of seconds that is not negative, or whole digits in a text, as some servers send it.
 * `undefined` where there is none, `invalid` for anything else.
 */
const lifetimeOf = (value: unknown): Duration.Duration | undefined | "invalid" => {
  if (value === undefined) return undefined
  const seconds = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0
    ? Duration.seconds(seconds)
    : "invalid"
}

/**
 * What the library accepted, with what it lets pass looked at again: `expires_in`, of which it reads the digits that a text
 * begins with, and `token_type`, where only `Bearer` is one that is sent here (RFC 6750).
 */
export const readToken = (
  token: TokenEndpointResponse,
  received: Readonly<Record<string, unknown>>,
  endpoint: string
): Effect.Effect<Granted, KeelsonError.AuthenticationError> => {
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
