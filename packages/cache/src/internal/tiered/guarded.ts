import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Effect from "effect/Effect"
import type { CacheError } from "../../CacheError.ts"
import type { CacheTier } from "../../CacheTier.ts"

type Operation = "get" | "set" | "delete" | "clear" | "refresh"

/** A tier whose failures are counted, and logged once for each operation until it succeeds again. */
export interface Guarded {
  readonly tier: CacheTier
  /** Runs a call to the tier. After a failure, which is counted, the result is that of `orElse`. */
  readonly attempt: <A, R, B>(
    operation: Operation,
    call: Effect.Effect<A, CacheError, R>,
    orElse: (error: CacheError) => B
  ) => Effect.Effect<A | B, never, R>
  /** Counts and logs a failure. */
  readonly note: (operation: Operation, error: CacheError) => Effect.Effect<void>
}

/** Failures that say nothing about the tier. */
const isOrdinary = ({ reason: { _tag } }: CacheError): boolean =>
  _tag === "NotFound" || _tag === "ItemTooLarge" || _tag === "BodyIncomplete"

export const makeGuarded = (tier: CacheTier): Guarded => {
  // A full disk fails to write, and answers lookups in between: it would be logged each time.
  const failing = new Set<Operation>()
  const note = (operation: Operation, error: CacheError): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (isOrdinary(error)) return Effect.void
      const count = MetricSeries.increment("tierFailures", { layer: tier.name, operation })
      if (failing.has(operation)) return count
      failing.add(operation)
      return Effect.andThen(
        count,
        Effect.annotateLogs(Effect.logWarning(`Cache tier failed: ${tier.name}`), {
          operation,
          error_code: error.code,
          problem: error.message
        })
      )
    })
  return {
    tier,
    note,
    attempt: (operation, call, orElse) =>
      Effect.matchEffect(call, {
        onSuccess: (value) => {
          failing.delete(operation)
          return Effect.succeed(value)
        },
        onFailure: (error) => Effect.map(note(operation, error), () => orElse(error))
      })
  }
}
