/**
 * Jitter as Schedule combinators: each spreads the delays of any `Schedule`, for Effect's own `retry` and `repeat` too.
 *
 * Randomness is Effect's `Random`. With a `cap` no delay is above it, and delays at the cap still vary: the interval is
 * cut, not the value drawn (`Schedule.jittered` overshoots a cap before it, and loses its variance to one after it).
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { draw, jitterBand, type Kind } from "./internal/retry/jitterBand.ts"
import type { DurationInput } from "./unstable/Field.ts"
import * as InvalidConfig from "./unstable/InvalidConfig.ts"

export interface Options {
  /** No delay is above it. Default none. A negative one throws `ConfigurationError` (`INVALID_CONFIG`). */
  readonly cap?: DurationInput | undefined
}

type AnySchedule = Schedule.Schedule<unknown, never, unknown, unknown>

/**
 * Takes the schedule first, or its options alone. One signature for both, as Effect's own `forkChild` has: of overloads
 * `schedule.pipe(Jitter.full)` would lose the schedule's types.
 */
type Combinator = <Arg extends AnySchedule | Options>(
  self: Arg,
  options?: Options
) => [Arg] extends [Schedule.Schedule<infer Output, infer Input, infer Error, infer Env>]
  ? Schedule.Schedule<Output, Input, Error, Env>
  : <Output, Input, Error, Env>(
    self: Schedule.Schedule<Output, Input, Error, Env>
  ) => Schedule.Schedule<Output, Input, Error, Env>

const spread = <Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>,
  kind: Kind,
  options: Options | undefined,
  ratio: number
): Schedule.Schedule<Output, Input, Error, Env> => {
  const cap = options?.cap === undefined ? Infinity : Duration.toMillis(options.cap)
  if (!(cap >= 0)) throw InvalidConfig.option("cap", "a duration of at least 0 millis")
  return Schedule.fromStep(Effect.map(Schedule.toStep(self), (step) => {
    let base: number | undefined
    let previous: number | undefined
    return (now: number, input: Input) =>
      Effect.flatMap(
        step(now, input),
        ([output, duration]) =>
          Effect.map(Random.next, (random): [Output, Duration.Duration] => {
            const delay = Duration.toMillis(duration)
            base ??= delay
            previous = draw(jitterBand(kind, { delay, base, cap, previous: previous ?? base, ratio }), random)
            return [output, Duration.millis(previous)]
          })
      )
  }))
}

const combinator = (kind: Kind, ratio: number): Combinator =>
  Function.dual(
    (args) => Schedule.isSchedule(args[0]),
    <Output, Input, Error, Env>(self: Schedule.Schedule<Output, Input, Error, Env>, options?: Options) =>
      spread(self, kind, options, ratio)
  )

/** Uniform on [0, delay]: the widest spread, and the least load on what is being retried. */
export const full: Combinator = combinator("full", 0)

/** Uniform on [delay / 2, delay]: never much sooner than asked for. */
export const equal: Combinator = combinator("equal", 0)

/**
 * Uniform on [base, 3 x the delay before], `base` being the schedule's first delay. It takes the place of the
 * schedule's later delays, so give it a `cap`.
 */
export const decorrelated: Combinator = combinator("decorrelated", 0)

/**
 * Uniform on [delay x (1 - ratio), delay x (1 + ratio)], never below the schedule's first delay.
 *
 * - `ratio`: from 0 (none) to 1; another one throws `ConfigurationError` (`INVALID_CONFIG`).
 */
export const proportional = (ratio: number, options: Options = {}) => {
  if (!(ratio >= 0 && ratio <= 1)) throw InvalidConfig.option("ratio", "a number from 0 to 1")
  return combinator("proportional", ratio)(options)
}
