import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Headers from "effect/http/Headers"
import * as Predicate from "effect/Predicate"
import { codeInfo, codeOf, type ErrorCode, statusCode } from "../../ErrorCode.ts"
import * as RetryAfter from "../../RetryAfter.ts"
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

/** A failure. A `Retry-After` in seconds keeps the circuit open for that long; a date is not read. */
const failed = (response: Response | undefined): Outcome => {
  const header = response?.headers["retry-after"]?.trim()
  const asked = header !== undefined && /^\d+$/.test(header) ? RetryAfter.parse(header, 0) : undefined
  return asked === undefined ? outcomes.failure : failure({ retryAfter: asked })
}

const outcomeOf = (code: ErrorCode | undefined, response: Response | undefined): Outcome => {
  const outcome = code === undefined ? "failure" : codeInfo[code].breaker
  return outcome === "failure" ? failed(response) : outcomes[outcome]
}

/**
 * The outcome of a call by the catalogue: a code for an unhealthy service is a failure, a code for a healthy service (such as
 * a 4xx) a success, and any other code is ignored. Errors without a code and defects are failures. An HTTP response counts
 * by its status; its `Retry-After` in seconds keeps the circuit open for that long.
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) {
    if (!isResponse(exit.value)) return success
    const code = statusCode(exit.value.status)
    return code === undefined ? success : outcomeOf(code, exit.value)
  }
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" ? outcomeOf(codeOf(error.value), responseOf(error.value)) : outcomes.failure
}
