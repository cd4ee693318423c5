/**
 * Retries an effect under a `RetryPolicy`, and keeps the history of its attempts.
 *
 * Nothing is built before the first failure, so a call that succeeds costs little more than the effect itself.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import type * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { DeadlineExceeded } from "./Deadline.ts"
import type { FailureClass } from "./internal/retry/failureClass.ts"
import { RetryExhausted } from "./internal/retry/retryExhausted.ts"
import { retryLoop } from "./internal/retry/retryLoop.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

export type { FailureClass } from "./internal/retry/failureClass.ts"
export { type Attempt, type AttemptError, RetryExhausted, type StoppedBy } from "./internal/retry/retryExhausted.ts"

/** What `onRetry` receives before the delay of each retry. */
export interface RetryEvent<E> {
  /** The number of the attempt that failed, from 1. */
  readonly attempt: number
  /** The error of that attempt. */
  readonly error: E | DeadlineExceeded
  /** The delay before the next attempt. */
  readonly delay: Duration.Duration
}

/** The options of `retry`. Every one may be left out. */
export interface Options<E, E2 extends E = E, R = never> {
  /**
   * Which errors are retried. Any other error fails the call at once, unchanged. Default: errors with a catalogue code if
   * the catalogue says so, and all errors without one.
   */
  readonly while?: Predicate.Refinement<E, E2> | Predicate.Predicate<E> | undefined
  /** Called before the delay of each retry. Default none. */
  readonly onRetry?: ((event: RetryEvent<E>) => Effect.Effect<unknown, never, R> | void) | undefined
  /**
   * The minimum delay that an error asks for, as `Retry-After` does. `now` is the wall clock in milliseconds. Default none.
   */
  readonly retryAfter?: ((error: E, now: number) => Duration.Duration | undefined) | undefined
  /**
   * The class of an error, by which the policy may have another delay and cost (`throttled`, `timedOut`). Default: by the
   * catalogue code of the error.
   */
  readonly failureClass?: ((error: E) => FailureClass) | undefined
  /** The label `server` under which retries are counted in `retry_attempts_total`. Default none: not counted. */
  readonly server?: string | undefined
}

type Erased = (self: unknown, policy: unknown, options?: unknown) => Effect.Effect<unknown, unknown, unknown>

// oxlint-disable-next-line no-unsafe-type-assertion -- `retry` has the types
const loop = retryLoop as Erased

/** `Function.dual` without a list of arguments, since every successful call passes here. */
const eitherWay = (first: unknown, second: unknown, third?: unknown): unknown =>
  Effect.isEffect(first) ? loop(first, second, third) : (self: unknown) => loop(self, first, second)

/**
 * Runs an effect, and runs it again after a failure, until it succeeds or the policy stops.
 *
 * Fails with `RetryExhausted` (the last error's code, else `RETRY_EXHAUSTED`) when it stops, and with the error itself if
 * `while` rejects it. An attempt that runs out of time fails with `DeadlineExceeded` (`TIMEOUT`). Interruption ends the
 * retry at once, during a delay too. Emits `retry_attempts_total` if `server` is given.
 *
 * **Example** (Retrying until the call succeeds)
 *
 * ```ts import.meta.vitest
 * import * as Retry from "@keelson/core/Retry"
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 * import * as Effect from "effect/Effect"
 *
 * let calls = 0
 * const flaky = Effect.suspend(() => ++calls < 3 ? Effect.fail("busy") : Effect.succeed("done"))
 * const policy = RetryPolicy.make({ maxAttempts: 4, initialDelay: "1 millis" })
 *
 * const result = await Effect.runPromise(Retry.retry(flaky, policy)) // => "done"
 * ```
 */
export const retry: {
  // `NoInfer`, `Seen`: errors are inferred from the effect only, since most policies take `unknown`.
  <Seen, Cut = never>(
    policy: RetryPolicy<Seen | Cut, Cut>
  ): <A, E extends Seen, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RetryExhausted<E | Cut>, R>
  <E, E2 extends E, Cut = never, R2 = never>(
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options: Options<E, E2, R2> & { readonly while: Predicate.Refinement<E, E2> }
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, Exclude<E, E2> | RetryExhausted<E2 | Cut>, R | R2>
  <E, Cut = never, R2 = never>(
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: Options<E, E, R2>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RetryExhausted<E | Cut>, R | R2>
  <A, E, R, E2 extends E, Cut = never, R2 = never>(
    self: Effect.Effect<A, E, R>,
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options: Options<E, E2, R2> & { readonly while: Predicate.Refinement<E, E2> }
  ): Effect.Effect<A, Exclude<E, E2> | RetryExhausted<E2 | Cut>, R | R2>
  <A, E, R, Cut = never, R2 = never>(
    self: Effect.Effect<A, E, R>,
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: Options<E, E, R2>
  ): Effect.Effect<A, E | RetryExhausted<E | Cut>, R | R2>
  // oxlint-disable-next-line no-unsafe-type-assertion -- the overloads say which arguments belong together
} = eitherWay as never

/** The options of `outcome`. Every one may be left out. */
export interface OutcomeOptions<E, R = never> extends Options<E, E, R> {
  /** The name of what is called, for logs. One of a fixed set. Default none. */
  readonly operation?: string | undefined
}

/** The result of a call with the number of its attempts and its duration. */
export interface RetryOutcome<A, E> {
  /** The name of what was called, for logs. One of a fixed set. */
  readonly operation: string | undefined
  readonly success: boolean
  /** The value, or the last error. */
  readonly result: Result.Result<A, E>
  /** The number of attempts. */
  readonly attempts: number
  readonly elapsed: Duration.Duration
}

/**
 * `retry` that never fails: it returns the result with the number of attempts and the duration. Defects and interruption
 * pass through.
 */
export const outcome: {
  <Seen, Cut = never>(
    policy: RetryPolicy<Seen | Cut, Cut>
  ): <A, E extends Seen, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<RetryOutcome<A, E | Cut>, never, R>
  <E, Cut = never, R2 = never>(
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: OutcomeOptions<E, R2>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<RetryOutcome<A, E | Cut>, never, R | R2>
  <A, E, R, Cut = never, R2 = never>(
    self: Effect.Effect<A, E, R>,
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: OutcomeOptions<E, R2>
  ): Effect.Effect<RetryOutcome<A, E | Cut>, never, R | R2>
} = Function.dual((args) => Effect.isEffect(args[0]), <A, E, R, Cut = never, R2 = never>(
  self: Effect.Effect<A, E, R>,
  policy: RetryPolicy<E | Cut, Cut>,
  options?: OutcomeOptions<E, R2>
): Effect.Effect<RetryOutcome<A, E | Cut>, never, R | R2> =>
  Effect.suspend(() => {
    let attempts = 0
    const counted = Effect.suspend(() => {
      attempts++
      return self
    })
    return Effect.map(
      Effect.timed(Effect.result(retry(counted, policy, options))),
      ([elapsed, result]): RetryOutcome<A, E | Cut> => ({
        operation: options?.operation,
        success: Result.isSuccess(result),
        result: Result.mapError(result, (error) => error instanceof RetryExhausted ? error.error : error),
        attempts,
        elapsed
      })
    )
  }))
