/**
 * The only place that imports Effect's circuit breaker, which is marked experimental: an upgrade of Effect is one edit.
 * Its stores hold the state machine; what runs a call between `admit` and `record` is `guardCall`.
 */
import { CircuitBreaker as Effect } from "effect/persistence"

/** Effect's store. */
export type Store = Effect.CircuitBreakerStore["Service"]
export type Admission = Effect.Admission
export type Transition = Effect.Transition
export type TripPolicy = Effect.TripPolicy
export type CircuitState = Effect.State
export type Outcome = Effect.Outcome
export type StoreRequest = Parameters<Store["record"]>[0]

export const Store = Effect.CircuitBreakerStore
export const BreakerError = Effect.CircuitBreakerError
export type BreakerError = Effect.CircuitBreakerError
export const StoreError = Effect.CircuitBreakerStoreError

export const { consecutive, failure, ignored, layerStoreMemory, layerStoreRedis, rate, success } = Effect
