import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import { codeOf, type ErrorCode } from "../../ErrorCode.ts"
import type { Sample } from "./gradient.ts"

/** Codes of calls that ran out of time, or that the service or a limit in front of it refused. */
const dropped: ReadonlySet<ErrorCode> = new Set(["TIMEOUT", "RATE_LIMITED", "BULKHEAD_FULL", "LIMIT_EXCEEDED"])

const ofStatus = (status: number): Sample => {
  if (status === 408 || status === 429 || status === 503 || status === 504) return "dropped"
  return status >= 500 ? "ignored" : "success"
}

const statusOf = (value: unknown): number | undefined =>
  Predicate.hasProperty(value, "~effect/http/HttpClientResponse") && Predicate.hasProperty(value, "status")
    ? Number(value.status)
    : undefined

/** The error of the last attempt, for a retry that gave up. */
const lastError = (error: unknown): unknown =>
  Predicate.isTagged(error, "RetryExhausted") && Predicate.hasProperty(error, "error") ? lastError(error.error) : error

const ofError = (error: unknown): Sample => {
  const last = lastError(error)
  const status = Predicate.hasProperty(last, "response") ? statusOf(last.response) : undefined
  if (status !== undefined) return ofStatus(status)
  const code = codeOf(last)
  return code !== undefined && dropped.has(code) ? "dropped" : "ignored"
}

/**
 * How a call counts for the capacity of a service. A success and a response below 500 count by their latency. A timeout, a
 * 408, 429, 503 or 504, and the rejection by a limit further down count as dropped. Any other failure is ignored: it may be
 * faster or slower than an answer.
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Sample => {
  if (Exit.isFailure(exit)) return ofError(Cause.squash(exit.cause))
  const status = statusOf(exit.value)
  return status === undefined ? "success" : ofStatus(status)
}
