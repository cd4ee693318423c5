/**
 * The only module that imports Effect's circuit breaker, which is marked experimental, so that a change in it affects one
 * file. Its stores implement the state machine; `executeCall` runs a call between `admit` and `record`.
 */
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

export const { consecutive, failure, ignored, layerStoreMemory, layerStoreRedis, rate, success } = CircuitBreaker
