/**
 * The `Retry-After` of a response as a floor for the next delay, with a ceiling.
 *
 * A server's wish is respected, but not without bound: a `Retry-After: 86400` must not put a fiber to sleep for a day.
 *
 * @see RFC 9110, section 10.2.3
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Headers from "effect/http/Headers"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { DurationInput } from "./unstable/Field.ts"

export interface Options {
  /** The most that may be asked for; what is added to spread clients comes on top. Default 60 seconds. */
  readonly ceiling?: DurationInput | undefined
  /** Above the ceiling: `stop` retrying, or `clamp` to the ceiling. Default `stop`. */
  readonly beyond?: "stop" | "clamp" | undefined
}

/** Added above what the server asked for, so that its clients don't all come back in the same instant. */
const spread = 0.1

/**
 * A header's value: seconds, or an HTTP date counted from `now` (wall-clock milliseconds).
 * `undefined` where it is empty, negative, invalid or in the past.
 */
export const parse = (value: string | undefined, now: number): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  const parsed = Headers.parseRetryAfter(value)
  if (Result.isFailure(parsed)) return undefined
  const delay = Headers.retryAfterDelay(parsed.success, now)
  return parsed.success._tag === "DateTime" && Duration.isZero(delay) ? undefined : delay
}

/** `parse` of the `retry-after` of a response's headers, at the current time. */
export const fromHeaders = (headers: Headers.Headers): Effect.Effect<Duration.Duration | undefined> =>
  Effect.map(Clock.currentTimeMillis, (now) => parse(headers["retry-after"], now))

/**
 * The next delay: at least what was asked for (plus up to 10 %, by `random` on [0, 1)), and at least the backoff.
 * `undefined` where what was asked for is above the ceiling and the rule is to stop.
 */
export const apply = (
  backoff: Duration.Duration,
  asked: Duration.Duration | undefined,
  random: number,
  options?: Options
): Duration.Duration | undefined => {
  if (asked === undefined) return backoff
  const ceiling = Duration.fromInputUnsafe(options?.ceiling ?? "60 seconds")
  if (Duration.isGreaterThan(asked, ceiling) && options?.beyond !== "clamp") return undefined
  return Duration.max(backoff, Duration.times(Duration.min(asked, ceiling), 1 + spread * random))
}

/**
 * Schedule combinator: no delay is below what the error asks for. Where that is above the ceiling, the schedule ends
 * (`beyond: "stop"`, the default) or waits for the ceiling (`"clamp"`).
 *
 * An error without a type of its own is taken to be one with a `retryAfter`, as `CircuitOpen` is.
 */
export const floor: {
  <E = { readonly retryAfter: Duration.Duration | undefined }>(
    retryAfter: (error: E) => Duration.Duration | undefined,
    options?: Options
  ): <Output, Input, Error, Env>(
    self: Schedule.Schedule<Output, Input, Error, Env>
  ) => Schedule.Schedule<Output, Input & E, Error, Env>
  <Output, Input, Error, Env, E = { readonly retryAfter: Duration.Duration | undefined }>(
    self: Schedule.Schedule<Output, Input, Error, Env>,
    retryAfter: (error: E) => Duration.Duration | undefined,
    options?: Options
  ): Schedule.Schedule<Output, Input & E, Error, Env>
} = Function.dual((args) => Schedule.isSchedule(args[0]), <Output, Input, Error, Env, E>(
  self: Schedule.Schedule<Output, Input, Error, Env>,
  retryAfter: (error: E) => Duration.Duration | undefined,
  options?: Options
): Schedule.Schedule<Output, Input & E, Error, Env> =>
  Schedule.fromStep(
    Effect.map(Schedule.toStep(self), (step) => (now: number, input: Input & E) =>
      Effect.flatMap(step(now, input), ([output, backoff]) =>
        Effect.flatMap(Random.next, (random) => {
          const delay = apply(backoff, retryAfter(input), random, options)
          return delay === undefined
            ? Cause.done(output)
            : Effect.succeed<[Output, Duration.Duration]>([output, delay])
        })))
  ))
