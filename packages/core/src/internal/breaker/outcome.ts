import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Headers from "effect/http/Headers"
import * as Predicate from "effect/Predicate"
import { codeInfo, codeOf, type ErrorCode, statusCode } from "../../ErrorCode.ts"
import * as RetryAfter from "../../RetryAfter.ts"
import { RetryExhausted } from "../../RetryExhausted.ts"
import { failure, ignored, type Outcome, success } from "./effectBreaker.ts"

export { failure, ignored, type Outcome, success } from "./effectBreaker.ts"

const outcomes = { failure: failure(), success, ignored } as const

interface Response {
  readonly status: number
  readonly headers: Headers.Headers
}

const isResponse = (value: unknown): value is Response =>
  Predicate.hasProperty(value, "~effect/http/HttpClientResponse")

/** The response that an error is about: its own, or that of the last attempt of a retry. */
const responseOf = (error: unknown): Response | undefined => {
  if (error instanceof RetryExhausted) return responseOf(error.error)
  return Predicate.hasProperty(error, "response") && isResponse(error.response) ? error.response : undefined
}

/** A failure, which keeps the circuit open for as long as its response asks for, in seconds. A date is not read. */
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
 * What a breaker makes of a call, by the catalogue: a code that shows the service unwell is a failure, one that shows
 * it well (such as a 4xx) a success, and one that says nothing of it is ignored. An error without a code and a defect
 * are failures; an HTTP response counts by its status, and its `Retry-After` in seconds keeps the circuit open that long.
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
