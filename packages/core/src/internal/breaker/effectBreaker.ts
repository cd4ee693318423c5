/**
 * The only module that imports Effect's circuit breaker, which is marked experimental, so that a change in it affects one
 * file. What a breaker records is Effect's `Outcome`: `Breaker.classify` also fits `HttpClient.withCircuitBreaker`.
 */
import type * as Duration from "effect/Duration"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"

export type Outcome = CircuitBreaker.Outcome

export const { ignored, success } = CircuitBreaker

/** Details of a failed call. */
export interface FailureOptions {
  /**
   * How long the circuit stays open at least, if this failure opens it; `maxOpenDuration` is its upper bound. Default none.
   */
  readonly retryAfter?: Duration.Input | undefined
}

/** A failed call, which counts against the circuit. */
export const failure: (options?: FailureOptions) => Outcome = CircuitBreaker.failure
