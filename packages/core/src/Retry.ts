/**
 * Retrying an effect under a `RetryPolicy`, with the history of its attempts.
 *
 * Nothing is built before the first failure, so that the happy path costs little more than the effect itself.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import type * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { DeadlineExceeded } from "./Deadline.ts"
import { retryLoop } from "./internal/retry/retryLoop.ts"
import { RetryExhausted } from "./RetryExhausted.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

export { type Attempt, RetryExhausted, type StoppedBy } from "./RetryExhausted.ts"

/** What `onRetry` is told before the delay of each retry. */
export interface RetryEvent<E> {
  /** The number of the attempt that failed, from 1. */
  readonly attempt: number
  readonly error: E | DeadlineExceeded
  /** How long the delay will be. */
  readonly delay: Duration.Duration
}

export interface Options<E, E2 extends E = E, R = never> {
  /**
   * Which errors are retried; another one fails the call at once, as it is. Default: an error with a catalogue code
   * by the catalogue, any other error yes.
   */
  readonly while?: Predicate.Refinement<E, E2> | Predicate.Predicate<E> | undefined
  /** Called before the delay of each retry. */
  readonly onRetry?: ((event: RetryEvent<E>) => Effect.Effect<unknown, never, R> | void) | undefined
  /** The least delay that an error asks for, as with `Retry-After`. `now` is the wall clock in milliseconds. */
  readonly retryAfter?: ((error: E, now: number) => Duration.Duration | undefined) | undefined
  /** Counts the retries in `retry_attempts_total`, with this as the label `server`. */
  readonly server?: string | undefined
}

/**
 * Runs an effect, again after a failure, until it succeeds or the policy says stop.
 *
 * Fails with `RetryExhausted` (the last error's code, else `RETRY_EXHAUSTED`) once it has stopped, and with the error
 * itself where `while` turns it down. An attempt that is cut counts as failed with `DeadlineExceeded` (`TIMEOUT`).
 * Interruption ends it at once, in a delay too. Emits `retry_attempts_total` if `server` is given.
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
} = Function.dual((args) => Effect.isEffect(args[0]), retryLoop)

/** How a call went: what it gave, with the number of attempts and the time it took. */
export interface Outcome<A, E> {
  /** What was called, for logs: a name of a fixed set. */
  readonly operation: string | undefined
  readonly success: boolean
  /** The value, or the last error. */
  readonly result: Result.Result<A, E>
  /** How many calls there were. */
  readonly attempts: number
  readonly elapsed: Duration.Duration
}

/**
 * `retry` as a value that never fails: the result with the number of attempts and the time spent. Defects and
 * interruption pass through.
 */
export const outcome: {
  <Seen, Cut = never>(
    policy: RetryPolicy<Seen | Cut, Cut>
  ): <A, E extends Seen, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Outcome<A, E | Cut>, never, R>
  <E, Cut = never, R2 = never>(
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: Options<E, E, R2> & { readonly operation?: string | undefined }
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Outcome<A, E | Cut>, never, R | R2>
  <A, E, R, Cut = never, R2 = never>(
    self: Effect.Effect<A, E, R>,
    policy: RetryPolicy<NoInfer<E | Cut>, Cut>,
    options?: Options<E, E, R2> & { readonly operation?: string | undefined }
  ): Effect.Effect<Outcome<A, E | Cut>, never, R | R2>
} = Function.dual((args) => Effect.isEffect(args[0]), <A, E, R, Cut = never, R2 = never>(
  self: Effect.Effect<A, E, R>,
  policy: RetryPolicy<E | Cut, Cut>,
  options?: Options<E, E, R2> & { readonly operation?: string | undefined }
): Effect.Effect<Outcome<A, E | Cut>, never, R | R2> =>
  Effect.suspend(() => {
    let attempts = 0
    const counted = Effect.suspend(() => {
      attempts++
      return self
    })
    return Effect.map(
      Effect.timed(Effect.result(retry(counted, policy, options))),
      ([elapsed, result]): Outcome<A, E | Cut> => ({
        operation: options?.operation,
        success: Result.isSuccess(result),
        result: Result.mapError(result, (error) => error instanceof RetryExhausted ? error.error : error),
        attempts,
        elapsed
      })
    )
  }))
