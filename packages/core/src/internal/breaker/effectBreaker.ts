/**
 * The only place that imports Effect's circuit breaker, which is marked experimental: an upgrade of Effect is one edit.
 * Its stores hold the state machine; what runs a call between `admit` and `record` is `guardCall`.
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
