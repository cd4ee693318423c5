import * as Breaker from "@keelson/core/Breaker"
import type * as Deadline from "@keelson/core/Deadline"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"

/** How one attempt may fail, as it is shown. */
export type AcquisitionError =
  | KeelsonError.NetworkError
  | KeelsonError.AuthenticationError
  | KeelsonError.ConfigurationError

/** An attempt that failed. Its code is what retries, the breaker and the metrics see. */
export class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly code: ErrorCode.ErrorCode
  readonly error: AcquisitionError
  readonly isRetryable: boolean
  /** How long the server asks to be left alone. */
  readonly retryAfter: Duration.Duration | undefined
}> {}

/** What may be shown of an error's details. */
const shown = ["endpoint", "error", "status", "reason", "path", "expected", "retry_after_ms"] as const

const detailsOf = (error: unknown): Readonly<Record<string, unknown>> => {
  if (!Predicate.hasProperty(error, "details") || !Predicate.isObject(error.details)) return {}
  const { details } = error
  return Object.fromEntries(shown.flatMap((name) => Object.hasOwn(details, name) ? [[name, details[name]]] : []))
}

/** A tag is a word of the program's; free text is not shown. */
const tagOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" && /^[\w$/@.-]{1,64}$/.test(error._tag)
    ? error._tag
    : undefined

const isAmong = <C extends ErrorCode.Category>(
  code: ErrorCode.ErrorCode,
  category: C
): code is KeelsonError.CodeOf<C> => ErrorCode.codeInfo[code].category === category

const isOurs = (error: unknown): error is AcquisitionError =>
  error instanceof KeelsonError.NetworkError || error instanceof KeelsonError.AuthenticationError ||
  error instanceof KeelsonError.ConfigurationError

/**
 * Any error of a source as one of three, with the facts given: time-outs are `TIMEOUT`, connections `NETWORK_ERROR`, another
 * code of tokens, the network or the configuration stays, and all else is `otherwise`. Of an error that is not ours nothing
 * is shown but its tag.
 */
export const toAcquisitionError = (
  cause: unknown,
  facts: Readonly<Record<string, unknown>>,
  otherwise: KeelsonError.CodeOf<"AUTHENTICATION"> = "TOKEN_ACQUISITION_FAILED"
): AcquisitionError => {
  const code = ErrorCode.codeOf(cause) ?? otherwise
  const tag = isOurs(cause) ? undefined : tagOf(cause)
  const details = { ...(tag === undefined ? undefined : { error: tag }), ...detailsOf(cause), ...facts }
  const options = { details, ...(isOurs(cause) ? { message: cause.message } : undefined) }
  if (isAmong(code, "NETWORK")) return new KeelsonError.NetworkError({ code, ...options })
  if (isAmong(code, "AUTHENTICATION")) return new KeelsonError.AuthenticationError({ code, ...options })
  if (isAmong(code, "CONFIGURATION")) return new KeelsonError.ConfigurationError({ code, ...options })
  return new KeelsonError.AuthenticationError({ code: otherwise, ...options })
}

/** How long an error's server asks to be left alone, however the error says so. `now` is the wall clock. */
export const retryAfterOf = (error: unknown, now: number): Duration.Duration | undefined => {
  if (Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter)) return error.retryAfter
  const { retry_after_ms: millis } = detailsOf(error)
  if (typeof millis === "number") return Duration.millis(millis)
  const response = Predicate.hasProperty(error, "response") ? error.response : undefined
  const headers = Predicate.hasProperty(response, "headers") ? response.headers : undefined
  const header = Predicate.hasProperty(headers, "retry-after") ? headers["retry-after"] : undefined
  return typeof header === "string" ? RetryAfter.parse(header, now) : undefined
}

/** What `Resilience` makes of attempts that failed, or of a call that was not made. */
export type CallError =
  | AttemptFailed
  | Breaker.CircuitOpen
  | Deadline.DeadlineExceeded
  | Retry.RetryExhausted<AttemptFailed | Deadline.DeadlineExceeded>

/** How a call failed in the end. */
export interface CallFailure {
  readonly error: AcquisitionError | Breaker.CircuitOpen
  readonly retryAfter: Duration.Duration | undefined
}

/** The last failure of a call, with the facts of all of it. */
export const toCallFailure = (failure: CallError, facts: Readonly<Record<string, unknown>>): CallFailure => {
  const last = failure instanceof Retry.RetryExhausted ? failure.error : failure
  if (last instanceof Breaker.CircuitOpen) return { error: last, retryAfter: last.retryAfter }
  return last instanceof AttemptFailed
    ? { error: toAcquisitionError(last.error, facts), retryAfter: last.retryAfter }
    : { error: toAcquisitionError(last, facts), retryAfter: undefined }
}
