/**
 * When a call is hedged, and how often: checked data from code, a file or the environment.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as RetryBudget from "./RetryBudget.ts"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"

/** The options of hedging that a file or the environment may give. Every one may be left out. */
export interface Options {
  /** Whether calls are hedged. Default true. */
  readonly enabled?: boolean | undefined
  /**
   * A fixed time to wait for an answer before each hedge. Without it the time is the `quantile` of the latencies seen. From
   * 1 milli to 10 minutes. Default none.
   */
  readonly delay?: Field.DurationInput | undefined
  /**
   * Without `delay`: the share of the recent answers that arrived within the time to wait. About one minus this share of the
   * calls is hedged. From 0.5 to 0.9999. Default 0.95.
   */
  readonly quantile?: number | undefined
  /** Without `delay`: the number of answers before the first hedge. From 10 to 10000. Default 100. */
  readonly minimumCalls?: number | undefined
  /**
   * Without `delay`: how many of the last answers the quantile is computed from. Up to twice as many are kept, since the older
   * half is dropped as a whole. From 10 to 100000. Default 500.
   */
  readonly windowSize?: number | undefined
  /** Without `delay`: lower bound of the time to wait. From 0 millis to 10 minutes. Default 1 milli. */
  readonly minDelay?: Field.DurationInput | undefined
  /** Upper bound of the hedges of one call. From 1 to 10. Default 1. */
  readonly maxHedges?: number | undefined
  /** Bounds hedges to a share of calls. Without it the share is 0.05, and at least 1 hedge per second. Default none. */
  readonly budget?: RetryBudget.Options | undefined
}

const isMinimumInWindow = Schema.makeFilter(
  (o: { readonly minimumCalls: number; readonly windowSize: number }) =>
    o.minimumCalls <= o.windowSize ||
    { path: ["minimumCalls"], issue: `at most windowSize, which is ${o.windowSize}` }
)

/** Checked options of hedging. */
export const HedgePolicy = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, true),
  delay: Schema.optionalKey(Field.duration("1 millis", "10 minutes")),
  quantile: Field.defaulted(Field.number(0.5, 0.9999), 0.95),
  minimumCalls: Field.defaulted(Field.int(10, 10_000), 100),
  windowSize: Field.defaulted(Field.int(10, 100_000), 500),
  minDelay: Field.defaulted(Field.duration("0 millis", "10 minutes"), Duration.millis(1)),
  maxHedges: Field.defaulted(Field.int(1, 10), 1),
  budget: Schema.optionalKey(RetryBudget.Policy)
}).check(isMinimumInWindow)
export type HedgePolicy = typeof HedgePolicy.Type

const fromCode = Decoders.maker<Options, typeof HedgePolicy>(HedgePolicy)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Hedging the slowest hundredth of the calls)
 *
 * ```ts import.meta.vitest
 * import * as HedgePolicy from "@keelson/core/HedgePolicy"
 *
 * const policy = HedgePolicy.make({ quantile: 0.99, budget: { ratio: 0.02 } })
 * policy.maxHedges // => 1
 * ```
 */
export const make: (options?: Options) => HedgePolicy = fromCode
