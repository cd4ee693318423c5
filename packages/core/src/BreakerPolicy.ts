/**
 * When a circuit opens, and for how long: checked data from code, a file or the environment.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Configuration from "./Configuration.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as Field from "./unstable/Field.ts"

/** The fields of a policy. */
export const fields = {
  /** Whether there is a breaker at all. Default true. */
  enabled: Field.defaulted(Schema.Boolean, true),
  /**
   * `consecutive`: opens at the n-th failure in a row. `ratio`: opens at a share of failures in the last calls. Default
   * consecutive.
   */
  strategy: Field.defaulted(Schema.Literals(["consecutive", "ratio"]), "consecutive"),
  /** For `consecutive`: how many failures in a row. From 1 to 10000. Default 5. */
  failureThreshold: Field.defaulted(Field.int(1, 10_000), 5),
  /** For `ratio`: the share of failures at which it opens. From 0.01 to 1. Default 0.5. */
  failureRatio: Field.defaulted(Field.number(0.01, 1), 0.5),
  /** For `ratio`: how many of the last calls count. From 1 to 10000. Default 100. */
  windowSize: Field.defaulted(Field.int(1, 10_000), 100),
  /** For `ratio`: how many calls there are before it may open. From 1 to 10000. Default 20. */
  minimumCalls: Field.defaulted(Field.int(1, 10_000), 20),
  /**
   * How long an open circuit rejects before it admits one call, the probe. A `Retry-After` in seconds makes it longer.
   * From 0 millis to 24 hours. Default 1 minute.
   */
  openDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(60)),
  /** The longest that a `Retry-After` makes it. From 0 millis to 24 hours. Default 1 hour. */
  maxOpenDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1))
}

const isMinimumInWindow = Schema.makeFilter(
  (o: { readonly strategy: string; readonly minimumCalls: number; readonly windowSize: number }) =>
    o.strategy !== "ratio" || o.minimumCalls <= o.windowSize ||
    { path: ["minimumCalls"], issue: `at most windowSize, which is ${o.windowSize}` }
)

/** Checked options of a breaker. */
export const BreakerPolicy = Schema.Struct(fields).check(isMinimumInWindow)
export type BreakerPolicy = typeof BreakerPolicy.Type

/** What `make` takes. Every option may be left out; durations are `Duration` values or text with a unit. */
export type Options = {
  readonly [K in keyof BreakerPolicy]?:
    | (Duration.Duration extends BreakerPolicy[K] ? Field.DurationInput : BreakerPolicy[K])
    | undefined
}

/** A policy from options in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options = {}): BreakerPolicy => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(BreakerPolicy)

/** A policy from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<BreakerPolicy, ConfigurationError> = Configuration.decode(
  BreakerPolicy
)

/** A policy from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<BreakerPolicy, ConfigurationError> =>
  Configuration.decodeText(BreakerPolicy, input)

/** A policy from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<BreakerPolicy, ConfigurationError> =>
  Configuration.fromEnvironment(BreakerPolicy, path)
