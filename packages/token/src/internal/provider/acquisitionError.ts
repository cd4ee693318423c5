import * as Breaker from "@keelson/core/Breaker"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Resilience from "@keelson/core/Resilience"
import * as Retry from "@keelson/core/Retry"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"

/** The error of one attempt, as callers see it. */
export type AcquisitionError =
  | KeelsonError.NetworkError
  | KeelsonError.AuthenticationError
  | KeelsonError.ConfigurationError

/** A failed attempt. Retries, the breaker and the metrics use its code. */
export class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly code: ErrorCode.ErrorCode
  readonly error: AcquisitionError
  readonly isRetryable: boolean
  /** How long the server asks to wait (`Retry-After`). */
  readonly retryAfter: Duration.Duration | undefined
}> {}

/** The details of an error that are kept. All others are dropped. */
const allowedDetails = [
  "endpoint",
  "error",
  "status",
  "reason",
  "path",
  "expected",
  "received",
  "retry_after_ms"
] as const

const detailsOf = (error: unknown): Readonly<Record<string, unknown>> => {
  if (!Predicate.hasProperty(error, "details") || !Predicate.isObject(error.details)) return {}
  const { details } = error
  return Object.fromEntries(
    allowedDetails.flatMap((name) => Object.hasOwn(details, name) ? [[name, details[name]]] : [])
  )
}

/** An error's tag, if it is an identifier and not free text. */
const tagOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" && /^[\w$/@.-]{1,64}$/.test(error._tag)
    ? error._tag
    : undefined

const isInCategory = <C extends ErrorCode.Category>(
  code: ErrorCode.ErrorCode,
  category: C
): code is KeelsonError.CodeOf<C> => ErrorCode.codeInfo[code].category === category

const isAcquisitionError = (error: unknown): error is AcquisitionError =>
  error instanceof KeelsonError.NetworkError || error instanceof KeelsonError.AuthenticationError ||
  error instanceof KeelsonError.ConfigurationError

/**
 * Converts any error of a token source to an `AcquisitionError`, and adds `extraDetails` to its details. A timeout gets the code
 * `TIMEOUT`, and a failed connection `NETWORK_ERROR`. An error with another code about authentication, the network or the
 * configuration keeps its code. Every other error gets the code `otherwise`. The message of an error that is not an
 * `AcquisitionError` is dropped; its tag and its allowed details are kept.
 */
export const toAcquisitionError = (
  cause: unknown,
  extraDetails: Readonly<Record<string, unknown>>,
  otherwise: KeelsonError.CodeOf<"AUTHENTICATION"> = "TOKEN_ACQUISITION_FAILED"
): AcquisitionError => {
  const code = ErrorCode.codeOf(cause) ?? otherwise
  const tag = isAcquisitionError(cause) ? undefined : tagOf(cause)
  const details = { ...(tag === undefined ? undefined : { error: tag }), ...detailsOf(cause), ...extraDetails }
  const options = { details, ...(isAcquisitionError(cause) ? { message: cause.message } : undefined) }
  if (isInCategory(code, "NETWORK")) return new KeelsonError.NetworkError({ code, ...options })
  if (isInCategory(code, "AUTHENTICATION")) return new KeelsonError.AuthenticationError({ code, ...options })
  if (isInCategory(code, "CONFIGURATION")) return new KeelsonError.ConfigurationError({ code, ...options })
  return new KeelsonError.AuthenticationError({ code: otherwise, ...options })
}

/**
 * Returns how long the server asks to wait: from the error's property `retryAfter`, its details, or the `Retry-After` header of
 * its response. `now` is the wall-clock time, for headers that state a date.
 */
export const retryAfterOf = (error: unknown, now: number): Duration.Duration | undefined => {
  if (Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter)) return error.retryAfter
  const { retry_after_ms: millis } = detailsOf(error)
  if (typeof millis === "number") return Duration.millis(millis)
  const response = Predicate.hasProperty(error, "response") ? error.response : undefined
  const headers = Predicate.hasProperty(response, "headers") ? response.headers : undefined
  const header = Predicate.hasProperty(headers, "retry-after") ? headers["retry-after"] : undefined
  return typeof header === "string" ? RetryAfter.parse(header, now) : undefined
}

/** The errors of `Resilience.execute` when it runs the attempts of an acquisition. */
export type CallError = Resilience.Failure<AttemptFailed>

/** The codes of calls that were rejected before a request was sent. */
const rejections: ReadonlySet<ErrorCode.ErrorCode> = new Set([
  "CIRCUIT_OPEN",
  "BULKHEAD_FULL",
  "LIMIT_EXCEEDED",
  "THROTTLED"
])

/** Whether a call was rejected before a request was sent. */
export const isRejection = ({ code }: { readonly code: ErrorCode.ErrorCode }): boolean => rejections.has(code)

/** A failed acquisition: its error, and how long to wait before the next one. */
export interface CallFailure {
  readonly error: AcquisitionError | Breaker.CircuitOpen
  readonly retryAfter: Duration.Duration | undefined
  /** Whether another process failed, and this one sent no request. Default false. */
  readonly isShared?: boolean | undefined
  /** The failed acquisitions of all processes in a row. Default: unknown. */
  readonly fleetFailures?: number | undefined
}

/** Returns the error of an acquisition's last attempt. `extraDetails` describe the whole acquisition. */
export const toCallFailure = (failure: CallError, extraDetails: Readonly<Record<string, unknown>>): CallFailure => {
  const last = failure instanceof Retry.RetryExhausted ? failure.error : failure
  if (last instanceof Breaker.CircuitOpen) return { error: last, retryAfter: last.retryAfter }
  return last instanceof AttemptFailed
    ? { error: toAcquisitionError(last.error, extraDetails), retryAfter: last.retryAfter }
    : {
      error: toAcquisitionError(last, extraDetails),
      retryAfter: Predicate.hasProperty(last, "retryAfter") && Duration.isDuration(last.retryAfter)
        ? last.retryAfter
        : undefined
    }
}
