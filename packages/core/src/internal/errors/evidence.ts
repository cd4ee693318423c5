import * as Predicate from "effect/Predicate"
import { type BreakerOutcome, codeInfo, codeOf } from "../../ErrorCode.ts"
import { findFirst } from "../../unstable/CauseChain.ts"
import { carriedCode, reasons } from "./carriedCode.ts"
import { isRefusal } from "./redisReply.ts"

/** What an error says about a call: whether repeating it may help, and what a circuit breaker records. */
export interface Evidence {
  readonly retryable: boolean
  readonly breaker: BreakerOutcome
}

/** Errors of Effect about data, options or arguments, which the called service did not cause. */
const local: ReadonlySet<unknown> = new Set(["SchemaError", "ConfigError", "IllegalArgumentError", "BadArgument"])
/** Two transactions conflicted: the database works, and the call may be repeated. */
const conflicts: ReadonlySet<unknown> = new Set(["DeadlockError", "SerializationError"])

const ours: Evidence = { retryable: false, breaker: "ignored" }

const flagOf = (error: object): boolean | undefined =>
  "isRetryable" in error && typeof error.isRetryable === "boolean" ? error.isRetryable : undefined

const tagIn = (error: unknown, tags: ReadonlySet<unknown>): boolean =>
  findFirst(error, reasons, (link) => "_tag" in link && tags.has(link._tag) ? true : undefined) === true

const unclassified: ReadonlySet<unknown> = new Set(["UnknownError"])

/** The evidence of an error with an `isRetryable` flag, as Effect's errors of SQL and AI have. */
const ofFlag = (error: unknown, retryable: boolean): Evidence => {
  const code = codeOf(error)
  if (code !== undefined) return { retryable, breaker: codeInfo[code].breaker }
  if (retryable) return { retryable, breaker: tagIn(error, conflicts) ? "ignored" : "failure" }
  return tagIn(error, unclassified) ? { retryable, breaker: "failure" } : ours
}

const ofError = (error: unknown): Evidence | undefined => {
  if (carriedCode(error) === undefined) {
    const flag = findFirst(error, reasons, flagOf)
    if (flag !== undefined) return ofFlag(error, flag)
  }
  const code = codeOf(error)
  if (code !== undefined) return codeInfo[code]
  if (tagIn(error, local)) return ours
  return Predicate.hasProperty(error, "_tag") && error._tag === "RedisError" && isRefusal(error) ? ours : undefined
}

/**
 * The evidence of an error: from the catalogue if the error has a code, else from its `isRetryable` flag, else from the code
 * that `codeOf` derives from its tag or its system code. `undefined` if nothing is known.
 */
export const evidenceOf = (error: unknown): Evidence | undefined => {
  try {
    return ofError(error)
  } catch {
    // A throwing getter must not replace the error.
    return undefined
  }
}
