import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { ExchangeFailed, ReceivedResponse } from "./exchange.ts"
import type { ExchangeRecord } from "./oauthFetch.ts"
import { type GrantedTokens, invalidBody, readTokens } from "./readToken.ts"

/**
 * What happened to a failed request. `unsent`: the server received nothing. `refused`: the server rejected the request
 * without using up the grant. `spent`: the grant is no longer valid. `unknown`: the server may have processed the request.
 */
export type DeliveryStatus = "unsent" | "refused" | "spent" | "unknown"

/** A failed token request. */
export class RequestFailed extends Data.TaggedError("RequestFailed")<{
  readonly error: KeelsonError.NetworkError | KeelsonError.AuthenticationError | KeelsonError.ConfigurationError
  readonly delivery: DeliveryStatus
}> {}

/** The registered errors of token endpoints. */
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

/** The errors of some servers that mean `invalid_grant`. */
export const fatalErrors: ReadonlyArray<string> = ["invalid_grant", "bad_refresh_token", "invalid_refresh_token"]

/** A code of several words in lower case. Any other text is the server's free text and is not repeated. */
const codeForm = /^[a-z]{2,24}(?:_[a-z]{2,24}){1,5}$/

const isUpstream = (
  code: ErrorCode.ErrorCode | undefined
): code is "RATE_LIMITED" | "TIMEOUT" | "UPSTREAM_UNAVAILABLE" =>
  code === "RATE_LIMITED" || code === "TIMEOUT" || code === "UPSTREAM_UNAVAILABLE"

const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** The statuses with which a server sends an `error`; with other ones it may be the error of a gateway. */
const hasOwnError = (status: number): boolean => isSuccess(status) || status === 400 || status === 401

/**
 * The `error` of a response body (RFC 6749, 5.2), which is never retried. Gateways also send bodies with an `error`: with a
 * status that may be retried, only a registered error and one of `fatal` count.
 */
const oauthError = (status: number, json: unknown, fatal: ReadonlySet<string>): string | undefined => {
  const error = Predicate.hasProperty(json, "error") ? json.error : undefined
  if (error === undefined || error === null || error === false || error === "") return undefined
  const isText = typeof error === "string"
  if (isText && (registeredErrors.has(error) || fatal.has(error))) return error
  if (isUpstream(ErrorCode.statusCode(status))) return undefined
  if (isText && codeForm.test(error)) return error
  return hasOwnError(status) ? "unregistered" : undefined
}

/** The failure that an error response means, by its status and its OAuth error. */
const fromResponse = (
  { headers, status }: ReceivedResponse,
  error: string | undefined,
  now: number,
  endpoint: string,
  fatal: ReadonlySet<string>
): RequestFailed => {
  if (error !== undefined) {
    return new RequestFailed({
      error: new KeelsonError.AuthenticationError({
        code: "TOKEN_ACQUISITION_FAILED",
        message: "The authorization server rejected the request",
        details: { error, status, endpoint }
      }),
      delivery: fatal.has(error) ? "spent" : "refused"
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

/** The code of the OAuth library's error. The message and all other fields are dropped. */
export const libraryCode = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" && /^[A-Z_]{1,64}$/.test(error.code)
    ? error.code
    : undefined

/** Why nothing was received. `code` is that of the OAuth library's error if it made no request. */
const fromFailure = (
  failure: ExchangeFailed | undefined,
  code: string | undefined,
  endpoint: string
): RequestFailed => {
  if (failure !== undefined) {
    const { code, details } = failure.error
    const error = new KeelsonError.NetworkError({ code, details: { ...details, endpoint } })
    return new RequestFailed({ error, delivery: failure.isUnsent ? "unsent" : "unknown" })
  }
  const details = { error: code, endpoint }
  return new RequestFailed({
    error: new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED", details }),
    delivery: "unsent"
  })
}

/** What `readAnswer` needs besides the exchange. */
export interface AnswerContext {
  /** The code of the OAuth library's error, if it made no request. */
  readonly code: string | undefined
  /** The wall clock. */
  readonly now: number
  readonly endpoint: string
  /** The OAuth errors that mean that the grant is no longer valid. */
  readonly fatal: ReadonlySet<string>
  /** More token types that mean `Bearer`. */
  readonly tokenTypes: ReadonlyArray<string>
  /** Whether the request asked for a token that is bound to a key. */
  readonly hasProof: boolean
}

/**
 * The tokens that the server granted, or why it granted none. An `error` without an access token is a refusal, whatever the
 * status.
 */
export const readAnswer = (
  { answer: { deviation, json }, failure, response }: ExchangeRecord,
  { code, endpoint, fatal, hasProof, now, tokenTypes }: AnswerContext
): Result.Result<GrantedTokens, RequestFailed> => {
  if (response === undefined) return Result.fail(fromFailure(failure, code, endpoint))
  const { status } = response
  const error = oauthError(status, json, fatal)
  const hasToken = Predicate.hasProperty(json, "access_token") && typeof json.access_token === "string" &&
    json.access_token !== ""
  if (status >= 400 || (error !== undefined && !hasToken)) {
    return Result.fail(fromResponse(response, error, now, endpoint, fatal))
  }
  const tokens = isSuccess(status) && Predicate.isObject(json)
    ? readTokens({ ...json }, { status, endpoint, tokenTypes, hasProof, deviation })
    : Result.fail(invalidBody(json, { status, endpoint }))
  return Result.mapError(tokens, (error) => new RequestFailed({ error, delivery: "unknown" }))
}
