import { Cause, Exit, Predicate } from "effect"
import { codeInfo, codeOf, statusCode } from "../ErrorCode.ts"
import { failure, ignored, type Outcome, success } from "./effectBreaker.ts"

export { failure, ignored, type Outcome, success } from "./effectBreaker.ts"

const outcomes = { failure: failure(), success, ignored } as const

const isResponse = (value: unknown): value is { readonly status: number } =>
  Predicate.hasProperty(value, "~effect/http/HttpClientResponse")

/**
 * What a breaker makes of a call, by the catalogue: a code that shows the service unwell is a failure, one that shows
 * it well (such as a 4xx) a success, and one that says nothing of it is ignored. An error without a code and a defect
 * are failures; an HTTP response counts by its status.
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) {
    if (!isResponse(exit.value)) return success
    const code = statusCode(exit.value.status)
    return code === undefined ? success : outcomes[codeInfo[code].breaker]
  }
  const error = Cause.findErrorOption(exit.cause)
  const code = error._tag === "Some" ? codeOf(error.value) : undefined
  return code === undefined ? outcomes.failure : outcomes[codeInfo[code].breaker]
}
