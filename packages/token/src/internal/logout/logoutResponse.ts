import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Problem from "@keelson/core/Problem"
import type { LogoutResponse } from "../../BackChannelLogout.ts"
import type { BackChannelLogoutError, Code } from "../../BackChannelLogoutError.ts"

const noStore = { "cache-control": "no-store" }

/** A session was ended (OpenID Connect Back-Channel Logout 1.0, 2.8). */
export const success: LogoutResponse = Object.freeze({ status: 200, headers: noStore, body: "" })

/** What the provider is told. It does not say why a logout token was rejected, which would help to forge one. */
const descriptions: Record<Code, readonly [error: string, description: string]> = {
  LOGOUT_REQUEST_INVALID: ["invalid_request", "The request must be a form with one logout_token"],
  LOGOUT_TOKEN_INVALID: ["invalid_request", "The logout token was rejected"],
  LOGOUT_TOKEN_REPLAYED: ["invalid_request", "The logout token was received before"],
  JWKS_UNAVAILABLE: ["temporarily_unavailable", "The logout token could not be checked now"],
  AUTHORIZATION_UNAVAILABLE: ["temporarily_unavailable", "The logout could not be stored now"]
}

/** The response for an error: a 400 or 503 with `error` and `error_description`. */
export const failure = (error: BackChannelLogoutError): LogoutResponse => {
  const [name, description] = descriptions[error.code]
  const status = ErrorCode.codeInfo[error.code].status === 503 ? 503 : 400
  const seconds = status === 503 ? Problem.retryAfterSeconds(error) ?? 1 : undefined
  return {
    status,
    headers: {
      ...noStore,
      "content-type": "application/json",
      ...(seconds === undefined ? undefined : { "retry-after": String(seconds) })
    },
    body: JSON.stringify({ error: name, error_description: description })
  }
}
