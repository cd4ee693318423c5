import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Predicate from "effect/Predicate"

const statuses: ReadonlySet<unknown> = new Set([502, 503, 504])

const statusOf = (error: unknown): unknown => {
  if (Predicate.hasProperty(error, "details") && Predicate.hasProperty(error.details, "status")) {
    return error.details.status
  }
  return Predicate.hasProperty(error, "response") && Predicate.hasProperty(error.response, "status")
    ? error.response.status
    : undefined
}

/**
 * Whether a retry of a token request may succeed: the request timed out, its connection failed, or the response had status
 * 429, 502, 503 or 504. False for any other error.
 */
export const isTransient = (error: unknown): boolean => {
  const code = ErrorCode.codeOf(error)
  if (code === "UPSTREAM_UNAVAILABLE") return statuses.has(statusOf(error))
  return code === "TIMEOUT" || code === "NETWORK_ERROR" || code === "RATE_LIMITED"
}
