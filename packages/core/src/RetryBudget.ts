/**
 * Bounds retries to a share of calls, for all callers of the same service: while the service is down, retries add a known
 * fraction to its load instead of multiplying it.
 *
 * Each call deposits and each retry withdraws, within a sliding window on the monotonic clock; a minimum rate lets a client
 * with few calls retry. A retry is reserved before its delay, so that a thousand waiting retries cannot exceed the budget. A
 * policy may give retries of one class a cost of their own (`throttled`, `timedOut`); any other retry costs 1.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Configuration from "./Configuration.ts"
import { fromPolicy } from "./internal/retry/budget.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"

/** The options of a budget. Every one may be left out. */
export interface Options {
  /** Retries allowed for each call of the window. From 0 to 10. Default 0.2. */
  readonly ratio?: number | undefined
  /** Retries allowed per second even if there are few calls. From 0 to 10000. Default 1. */
  readonly minPerSecond?: number | undefined
  /** How long a call counts. From 1 second to 10 minutes. Default 10 seconds. */
  readonly window?: Field.DurationInput | undefined
}

/** Checked options of a budget. */
export const Policy = Schema.Struct({
  ratio: Field.defaulted(Field.number(0, 10), 0.2),
  minPerSecond: Field.defaulted(Field.number(0, 10_000), 1),
  window: Field.defaulted(Field.duration("1 second", "10 minutes"), Duration.seconds(10))
})
export type Policy = typeof Policy.Type

const fromCode = Decoders.maker<Options, typeof Policy>(Policy)

/** A reserved retry; `refund` returns it. */
export type Reservation = number

/** A budget. Its methods are synchronous; `now` is in monotonic nanoseconds. */
export interface RetryBudget {
  readonly policy: Policy
  /** Counts a call that begins. */
  readonly deposit: (now: bigint) => void
  /** Reserves one retry, at a cost of 1 if none is given; `undefined` if the budget does not cover the cost. */
  readonly reserve: (now: bigint, cost?: number) => Reservation | undefined
  /** Returns a reservation whose retry was interrupted during its delay. The cost is the one that it was made for. */
  readonly refund: (reservation: Reservation, cost?: number) => void
  /** The number of retries that are allowed now. */
  readonly available: (now: bigint) => number
}

/**
 * The service of a budget that an application shares. It bounds only the policies that have it as their `budget`.
 */
export const RetryBudget = Context.Service<RetryBudget>("@keelson/core/RetryBudget")

/**
 * Makes a budget. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Sharing a budget between two policies)
 *
 * ```ts import.meta.vitest
 * import * as RetryBudget from "@keelson/core/RetryBudget"
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 *
 * const budget = RetryBudget.make({ ratio: 0.1 })
 * const reads = RetryPolicy.make({ maxAttempts: 5, budget })
 * const writes = RetryPolicy.make({ maxAttempts: 2, budget })
 * reads.budget === writes.budget // => true
 * ```
 */
export const make = (options: Options = {}): RetryBudget => fromPolicy(fromCode(options))

/** A shared budget as a layer. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const layer = (options: Options = {}): Layer.Layer<RetryBudget, ConfigurationError> =>
  Layer.effect(RetryBudget, Effect.map(Configuration.decode(Policy)(options), fromPolicy))

/** The number of retries that a budget allows now. */
export const available = (budget: RetryBudget): Effect.Effect<number> =>
  Effect.map(Clock.monotonicTimeNanos, budget.available)
