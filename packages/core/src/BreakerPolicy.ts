/**
 * When a circuit opens, and for how long: checked data from code, a file or the environment.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"

/** The options of a circuit breaker. Every one may be left out. */
export interface Options {
  /** Whether there is a breaker. Default true. */
  readonly enabled?: boolean | undefined
  /**
   * When the circuit opens. `consecutive`: after `failureThreshold` failures in a row. `ratio`: at a share of failures
   * among the last calls. Default consecutive.
   */
  readonly strategy?: "consecutive" | "ratio" | undefined
  /** For `consecutive`: the number of failures in a row that opens the circuit. From 1 to 10000. Default 5. */
  readonly failureThreshold?: number | undefined
  /** For `ratio`: the share of failures that opens the circuit. From 0.01 to 1. Default 0.5. */
  readonly failureRatio?: number | undefined
  /** For `ratio`: how many of the last calls count. From 1 to 10000. Default 100. */
  readonly windowSize?: number | undefined
  /** For `ratio`: the number of calls before the circuit may open. From 1 to 10000. Default 20. */
  readonly minimumCalls?: number | undefined
  /**
   * How long an open circuit rejects calls before it admits one probe. A `Retry-After` response extends it. From 0 millis
   * to 24 hours. Default 1 minute.
   */
  readonly openDuration?: Field.DurationInput | undefined
  /** Upper bound of an `openDuration` extended by `Retry-After`. From 0 millis to 24 hours. Default 1 hour. */
  readonly maxOpenDuration?: Field.DurationInput | undefined
}

const isMinimumInWindow = Schema.makeFilter(
  (o: { readonly strategy: string; readonly minimumCalls: number; readonly windowSize: number }) =>
    o.strategy !== "ratio" || o.minimumCalls <= o.windowSize ||
    { path: ["minimumCalls"], issue: `at most windowSize, which is ${o.windowSize}` }
)

/** Checked options of a breaker. */
export const BreakerPolicy = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, true),
  strategy: Field.defaulted(Schema.Literals(["consecutive", "ratio"]), "consecutive"),
  failureThreshold: Field.defaulted(Field.int(1, 10_000), 5),
  failureRatio: Field.defaulted(Field.number(0.01, 1), 0.5),
  windowSize: Field.defaulted(Field.int(1, 10_000), 100),
  minimumCalls: Field.defaulted(Field.int(1, 10_000), 20),
  openDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(60)),
  maxOpenDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1))
}).check(isMinimumInWindow)
export type BreakerPolicy = typeof BreakerPolicy.Type

const fromCode = Decoders.maker<Options, typeof BreakerPolicy>(BreakerPolicy)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A breaker that opens at half of the last 20 calls)
 *
 * ```ts import.meta.vitest
 * import * as BreakerPolicy from "@keelson/core/BreakerPolicy"
 *
 * const policy = BreakerPolicy.make({ strategy: "ratio", failureRatio: 0.5, windowSize: 20, minimumCalls: 10 })
 * policy.enabled // => true
 * ```
 */
export const make: (options?: Options) => BreakerPolicy = fromCode
