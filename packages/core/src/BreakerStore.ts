/**
 * Stores for the circuits of `Breaker`: in this process, or in Redis and shared by several processes.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type { BreakerPolicy } from "./BreakerPolicy.ts"
import { makeMemoryStore } from "./internal/breaker/memoryStore.ts"
import { makeRedisStore } from "./internal/breaker/redisStore.ts"
import type { StoreTimes } from "./internal/breaker/sharedStore.ts"
import type { State } from "./internal/breaker/snapshot.ts"
import type { WindowCounts } from "./internal/breaker/window.ts"
import type { ConfigurationError } from "./KeelsonError.ts"

/** A change of a circuit's state. */
export interface Transition {
  readonly from: State
  readonly to: State
}

/** A call that a circuit admits. */
export interface Admission {
  readonly _tag: "Admitted"
  /** Goes back to the store with the outcome of the call. */
  readonly generation: number
  readonly isProbe: boolean
  /** The changes that the call caused. Default none. */
  readonly transitions?: ReadonlyArray<Transition> | undefined
  /** Frees what the store holds for the call, such as the lease of a probe. Default nothing. */
  readonly release?: Effect.Effect<void> | undefined
}

/** A call that a circuit rejects. */
export interface Rejection {
  readonly _tag: "Rejected"
  readonly state: "OPEN" | "HALF_OPEN" | "ISOLATED"
  /** Milliseconds until the circuit may admit a call; zero while a probe runs. */
  readonly retryAfterMillis: number
  /** The changes that the call caused. Default none. */
  readonly transitions?: ReadonlyArray<Transition> | undefined
}

/** The outcome of an admitted call. */
export interface StoreRequest {
  /** The name of the circuit. */
  readonly key: string
  readonly policy: BreakerPolicy
  /** The generation of the admission. */
  readonly generation: number
  readonly outcome: "Success" | "Failure" | "Ignored"
  /** Whether the call took `slowCallDuration` or longer. Default false. */
  readonly isSlow?: boolean | undefined
  /** How long the circuit stays open at least, if this outcome opens it. Default none. */
  readonly retryAfter?: Duration.Duration | undefined
}

/** A circuit as the store has it. */
export interface CircuitState {
  readonly state: State
  /** How often it opened since it was last closed for as long as it had been open. */
  readonly openings: number
  /** The probes of the half-open period that succeeded and failed. */
  readonly passedProbes: number
  readonly failedProbes: number
  /** The calls in the window. `undefined` for the strategy `consecutive`. */
  readonly window?: WindowCounts | undefined
}

/** The fiber that makes a call. Stores read the clock and random numbers from it. */
export type Caller = Pick<Fiber.Fiber<unknown, unknown>, "getRef">

/** What a store answers: the value itself, if it is in this process, or an effect. */
export type Answer<A> = A | Effect.Effect<A, Error>

/**
 * Keeps circuits. Stores implement the state machine, and each operation is atomic over all processes that share the store.
 * An operation that fails neither rejects a call nor changes its result.
 */
export class BreakerStore extends Context.Service<BreakerStore, {
  /**
   * Answers from memory if the answer changes no state: the generation of an admission that is no probe, or a rejection.
   * `undefined` if `admit` must decide. Default: `admit` decides about every call.
   */
  readonly answer?:
    | ((key: string, policy: BreakerPolicy, caller: Caller) => number | Rejection | undefined)
    | undefined
  /** Admits or rejects a call. It runs where it cannot be interrupted, and an admission is always recorded. */
  readonly admit: (key: string, policy: BreakerPolicy, caller: Caller) => Answer<Admission | Rejection>
  /** Records the outcome of an admitted call, and returns the changes that it caused. */
  readonly record: (request: StoreRequest, caller: Caller) => Answer<ReadonlyArray<Transition>>
  readonly state: (key: string, policy: BreakerPolicy, caller: Caller) => Answer<CircuitState>
  /** Closes a circuit and clears what was recorded. A shared store that is down keeps its circuit. */
  readonly reset: (key: string, caller: Caller) => Answer<Transition | undefined>
  /** Rejects every call of a circuit until it is reset. */
  readonly isolate: (key: string, caller: Caller) => Answer<Transition | undefined>
  /**
   * Shortens how long an open circuit stays open, to at most a duration from now. A breaker calls it if the store reports a
   * longer time than the policy allows, as after a manual change in Redis. Default none.
   */
  readonly hold?: ((key: string, longest: Duration.Duration) => Effect.Effect<void>) | undefined
}>()("@keelson/core/BreakerStore") {}

/**
 * Circuits in this process, on the monotonic clock. A circuit that is idle for an hour is forgotten.
 *
 * **Example** (Breakers of the same name share a circuit)
 *
 * ```ts import.meta.vitest
 * import * as Breaker from "@keelson/core/Breaker"
 * import * as BreakerStore from "@keelson/core/BreakerStore"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const one = yield* Breaker.make("billing", { failureThreshold: 1 })
 *   const other = yield* Breaker.make("billing", { failureThreshold: 1 })
 *   yield* Effect.ignore(one.execute(Effect.fail("down")))
 *   return yield* other.state
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const state = await Effect.runPromise(program) // => "OPEN"
 * ```
 */
export const layerMemory: Layer.Layer<BreakerStore> = Layer.sync(BreakerStore, makeMemoryStore)

/** The options of a store in Redis. */
export interface RedisOptions<E> extends StoreTimes {
  /** The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and again when it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
  /** What every key begins with. Processes with the same prefix share their circuits. Default `keelson:breaker:`. */
  readonly prefix?: string | undefined
}

/**
 * Circuits in Redis, shared by every process with the same prefix.
 *
 * While Redis is down, circuits are kept in this process, which is logged and counted in
 * `circuit_breaker_store_fallbacks_total`. No call waits for the store longer than `timeout`. A Redis that hangs when the
 * scope closes delays it by at most a second; its socket stays open until the process exits. A Redis Cluster needs a
 * connection that follows its redirections; without one, circuits of other nodes are kept in this process, and one warning is
 * logged.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 */
export const layerRedis = <E>(options: RedisOptions<E>): Layer.Layer<BreakerStore, ConfigurationError> =>
  Layer.effect(BreakerStore, makeRedisStore(options))
