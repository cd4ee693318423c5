/**
 * The only module that imports Effect's circuit breaker, which is marked experimental, so that a change in it affects one
 * file. Its stores implement the state machine; `executeCall` runs a call between `admit` and `record`.
 */
import type * as Duration from "effect/Duration"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"

/** Effect's store. */
export type Store = CircuitBreaker.CircuitBreakerStore["Service"]
export type Admission = CircuitBreaker.Admission
export type Transition = CircuitBreaker.Transition
export type CircuitState = CircuitBreaker.State
export type Outcome = CircuitBreaker.Outcome
export type StoreRequest = Parameters<Store["record"]>[0]

export const Store = CircuitBreaker.CircuitBreakerStore
export const BreakerError = CircuitBreaker.CircuitBreakerError
export type BreakerError = CircuitBreaker.CircuitBreakerError
export const StoreError = CircuitBreaker.CircuitBreakerStoreError

export const { consecutive, ignored, layerStoreMemory, layerStoreRedis, rate, success } = CircuitBreaker

/** Details of a failed call. */
export interface FailureOptions {
  /**
   * How long the circuit stays open at least, if this failure opens it; `maxOpenDuration` is its upper bound. Default none.
   */
  readonly retryAfter?: Duration.Input | undefined
}

/** A failed call, which counts against the circuit. */
export const failure: (options?: FailureOptions) => Outcome = CircuitBreaker.failure
