/**
 * Problem details as the response of an HTTP server. Errors load this module when a route fails with one for the first
 * time, so that an application without a server never loads Effect's HTTP modules.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import { retryAfterSeconds, toProblemDetails } from "./Problem.ts"

/**
 * An `HttpServerResponse` of `application/problem+json` with the error's status, and a `Retry-After` if the error has a
 * `retryAfter`. `instance` is a URI of this occurrence. A route that fails with a coded error responds with it
 * automatically.
 *
 * **Example** (Respond to any error)
 *
 * ```ts import.meta.vitest
 * import * as KeelsonError from "@keelson/core/KeelsonError"
 * import * as ProblemResponse from "@keelson/core/ProblemResponse"
 *
 * const error = KeelsonError.make({ code: "UNAUTHORIZED" })
 * ProblemResponse.make(error).status // => 401
 * ```
 *
 * @see RFC 9457, section 3
 */
export const make = (error: unknown, instance?: string): HttpServerResponse.HttpServerResponse => {
  const response = ProblemDetails.toResponse(toProblemDetails(error, instance))
  const seconds = retryAfterSeconds(error)
  return seconds === undefined ? response : HttpServerResponse.setHeader(response, "retry-after", String(seconds))
}
