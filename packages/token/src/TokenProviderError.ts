/** The errors of acquiring a token. */
import type * as Breaker from "@keelson/core/Breaker"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"

/** What a `TokenRefreshFailed` is made of. */
export interface RefreshFailedOptions {
  /** The provider's name. Required. */
  readonly server: string
  /** The number of failures since the last success. Required. */
  readonly consecutiveFailures: number
  /** The code of the last failure. Required. */
  readonly lastFailure: ErrorCode.ErrorCode
  /** The details of the last failure. Default none. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Acquisitions failed several times in a row (`TOKEN_REFRESH_FAILED`), and the failure was escalated to operators.
 * `lastFailure` is the code of the last failure.
 *
 * **Example** (An escalated failure)
 *
 * ```ts import.meta.vitest
 * import { TokenProviderError } from "@keelson/token"
 *
 * const options = { server: "billing", consecutiveFailures: 3, lastFailure: "TIMEOUT" } as const
 * const error = new TokenProviderError.TokenRefreshFailed(options)
 * error.severity // => "CRITICAL"
 * error.details["last_failure"] // => "NET-001"
 * ```
 */
export class TokenRefreshFailed extends KeelsonError.CodedError<"TOKEN_REFRESH_FAILED"> {
  readonly _tag = "TokenRefreshFailed"
  override readonly name = "TokenRefreshFailed"
  readonly lastFailure: ErrorCode.ErrorCode
  readonly consecutiveFailures: number
  constructor({ consecutiveFailures, details, lastFailure, server }: RefreshFailedOptions) {
    super({
      code: "TOKEN_REFRESH_FAILED",
      message: `Token acquisition failed ${consecutiveFailures} times in a row`,
      severity: "CRITICAL",
      details: {
        ...details,
        server,
        consecutive_failures: consecutiveFailures,
        last_failure: ErrorCode.codeInfo[lastFailure].id
      }
    })
    this.lastFailure = lastFailure
    this.consecutiveFailures = consecutiveFailures
  }
}

/**
 * The errors of acquiring a token.
 *
 * - `NetworkError`: the authorization server was unreachable (`TIMEOUT`, `NETWORK_ERROR`, `TLS_FAILED`), answered with an
 *   unusable status or body (`RATE_LIMITED`, `UPSTREAM_UNAVAILABLE`, `RESPONSE_TOO_LARGE`), or redirected (`EGRESS_REFUSED`).
 * - `AuthenticationError`: the server rejected the request (`TOKEN_ACQUISITION_FAILED`), its response has no valid token
 *   (`TOKEN_RESPONSE_INVALID`), the token was already expired (`TOKEN_EXPIRED`), the refresh token cannot be used
 *   (`TOKEN_REFRESH_FAILED`), or a guard cannot use the token: it is not bound to the guard's key (`TOKEN_NOT_BOUND`), or it is bound
 *   to a key and the guard has none (`DPOP_KEY_MISSING`).
 * - `ConfigurationError`: the token's lifetime is too short for the policy (`INVALID_CONFIG`), or a key cannot sign
 *   (`KEY_INVALID`).
 * - `CircuitOpen`: the breaker rejects the request (`CIRCUIT_OPEN`). `Closed`: the provider is closed (`SHUTTING_DOWN`).
 * - `TokenRefreshFailed`: any of the first three, several times in a row.
 *
 * The details of the first three have `server`, `attempts` and, if known, `endpoint`, `error` and `status`.
 */
export type TokenProviderError =
  | KeelsonError.NetworkError
  | KeelsonError.AuthenticationError
  | KeelsonError.ConfigurationError
  | Breaker.CircuitOpen
  | SingleFlight.Closed
  | TokenRefreshFailed
