import type { Backoff } from "../../Backoff.ts"
import { codeInfo, codeOf } from "../../ErrorCode.ts"
import type { ClassPolicy } from "../../RetryPolicy.ts"

/**
 * The class of a failure, by which its delay and its cost may differ.
 *
 * - `throttled`: the service asks for fewer calls, and is not unhealthy
 * - `timedOut`: there was no answer in time
 * - `transient`: any other failure that is retried
 */
export type FailureClass = "transient" | "throttled" | "timedOut"

/** The class of an error by its code. A code that is retried although no breaker counts it asks for fewer calls. */
export const classOf = (error: unknown): FailureClass => {
  const code = codeOf(error)
  if (code === undefined) return "transient"
  if (code === "TIMEOUT") return "timedOut"
  return codeInfo[code].retryable && codeInfo[code].breaker === "ignored" ? "throttled" : "transient"
}

/** The classes that a policy treats apart. */
export interface Classes {
  readonly throttled?: ClassPolicy
  readonly timedOut?: ClassPolicy
}

/** What a policy says about a class; `undefined` if it says nothing. */
export const policyFor = (classes: Classes, kind: FailureClass): ClassPolicy | undefined =>
  kind === "transient" ? undefined : classes[kind]

/** The backoff of a policy with the delays of a class. */
export const backoffFor = (backoff: Backoff, own: ClassPolicy | undefined): Backoff => {
  if (own?.initialDelay === undefined && own?.maxDelay === undefined) return backoff
  const maxDelay = own.maxDelay ?? backoff.maxDelay
  return {
    ...backoff,
    initialDelay: own.initialDelay ?? backoff.initialDelay,
    ...(maxDelay === undefined ? undefined : { maxDelay })
  }
}
