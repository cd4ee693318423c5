import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { Answer } from "./exchange.ts"
import type { Seen } from "./oauthFetch.ts"
import { invalidResponse } from "./readToken.ts"

/**
 * What became of the request: `unsent`, the server got nothing; `refused`, it said no, and consumed nothing; `spent`, it said
 * that the grant is no good any more; `unknown`, it may have done what was asked.
 */
export type DeliveryStatus = "unsent" | "refused" | "spent" | "unknown"

/** One token request that failed. */
export class RequestFailed extends Data.TaggedError("RequestFailed")<{
  readonly error: KeelsonError.NetworkError | KeelsonError.AuthenticationError | KeelsonError.ConfigurationError
  readonly fate: DeliveryStatus
}> {}

/** The errors that token endpoints are registered to answer with: any other text is the server's own, and is not shown. */
const registered: ReadonlySet<unknown> = new Set([
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
 * The `error` of a body (RFC 6749, 5.2), which is never retried. A gateway's body may have an `error` too: outside of 400 and
 * 401 only a registered one counts.
 */
const oauthError = ({ status }: Answer, json: Seen["json"]): string | undefined => {
  const error = json?.["error"]
  if (registered.has(error)) return String(error)
  return typeof error === "string" && (status === 400 || status === 401) ? "unregistered" : undefined
}

const isUpstream = (
  code: ErrorCode.ErrorCode | undefined
): code is "RATE_LIMITED" | "TIMEOUT" | "UPSTREAM_UNAVAILABLE" =>
  code === "RATE_LIMITED" || code === "TIMEOUT" || code === "UPSTREAM_UNAVAILABLE"

/** An answer that is an error, by its status and the OAuth error in it. */
const ofAnswer = (answer: Answer, json: Seen["json"], now: number, endpoint: string): RequestFailed => {
  const { headers, status } = answer
  const error = oauthError(answer, json)
  if (error !== undefined) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({
        code: "TOKEN_ACQUISITION_FAILED",
        message: "The authorization server refused the request",
        details: { error, status, endpoint }
      }),
      fate: error === "invalid_grant" ? "spent" : "refused"
    })
  }
  const code = ErrorCode.statusCode(status)
  if (!isUpstream(code)) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({
        code: "TOKEN_ACQUISITION_FAILED",
        details: { status, endpoint }
      }),
      fate: "refused"
    })
  }
  const asked = RetryAfter.parse(headers["retry-after"], now)
  const details = {
    status,
    endpoint,
    ...(asked === undefined ? undefined : { retry_after_ms: Duration.toMillis(asked) })
  }
  return new RequestFailed({
    error: new KeelsonError.NetworkError({ code, details }),
    fate: status === 429 || status === 503 ? "refused" : "unknown"
  })
}

/** The library's code, which is all that is taken of its errors: they hold whole responses. */
const libraryCode = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" && /^[A-Z_]{1,64}$/.test(error.code)
    ? error.code
    : undefined

/** Why a call of the library failed, by what went over the bridge. `now` is the wall clock. */
export const refusalOf = (
  cause: unknown,
  { answer, failure, json }: Seen,
  now: number,
  endpoint: string
): RequestFailed => {
  if (failure !== undefined) {
    const { code, details } = failure.error
    const error = new KeelsonError.NetworkError({ code, details: { ...details, endpoint } })
    return new RequestFailed({ error, fate: failure.isUnsent ? "unsent" : "unknown" })
  }
  const error = libraryCode(cause)
  if (answer === undefined) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED", details: { error, endpoint } }),
      fate: "unsent"
    })
  }
  return answer.status >= 400
    ? ofAnswer(answer, json, now, endpoint)
    : new RequestFailed({ error: invalidResponse({ error, status: answer.status, endpoint }), fate: "unknown" })
}
