/**
 * The `Retry-After` of a response as the minimum of the next delay, with a ceiling.
 *
 * The ceiling keeps a `Retry-After: 86400` from suspending a fiber for a day.
 *
 * @see RFC 9110, section 10.2.3
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import type * as Headers from "effect/http/Headers"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { delayAfter } from "./internal/retry/delayAfter.ts"
import { parse } from "./internal/retry/parseRetryAfter.ts"
import type { DurationInput } from "./unstable/Field.ts"

/** The options of `floor`. Every one may be left out. */
export interface Options {
  /** The longest `Retry-After` that is waited for; up to 10 % is added to spread clients. Default 1 minute. */
  readonly ceiling?: DurationInput | undefined
  /** What happens above the ceiling: `stop` retrying, or `clamp` to the ceiling. Default stop. */
  readonly beyond?: "stop" | "clamp" | undefined
}

/**
 * Reads the value of `Retry-After`: seconds, of which a fraction is rounded up to a whole second, or an HTTP date relative to
 * `now` (wall-clock milliseconds). Returns `undefined` if it is empty, negative, invalid or in the past.
 */
export { parse } from "./internal/retry/parseRetryAfter.ts"

/**
 * Reads what a response says about repeating its request, at `now` (wall-clock milliseconds): the first valid one of
 * `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after`, `Retry-After`, `RateLimit` with `RateLimit-Policy`,
 * `x-ratelimit-reset-after`, `x-ratelimit-reset` and their forms without `x-`; and `x-should-retry`.
 *
 * Fields that report a limit count only if nothing of it remains. A reset is in seconds from now or since 1970, decided by its
 * size; the server's `Date` is the time that it is compared with.
 *
 * **Example** (A limit that is spent)
 *
 * ```ts import.meta.vitest
 * import * as RetryAfter from "@keelson/core/RetryAfter"
 * import * as Duration from "effect/Duration"
 *
 * const headers = { ratelimit: `"minute";r=0;t=12, "day";r=800;t=7200` }
 * const { delay } = RetryAfter.hints({ status: 429, headers }, 0)
 * delay // => Duration.seconds(12)
 * ```
 *
 * @see draft-ietf-httpapi-ratelimit-headers-10, RFC 9110 10.2.3
 */
export { type Hints, hints } from "./internal/retry/hints.ts"

/** Reads the `retry-after` of a response's headers, at the current time. */
export const fromHeaders = (headers: Headers.Headers): Effect.Effect<Duration.Duration | undefined> =>
  Effect.map(Clock.currentTimeMillis, (now) => parse(headers["retry-after"], now))

/**
 * Schedule combinator: no delay is shorter than the error asks for. Above the ceiling the schedule ends (`beyond: "stop"`,
 * the default) or waits for the ceiling (`"clamp"`).
 *
 * The type of errors defaults to one with a `retryAfter`, as `CircuitOpen` has.
 *
 * **Example** (Waiting as long as an error asks for)
 *
 * ```ts import.meta.vitest
 * import * as RetryAfter from "@keelson/core/RetryAfter"
 * import * as Duration from "effect/Duration"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * const schedule = Schedule.exponential("1 millis").pipe(
 *   RetryAfter.floor((error) => error.retryAfter, { ceiling: "10 seconds" })
 * )
 * const busy = { retryAfter: Duration.minutes(5) }
 *
 * const error = await Effect.runPromise(Effect.flip(Effect.retry(Effect.fail(busy), schedule)))
 * error // => busy
 * ```
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
          const delay = delayAfter(backoff, retryAfter(input), random, options)
          return delay === undefined
            ? Cause.done(output)
            : Effect.succeed<[Output, Duration.Duration]>([output, delay])
        })))
  ))
