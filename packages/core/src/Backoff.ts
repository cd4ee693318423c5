/**
 * How long to wait between attempts, as checked data: fixed, linear or exponential, a cap and a kind of jitter.
 *
 * `delay` is pure; `schedule` makes a `Schedule` of the same delays, which works with Effect's own `retry` too.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Configuration from "./Configuration.ts"
import { type Band, draw, jitterBand } from "./internal/retry/jitterBand.ts"
import * as Field from "./unstable/Field.ts"

const longest = Duration.hours(24)

/** The fields of a backoff, to be put into other options. Each is documented by its annotation. */
export const fields = {
  /**
   * `fixed`: always `initialDelay`. `linear`: `initialDelay` + n x `increment`. `exponential`: `initialDelay` x
   * `multiplier`^n. Default exponential.
   */
  strategy: Field.defaulted(Schema.Literals(["fixed", "linear", "exponential"]), "exponential"),
  /**
   * The delay before the first retry, and the least delay where jitter is `none`, `proportional` or `decorrelated`.
   * From 0 millis to 24 hours. Default 1 second.
   */
  initialDelay: Field.defaulted(Field.duration("0 millis", longest), Duration.seconds(1)),
  /** What `linear` adds for each further retry. From 0 millis to 24 hours. Default 1 second. */
  increment: Field.defaulted(Field.duration("0 millis", longest), Duration.seconds(1)),
  /** What `exponential` multiplies with for each further retry. From 1 to 100. Default 2. */
  multiplier: Field.defaulted(Field.number(1, 100), 2),
  /**
   * The cap: no delay is above it, and delays at the cap still vary. Without it delays grow up to 24 hours. From 0
   * millis to 24 hours. Default none.
   */
  maxDelay: Schema.optionalKey(Field.duration("0 millis", longest)),
  /**
   * How a delay d is spread: `full` on [0, d], `equal` on [d/2, d], `proportional` on d x (1 ± `jitterRatio`),
   * `decorrelated` on [`initialDelay`, 3 x the delay before]. Default full.
   */
  jitter: Field.defaulted(Schema.Literals(["none", "full", "equal", "proportional", "decorrelated"]), "full"),
  /** The share that `proportional` adds and takes away. From 0 to 1. Default 0.2. */
  jitterRatio: Field.defaulted(Field.number(0, 1), 0.2)
}

/** `maxDelay` is not below `initialDelay`. */
export const isCapAboveBase = Schema.makeFilter(
  (o: { readonly initialDelay: Duration.Duration; readonly maxDelay?: Duration.Duration }) =>
    o.maxDelay === undefined || Duration.isGreaterThanOrEqualTo(o.maxDelay, o.initialDelay) ||
    { path: ["maxDelay"], issue: `at least initialDelay, which is ${Field.written(o.initialDelay)}` }
)

/** Checked options of a backoff. */
export const Backoff = Schema.Struct(fields).check(isCapAboveBase)
export type Backoff = typeof Backoff.Type

/** What `make` takes: every option may be left out, and durations are `Duration` values or text with a unit. */
export type Options = {
  readonly [K in keyof Backoff]?: (Duration.Duration extends Backoff[K] ? Field.DurationInput : Backoff[K]) | undefined
}

/** Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make: (options?: Options) => Backoff = (options = {}) => decode(options)
const decode = Configuration.decodeUnsafe(Backoff)

const nominal = (backoff: Backoff, attempt: number): number => {
  const initial = Duration.toMillis(backoff.initialDelay)
  switch (backoff.strategy) {
    case "fixed":
      return initial
    case "linear":
      return initial + attempt * Duration.toMillis(backoff.increment)
    case "exponential":
      return initial === 0 ? 0 : initial * Math.pow(backoff.multiplier, attempt)
  }
}

/**
 * The least and the greatest delay, in milliseconds, after an attempt; attempts count from 0, a negative one is 0.
 *
 * `previous` is the delay before, which `decorrelated` starts from; by default what an unspread backoff would have had.
 */
export const band = (backoff: Backoff, attempt: number, previous?: Duration.Duration): Band => {
  const n = Math.max(0, Math.floor(attempt))
  const cap = Duration.toMillis(backoff.maxDelay ?? longest)
  const base = Duration.toMillis(backoff.initialDelay)
  return jitterBand(backoff.jitter, {
    delay: nominal(backoff, n),
    base,
    cap,
    previous: previous === undefined
      ? Math.min(cap, nominal(backoff, Math.max(0, n - 1)))
      : Duration.toMillis(previous),
    ratio: backoff.jitterRatio
  })
}

/**
 * The delay after an attempt, drawn uniformly from `band` by `random`, which is uniform on [0, 1).
 */
export const delay = (
  backoff: Backoff,
  attempt: number,
  random: number,
  previous?: Duration.Duration
): Duration.Duration => Duration.millis(draw(band(backoff, attempt, previous), random))

/** The same delays as a `Schedule` that never ends and outputs the delay. Randomness is Effect's `Random`. */
export const schedule = (backoff: Backoff): Schedule.Schedule<Duration.Duration> =>
  Schedule.fromStepWithMetadata(Effect.sync(() => {
    let previous: Duration.Duration | undefined
    return ({ attempt }: Schedule.InputMetadata<unknown>) =>
      Effect.map(Random.next, (random): [Duration.Duration, Duration.Duration] => {
        previous = delay(backoff, attempt - 1, random, previous)
        return [previous, previous]
      })
  }))
