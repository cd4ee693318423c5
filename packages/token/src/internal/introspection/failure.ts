import * as Breaker from "@keelson/core/Breaker"
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Resilience from "@keelson/core/Resilience"
import { RetryExhausted } from "@keelson/core/Retry"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type * as TokenError from "../../TokenError.ts"

type Reason = TokenError.Reason

/** What a failed request says about the server: it is not well, it is well, or nothing. */
export type Evidence = "failure" | "success" | "ignored"

/** A request that got no usable answer. Retries and the breaker use its code and its evidence. */
export class IntrospectionFailed extends Data.TaggedError("IntrospectionFailed")<{
  readonly code: ErrorCode.ErrorCode
  readonly problem: TokenError.IntrospectionProblem
  readonly detail?: TokenError.AnswerProblem | undefined
  readonly evidence: Evidence
  readonly isRetryable: boolean
  /** How long the server asks to wait. */
  readonly retryAfter?: Duration.Duration | undefined
}> {}

/** An answer that cannot be used. `evidence`: whether the server itself is at fault, rather than what a token contains. */
export const unusable = (
  problem: "answer" | "signature",
  detail: TokenError.AnswerProblem,
  evidence: Evidence = "ignored"
): IntrospectionFailed =>
  new IntrospectionFailed({ code: "INTROSPECTION_UNAVAILABLE", problem, detail, evidence, isRetryable: false })

type CallFailure = Resilience.Failure<IntrospectionFailed>

const lastOf = (failure: CallFailure): Exclude<CallFailure, RetryExhausted<unknown>> =>
  failure instanceof RetryExhausted ? failure.error : failure

const outcomes = { failure: Breaker.failure(), success: Breaker.success, ignored: Breaker.ignored } as const

/** What the breaker records for a call. A failure keeps the circuit open for as long as the server asks to wait. */
export const classify = (exit: Exit.Exit<unknown, CallFailure>): Breaker.Outcome => {
  const failure = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
  if (failure?._tag !== "Some") return Breaker.classify(exit)
  const last = lastOf(failure.value)
  if (!(last instanceof IntrospectionFailed)) return Breaker.classify(exit)
  return last.evidence === "failure" && last.retryAfter !== undefined
    ? Breaker.failure({ retryAfter: last.retryAfter })
    : outcomes[last.evidence]
}

/** The longest time that callers are asked to wait, in seconds. */
const maxRetryAfter = 3600

const unavailable = new Map<string, Reason>()

/**
 * The reason for a token that could not be introspected. The time to wait is in whole seconds, so that there are few reasons:
 * each has one error, which all callers share.
 */
export const introspectionUnavailable = (
  problem: TokenError.IntrospectionProblem,
  detail?: TokenError.AnswerProblem,
  wait: Duration.Duration = Duration.zero
): Reason => {
  const seconds = Math.min(maxRetryAfter, Math.ceil(Duration.toSeconds(wait)))
  const key = `${problem} ${detail ?? ""} ${seconds}`
  const existing = unavailable.get(key)
  if (existing !== undefined) return existing
  const reason: Reason = {
    _tag: "IntrospectionUnavailable",
    problem,
    ...(detail === undefined ? undefined : { detail }),
    retryAfter: Duration.seconds(seconds)
  }
  if (unavailable.size < 2 * maxRetryAfter) unavailable.set(key, reason)
  return reason
}

/** The authorization server says that the token is not active. */
export const tokenInactive: Reason = { _tag: "TokenInactive" }

/** How long callers wait if no place for a request became free. */
const busyFor = Duration.seconds(1)

/** The reason for a call that failed with all its attempts. */
export const reasonOf = (failure: CallFailure): Reason => {
  const last = lastOf(failure)
  switch (last._tag) {
    case "IntrospectionFailed":
      return introspectionUnavailable(last.problem, last.detail, last.retryAfter)
    case "CircuitOpen":
    case "Throttled":
      return introspectionUnavailable("circuit", undefined, last.retryAfter)
    case "BulkheadFull":
    case "LimitExceeded":
      return introspectionUnavailable("busy", undefined, busyFor)
    case "DeadlineExceeded":
      return introspectionUnavailable("timeout")
  }
}
