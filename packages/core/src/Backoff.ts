/**
 * Delays between attempts as checked data: fixed, linear or exponential, with a cap and a kind of jitter.
 *
 * `delay` is a pure function; `schedule` makes a `Schedule` of the same delays, which Effect's own `retry` takes too.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { delayBand } from "./internal/retry/delayBand.ts"
import { draw } from "./internal/retry/jitterBand.ts"
import { isCapAboveBase } from "./internal/retry/policyChecks.ts"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"

/** The options of a backoff. Every one may be left out. */
export interface Options {
  /**
   * How the delay grows with the number n of retries before it. `fixed`: `initialDelay`. `linear`: `initialDelay` + n x
   * `increment`. `exponential`: `initialDelay` x `multiplier`^n. Default exponential.
   */
  readonly strategy?: "fixed" | "linear" | "exponential" | undefined
  /**
   * The delay before the first retry. It is also the minimum if jitter is `none`, `proportional` or `decorrelated`. From 0
   * millis to 24 hours. Default 1 second.
   */
  readonly initialDelay?: Field.DurationInput | undefined
  /** For `linear`: added for each further retry. From 0 millis to 24 hours. Default 1 second. */
  readonly increment?: Field.DurationInput | undefined
  /** For `exponential`: the factor for each further retry. From 1 to 100. Default 2. */
  readonly multiplier?: number | undefined
  /**
   * Upper bound of every delay; delays at the bound still vary. Without it delays grow up to 24 hours. From 0 millis to 24
   * hours. Default none.
   */
  readonly maxDelay?: Field.DurationInput | undefined
  /**
   * How a delay d is randomized: `full` on [0, d], `equal` on [d/2, d], `proportional` on d x (1 ± `jitterRatio`),
   * `decorrelated` on [`initialDelay`, 3 x the previous delay]. Default full.
   */
  readonly jitter?: "none" | "full" | "equal" | "proportional" | "decorrelated" | undefined
  /** For `proportional`: the share that is added or subtracted. From 0 to 1. Default 0.2. */
  readonly jitterRatio?: number | undefined
}

const longest = Duration.hours(24)

/** Checked options of a backoff. */
export const Backoff = Schema.Struct({
  strategy: Field.defaulted(Schema.Literals(["fixed", "linear", "exponential"]), "exponential"),
  initialDelay: Field.defaulted(Field.duration("0 millis", longest), Duration.seconds(1)),
  increment: Field.defaulted(Field.duration("0 millis", longest), Duration.seconds(1)),
  multiplier: Field.defaulted(Field.number(1, 100), 2),
  maxDelay: Schema.optionalKey(Field.duration("0 millis", longest)),
  jitter: Field.defaulted(Schema.Literals(["none", "full", "equal", "proportional", "decorrelated"]), "full"),
  jitterRatio: Field.defaulted(Field.number(0, 1), 0.2)
}).check(isCapAboveBase)
export type Backoff = typeof Backoff.Type

const fromCode = Decoders.maker<Options, typeof Backoff>(Backoff)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Delays that double)
 *
 * ```ts import.meta.vitest
 * import * as Backoff from "@keelson/core/Backoff"
 * import * as Duration from "effect/Duration"
 *
 * const backoff = Backoff.make({ initialDelay: "100 millis", maxDelay: "300 millis", jitter: "none" })
 * const delays = [0, 1, 2].map((attempt) => Duration.toMillis(Backoff.delay(backoff, attempt, 0.5))) // => [100, 200, 300]
 * ```
 */
export const make: (options?: Options) => Backoff = fromCode

/**
 * The delay after an attempt, drawn by `random`, which is uniform on [0, 1). Attempts count from 0; a negative one is read as 0.
 *
 * `previous` is the delay before it, on which `decorrelated` is based. Default: the delay without jitter.
 */
export const delay = (
  backoff: Backoff,
  attempt: number,
  random: number,
  previous?: Duration.Duration
): Duration.Duration => Duration.millis(draw(delayBand(backoff, attempt, previous), random))

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
