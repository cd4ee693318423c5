import * as Duration from "effect/Duration"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Predicate from "effect/Predicate"
import { classOf, type FailureClass } from "./failureClass.ts"
import { hints } from "./hints.ts"

/** The response that a failure is about, if it is about one. */
export const responseOf = (failure: unknown): HttpClientResponse.HttpClientResponse | undefined =>
  HttpClientError.isHttpClientError(failure) && failure.reason._tag === "StatusCodeError"
    ? failure.reason.response
    : undefined

/** How long a failure asks to wait: by the hints of its response, else by its `retryAfter`. */
export const askedBy = (failure: unknown, now: number): Duration.Duration | undefined => {
  const response = responseOf(failure)
  if (response !== undefined) return hints(response, now).delay
  return Predicate.hasProperty(failure, "retryAfter") && Duration.isDuration(failure.retryAfter)
    ? failure.retryAfter
    : undefined
}

/** The class of a failure. A response that asks to wait is throttled, whatever its status. */
export const classOfHttp = (failure: unknown): FailureClass => {
  const response = responseOf(failure)
  if (response === undefined) return classOf(failure)
  if (response.status === 429) return "throttled"
  // When it ends does not matter here.
  const asked = hints(response, 0).delay
  return asked === undefined || Duration.isZero(asked) ? classOf(failure) : "throttled"
}
