import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Headers from "effect/http/Headers"
import * as Predicate from "effect/Predicate"
import { type BreakerOutcome, codeInfo, statusCode } from "../../ErrorCode.ts"
import { evidenceOf } from "../errors/evidence.ts"
import { hints } from "../retry/hints.ts"
import { RetryExhausted } from "../retry/retryExhausted.ts"
import { failure, ignored, type Outcome, success } from "./effectBreaker.ts"

export { failure, type FailureOptions, ignored, type Outcome, success } from "./effectBreaker.ts"

const outcomes = { failure: failure(), success, ignored } as const

interface Response {
  readonly status: number
  readonly headers: Headers.Headers
}

const isResponse = (value: unknown): value is Response =>
  Predicate.hasProperty(value, "~effect/http/HttpClientResponse")

/** The response of an error, or of the last attempt of a retry. */
const responseOf = (error: unknown): Response | undefined => {
  if (error instanceof RetryExhausted) return responseOf(error.error)
  return Predicate.hasProperty(error, "response") && isResponse(error.response) ? error.response : undefined
}

/**
 * A failure. What its response asks for keeps the circuit open for that long. There is no clock here, so that a date counts
 * only from the `Date` of the response: without one it is in the past, as seen from the end of time.
 */
const failed = (response: Response | undefined): Outcome => {
  const asked = response === undefined ? undefined : hints(response, Infinity).delay
  return asked === undefined ? outcomes.failure : failure({ retryAfter: asked })
}

const outcomeOf = (outcome: BreakerOutcome, response: Response | undefined): Outcome =>
  outcome === "failure" ? failed(response) : outcomes[outcome]

/** What an error is evidence of: for a retry that gave up, its last error. */
const breakerOutcome = (error: unknown): BreakerOutcome =>
  error instanceof RetryExhausted ? breakerOutcome(error.error) : evidenceOf(error)?.breaker ?? "failure"

/**
 * The outcome of a call by the catalogue: a code for an unhealthy service is a failure, a code for a healthy service (such as
 * a 4xx) a success, and any other code is ignored. An error that says itself that repeating the call does not help
 * (`isRetryable: false`) is ignored, as is a `SchemaError`. Other errors without a code are failures. A defect counts as the
 * error that it is. An HTTP response counts by its status; the circuit stays open for as long as it asks for
 * (`RetryAfter.hints`), where a date counts from the `Date` of the response.
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) {
    if (!isResponse(exit.value)) return success
    const code = statusCode(exit.value.status)
    return code === undefined ? success : outcomeOf(codeInfo[code].breaker, exit.value)
  }
  // A defect too: the client of `node:http` dies with a header that cannot be sent.
  const error = Cause.squash(exit.cause)
  return outcomeOf(breakerOutcome(error), responseOf(error))
}
