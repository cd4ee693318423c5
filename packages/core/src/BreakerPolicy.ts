/**
 * When a circuit opens, for how long, and how it closes again: checked data from code, a file or the environment.
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
   * When the circuit opens. `consecutive`: after `failureThreshold` failures in a row. `ratio`: at a share of failed or slow
   * calls among the last `windowSize` calls. `timeWindow`: at such a share among the calls of the last `windowDuration`.
   * Default consecutive.
   */
  readonly strategy?: "consecutive" | "ratio" | "timeWindow" | undefined
  /** For `consecutive`: the number of failures in a row that opens the circuit. From 1 to 10000. Default 5. */
  readonly failureThreshold?: number | undefined
  /** For `ratio` and `timeWindow`: the share of failures that opens the circuit. From 0.01 to 1. Default 0.5. */
  readonly failureRatio?: number | undefined
  /** For `ratio`: how many of the last calls count. From 1 to 10000. Default 100. */
  readonly windowSize?: number | undefined
  /**
   * For `timeWindow`: how far back calls count. The window moves on by a tenth of it. From 1 second to 1 hour. Default 1
   * minute.
   */
  readonly windowDuration?: Field.DurationInput | undefined
  /**
   * For `ratio` and `timeWindow`: the number of calls in the window before the circuit may open. From 1 to 10000. Default 20.
   */
  readonly minimumCalls?: number | undefined
  /**
   * For `ratio` and `timeWindow`: how long a call takes that counts as slow, whether it succeeds or fails. A slow probe counts
   * as a failed one. Without it calls are not timed. From 1 milli to 1 hour. Default none.
   */
  readonly slowCallDuration?: Field.DurationInput | undefined
  /** With `slowCallDuration`: the share of slow calls that opens the circuit; 1 if it is left out. From 0.01 to 1. Default none. */
  readonly slowCallRatio?: number | undefined
  /**
   * How long an open circuit rejects calls before it admits a probe. A `Retry-After` response extends it. From 0 millis to 24
   * hours. Default 1 minute.
   */
  readonly openDuration?: Field.DurationInput | undefined
  /**
   * Upper bound of an `openDuration` that has grown or that `Retry-After` extends, before `openJitter`. From 0 millis to 24
   * hours. Default 1 hour.
   */
  readonly maxOpenDuration?: Field.DurationInput | undefined
  /**
   * Factor by which the open duration grows each time that the circuit opens again, up to `maxOpenDuration`. The duration is
   * `openDuration` again once the circuit has been closed for as long as it was last open. From 1 to 10. Default 1.
   */
  readonly openMultiplier?: number | undefined
  /**
   * Upper bound of the random share by which an open duration is lengthened, so that processes do not probe at the same moment.
   * From 0 to 1. Default 0.
   */
  readonly openJitter?: number | undefined
  /**
   * How many probes a half-open circuit admits, one at a time and in all processes together, before it closes or opens. From 1
   * to 100. Default 1.
   */
  readonly probes?: number | undefined
  /**
   * How many of the `probes` must succeed to close the circuit, at most `probes`. Without it all must succeed. From 1 to 100.
   * Default none.
   */
  readonly probeSuccesses?: number | undefined
  /**
   * How long a probe may take. After that the circuit is open again, and the outcome of the probe no longer counts; the call
   * itself is not interrupted. From 1 milli to 1 hour. Default 1 minute.
   */
  readonly probeTimeout?: Field.DurationInput | undefined
}

interface Related {
  readonly strategy: string
  readonly minimumCalls: number
  readonly windowSize: number
  readonly slowCallDuration?: Duration.Duration | undefined
  readonly slowCallRatio?: number | undefined
  readonly probes: number
  readonly probeSuccesses?: number | undefined
}

const isMinimumInWindow = Schema.makeFilter((o: Related) =>
  o.strategy !== "ratio" || o.minimumCalls <= o.windowSize ||
  { path: ["minimumCalls"], issue: `at most windowSize, which is ${o.windowSize}` }
)

const areSlowCallsCounted = Schema.makeFilter((o: Related) =>
  o.strategy !== "consecutive" || o.slowCallDuration === undefined ||
  { path: ["slowCallDuration"], issue: "absent with the strategy consecutive, which does not count slow calls" }
)

const isSlowRatioUsed = Schema.makeFilter((o: Related) =>
  o.slowCallRatio === undefined || o.slowCallDuration !== undefined ||
  { path: ["slowCallRatio"], issue: "absent without slowCallDuration" }
)

const areSuccessesProbes = Schema.makeFilter((o: Related) =>
  o.probeSuccesses === undefined || o.probeSuccesses <= o.probes ||
  { path: ["probeSuccesses"], issue: `at most probes, which is ${o.probes}` }
)

/** Checked options of a breaker. */
export const BreakerPolicy = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, true),
  strategy: Field.defaulted(Schema.Literals(["consecutive", "ratio", "timeWindow"]), "consecutive"),
  failureThreshold: Field.defaulted(Field.int(1, 10_000), 5),
  failureRatio: Field.defaulted(Field.number(0.01, 1), 0.5),
  windowSize: Field.defaulted(Field.int(1, 10_000), 100),
  windowDuration: Field.defaulted(Field.duration("1 second", "1 hour"), Duration.minutes(1)),
  minimumCalls: Field.defaulted(Field.int(1, 10_000), 20),
  slowCallDuration: Schema.optionalKey(Field.duration("1 millis", "1 hour")),
  slowCallRatio: Schema.optionalKey(Field.number(0.01, 1)),
  openDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(60)),
  maxOpenDuration: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1)),
  openMultiplier: Field.defaulted(Field.number(1, 10), 1),
  openJitter: Field.defaulted(Field.number(0, 1), 0),
  probes: Field.defaulted(Field.int(1, 100), 1),
  probeSuccesses: Schema.optionalKey(Field.int(1, 100)),
  probeTimeout: Field.defaulted(Field.duration("1 millis", "1 hour"), Duration.minutes(1))
}).check(isMinimumInWindow, areSlowCallsCounted, isSlowRatioUsed, areSuccessesProbes)
export type BreakerPolicy = typeof BreakerPolicy.Type

const fromCode = Decoders.maker<Options, typeof BreakerPolicy>(BreakerPolicy)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A breaker that opens at half of the calls of the last 30 seconds)
 *
 * ```ts import.meta.vitest
 * import * as BreakerPolicy from "@keelson/core/BreakerPolicy"
 *
 * const policy = BreakerPolicy.make({ strategy: "timeWindow", failureRatio: 0.5, windowDuration: "30 seconds" })
 * policy.enabled // => true
 * ```
 */
export const make: (options?: Options) => BreakerPolicy = fromCode
