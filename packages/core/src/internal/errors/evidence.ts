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

/** Errors of Effect about data, options or arguments: the called service has no part in them. */
const local: ReadonlySet<unknown> = new Set(["SchemaError", "ConfigError", "IllegalArgumentError", "BadArgument"])
/** Two transactions were in each other's way: the database is well, and the call may be repeated. */
const conflicts: ReadonlySet<unknown> = new Set(["DeadlockError", "SerializationError"])

const ours: Evidence = { retryable: false, breaker: "ignored" }

const flagOf = (error: object): boolean | undefined =>
  "isRetryable" in error && typeof error.isRetryable === "boolean" ? error.isRetryable : undefined

const tagIn = (error: unknown, tags: ReadonlySet<unknown>): boolean =>
  findFirst(error, reasons, (link) => "_tag" in link && tags.has(link._tag) ? true : undefined) === true

const unclassified: ReadonlySet<unknown> = new Set(["UnknownError"])

/** The evidence of an error that says itself whether it is worth repeating, as Effect's errors of SQL and AI do. */
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
 * The evidence of an error: by the catalogue if it carries a code, else by its own `isRetryable`, else by the code that its
 * shape gives it. `undefined` if nothing is known.
 */
export const evidenceOf = (error: unknown): Evidence | undefined => {
  try {
    return ofError(error)
  } catch {
    // A throwing getter must not replace the error.
    return undefined
  }
}
