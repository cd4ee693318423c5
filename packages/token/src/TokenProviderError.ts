/** The errors of getting a token. */
import type * as Breaker from "@keelson/core/Breaker"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"

/** What `TokenRefreshFailed` tells. */
export interface RefreshFailedOptions {
  readonly server: string
  readonly consecutiveFailures: number
  readonly lastFailure: ErrorCode.ErrorCode
  /** The details of the last failure. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Tokens could not be acquired several times in a row (`TOKEN_REFRESH_FAILED`), which was escalated: somebody has to look.
 * `lastFailure` is the code of the last of these failures.
 */
export class TokenRefreshFailed extends KeelsonError.CodedError<"TOKEN_REFRESH_FAILED"> {
  readonly _tag = "TokenRefreshFailed"
  override readonly name = "TokenRefreshFailed"
  readonly lastFailure: ErrorCode.ErrorCode
  readonly consecutiveFailures: number
  constructor({ consecutiveFailures, details, lastFailure, server }: RefreshFailedOptions) {
    super({
      code: "TOKEN_REFRESH_FAILED",
      message: `No token could be acquired ${consecutiveFailures} times in a row`,
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
 * How getting a token may fail.
 *
 * - `NetworkError`: the authorization server could not be reached (`TIMEOUT`, `NETWORK_ERROR`, `TLS_FAILED`), did not answer
 *   as it should (`RATE_LIMITED`, `UPSTREAM_UNAVAILABLE`, `RESPONSE_TOO_LARGE`), or sent us elsewhere (`EGRESS_REFUSED`).
 * - `AuthenticationError`: it refused (`TOKEN_ACQUISITION_FAILED`), its answer is no token (`TOKEN_RESPONSE_INVALID`), or a
 *   refresh token is used up (`TOKEN_REFRESH_FAILED`).
 * - `ConfigurationError`: a token that lives too short for the policy (`INVALID_CONFIG`), or a key that cannot sign
 *   (`KEY_INVALID`).
 * - `CircuitOpen`: the breaker rejects (`CIRCUIT_OPEN`). `Closed`: the provider is closed (`SHUTTING_DOWN`).
 * - `TokenRefreshFailed`: any of the first three, several times in a row.
 *
 * The details of the first three name `server`, `attempts` and, where they are known, `endpoint`, `error` and `status`.
 */
export type TokenProviderError =
  | KeelsonError.NetworkError
  | KeelsonError.AuthenticationError
  | KeelsonError.ConfigurationError
  | Breaker.CircuitOpen
  | SingleFlight.Closed
  | TokenRefreshFailed
