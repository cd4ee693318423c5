/**
 * Jitter as Schedule combinators: each randomizes the delays of any `Schedule`, also for Effect's own `retry` and `repeat`.
 *
 * Randomness is Effect's `Random`. With a `cap` no delay is above it, and delays at the cap still vary, since the cap bounds
 * the interval and not the drawn value. (`Schedule.jittered` exceeds a cap before it, and does not vary at a cap after it.)
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

/** The options of every combinator. Every one may be left out. */
export interface Options {
  /** Upper bound of every delay. At least 0 millis, else `ConfigurationError` (`INVALID_CONFIG`) is thrown. Default none. */
  readonly cap?: DurationInput | undefined
}

type AnySchedule = Schedule.Schedule<unknown, never, unknown, unknown>

/**
 * Takes the schedule first, or the options alone. One signature for both, as Effect's `forkChild` has: with overloads,
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

/**
 * Uniform on [0, delay]: the widest spread, and the least load on the retried service.
 *
 * **Example** (Jitter for Effect's own retry)
 *
 * ```ts import.meta.vitest
 * import * as Jitter from "@keelson/core/Jitter"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * const schedule = Schedule.exponential("1 millis").pipe(Jitter.full({ cap: "1 second" }), Schedule.upTo({ times: 3 }))
 *
 * let calls = 0
 * const flaky = Effect.suspend(() => ++calls < 3 ? Effect.fail("busy") : Effect.succeed(calls))
 * const result = await Effect.runPromise(Effect.retry(flaky, schedule)) // => 3
 * ```
 */
export const full: Combinator = combinator("full", 0)

/** Uniform on [delay / 2, delay]: never less than half the delay. */
export const equal: Combinator = combinator("equal", 0)

/**
 * Uniform on [base, 3 x the previous delay], where `base` is the schedule's first delay. It replaces the schedule's later
 * delays, so set a `cap`.
 */
export const decorrelated: Combinator = combinator("decorrelated", 0)

/**
 * Uniform on [delay x (1 - ratio), delay x (1 + ratio)], never below the schedule's first delay.
 *
 * - `ratio`: from 0 (no jitter) to 1. Throws `ConfigurationError` (`INVALID_CONFIG`) for any other value.
 */
export const proportional = (ratio: number, options: Options = {}) => {
  if (!(ratio >= 0 && ratio <= 1)) throw InvalidConfig.option("ratio", "a number from 0 to 1")
  return combinator("proportional", ratio)(options)
}
