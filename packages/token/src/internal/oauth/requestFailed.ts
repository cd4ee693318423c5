import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { ReceivedResponse } from "./exchange.ts"
import type { ExchangeRecord } from "./oauthFetch.ts"
import { invalidResponse } from "./readToken.ts"

/**
 * What the server did with a failed request. `unsent`: it received nothing. `refused`: it rejected the request and used
 * nothing up. `spent`: it says that the grant is no longer valid. `unknown`: it may have processed the request.
 */
export type DeliveryStatus = "unsent" | "refused" | "spent" | "unknown"

/** A failed token request. */
export class RequestFailed extends Data.TaggedError("RequestFailed")<{
  readonly error: KeelsonError.NetworkError | KeelsonError.AuthenticationError | KeelsonError.ConfigurationError
  readonly delivery: DeliveryStatus
}> {}

/** The registered errors of token endpoints. Any other text is the server's free text and is not repeated. */
const registeredErrors: ReadonlySet<unknown> = new Set([
  "invalid_request",
  "invalid_client",
  "invalid_grant",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_scope",
  "invalid_target",
  "invalid_dpop_proof",
  "use_dpop_nonce"
])

/**
 * The `error` of a response body (RFC 6749, 5.2), which is never retried. Gateways also send bodies with an `error`, so with a
 * status other than 400 and 401 only a registered error counts.
 */
const oauthError = ({ status }: ReceivedResponse, json: ExchangeRecord["json"]): string | undefined => {
  const error = json?.["error"]
  if (registeredErrors.has(error)) return String(error)
  return typeof error === "string" && (status === 400 || status === 401) ? "unregistered" : undefined
}

const isUpstream = (
  code: ErrorCode.ErrorCode | undefined
): code is "RATE_LIMITED" | "TIMEOUT" | "UPSTREAM_UNAVAILABLE" =>
  code === "RATE_LIMITED" || code === "TIMEOUT" || code === "UPSTREAM_UNAVAILABLE"

/** The failure that an error response means, by its status and its OAuth error. */
const fromResponse = (
  response: ReceivedResponse,
  json: ExchangeRecord["json"],
  now: number,
  endpoint: string
): RequestFailed => {
  const { headers, status } = response
  const error = oauthError(response, json)
  if (error !== undefined) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({
        code: "TOKEN_ACQUISITION_FAILED",
        message: "The authorization server rejected the request",
        details: { error, status, endpoint }
      }),
      delivery: error === "invalid_grant" ? "spent" : "refused"
    })
  }
  const code = ErrorCode.statusCode(status)
  if (!isUpstream(code)) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({
        code: "TOKEN_ACQUISITION_FAILED",
        details: { status, endpoint }
      }),
      delivery: "refused"
    })
  }
  const retryAfter = RetryAfter.parse(headers["retry-after"], now)
  const details = {
    status,
    endpoint,
    ...(retryAfter === undefined ? undefined : { retry_after_ms: Duration.toMillis(retryAfter) })
  }
  return new RequestFailed({
    error: new KeelsonError.NetworkError({ code, details }),
    delivery: status === 429 || status === 503 ? "refused" : "unknown"
  })
}

/** The code of the OAuth library's error. Nothing else of it is kept, since it contains the whole response. */
const libraryCode = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" && /^[A-Z_]{1,64}$/.test(error.code)
    ? error.code
    : undefined

/** Why a call of the OAuth library failed, from what it exchanged with the server. `now` is the wall clock. */
export const toRequestFailed = (
  cause: unknown,
  { failure, json, response }: ExchangeRecord,
  now: number,
  endpoint: string
): RequestFailed => {
  if (failure !== undefined) {
    const { code, details } = failure.error
    const error = new KeelsonError.NetworkError({ code, details: { ...details, endpoint } })
    return new RequestFailed({ error, delivery: failure.isUnsent ? "unsent" : "unknown" })
  }
  const error = libraryCode(cause)
  if (response === undefined) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED", details: { error, endpoint } }),
      delivery: "unsent"
    })
  }
  return response.status >= 400
    ? fromResponse(response, json, now, endpoint)
    : new RequestFailed({ error: invalidResponse({ error, status: response.status, endpoint }), delivery: "unknown" })
}
