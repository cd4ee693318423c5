import * as Predicate from "effect/Predicate"
import type { ErrorCode } from "../../ErrorCode.ts"
import { findFirst } from "../../unstable/CauseChain.ts"
import { codeOfMembers } from "./aggregate.ts"
import { isCancellation } from "./cancellation.ts"
import { ownCode } from "./carriedCode.ts"
import { fetchCode, systemCode } from "./systemCode.ts"

/** The code of an HTTP status; `undefined` below 400. */
export const statusCode = (status: number): ErrorCode | undefined => {
  if (status < 400) return undefined
  if (status === 429) return "RATE_LIMITED"
  if (status === 408 || status === 504) return "TIMEOUT"
  return status >= 500 ? "UPSTREAM_UNAVAILABLE" : "UPSTREAM_REJECTED"
}

const causes = ["cause"] as const

/** Whether an error comes from `AbortSignal.timeout`. Only its `name` shows this. */
const isSignalTimeout = (error: object): true | undefined =>
  "name" in error && error.name === "TimeoutError" ? true : undefined

/** How deep an `AggregateError` may contain others. */
const maxNesting = 3

const ofOne = (nesting: number) => (error: object): ErrorCode | undefined => {
  if (isSignalTimeout(error)) return "TIMEOUT"
  if (isCancellation(error)) return "CANCELLED"
  // undici's error of a response that is not HTTP, which has a code only for some faults.
  if ("name" in error && error.name === "HTTPParserError" && !("code" in error && error.code)) return "NETWORK_ERROR"
  const code = "code" in error && typeof error.code === "string" ? systemCode(error.code) : undefined
  if (code === undefined && "name" in error && error.name === "AbortError") return "CANCELLED"
  if (code !== undefined || nesting === maxNesting) return code
  // Node gives the failures of several addresses the code of the first, other libraries give theirs none.
  return codeOfMembers(error, (member) => ownCode(member) ?? foreign(member, nesting + 1))
}

/** The first code in a chain of causes. `node:http` reports the timeout of a signal as an `AbortError` too. */
const ofCause = (error: unknown, nesting: number): ErrorCode | undefined => {
  const code = findFirst(error, causes, ofOne(nesting)) ?? findFirst(error, causes, fetchCode)
  return code === "CANCELLED" && findFirst(error, causes, isSignalTimeout) === true ? "TIMEOUT" : code
}

/** Effect's `fetch` client refuses a request to switch protocols. Its error has no cause. */
const isUnsupported = (reason: object): boolean =>
  "description" in reason && reason.description === "fetch cannot send an HTTP upgrade request"

const ofHttpClient = (reason: unknown, nesting: number): ErrorCode | undefined => {
  if (!Predicate.isObject(reason)) return undefined
  const response = reason["response"]
  switch (reason["_tag"]) {
    case "TransportError":
      return ofCause(reason["cause"], nesting) ?? (isUnsupported(reason) ? "REQUEST_INVALID" : "NETWORK_ERROR")
    case "StatusCodeError":
      return Predicate.hasProperty(response, "status") ? statusCode(Number(response.status)) : "INTERNAL_ERROR"
    // Effect reports an incomplete body as one that cannot be decoded.
    case "DecodeError":
      return ofCause(reason["cause"], nesting) ?? "UPSTREAM_REJECTED"
    case "EmptyBodyError":
      return "UPSTREAM_REJECTED"
    case "EncodeError":
    case "InvalidUrlError":
      return "REQUEST_INVALID"
    default:
      return "INTERNAL_ERROR"
  }
}

/** The errors of Effect's breaker and rate limiter. Those of their stores have no code. */
const ofReason = (reason: unknown): ErrorCode | undefined => {
  if (!Predicate.hasProperty(reason, "_tag")) return undefined
  if (reason._tag === "CircuitOpen" || reason._tag === "CircuitHalfOpen") return "CIRCUIT_OPEN"
  return reason._tag === "RateLimitExceeded" ? "RATE_LIMITED" : undefined
}

/** The code of an error of Effect or Node, by its tag, name or system code, so that none of their modules is imported. */
export const foreignCode = (error: object): ErrorCode | undefined => foreign(error, 0)

const foreign = (error: object, nesting: number): ErrorCode | undefined => {
  const tag = "_tag" in error ? error._tag : undefined
  if (tag === "TimeoutError") return "TIMEOUT"
  if (tag === "HttpBodyError") return "REQUEST_INVALID"
  if (tag === "HttpClientError" && "reason" in error) return ofHttpClient(error.reason, nesting)
  if ((tag === "CircuitBreakerError" || tag === "RateLimiterError") && "reason" in error) return ofReason(error.reason)
  if (error instanceof Error) return ofCause(error, nesting)
  return isCancellation(error) ? "CANCELLED" : undefined
}
