/**
 * Stores for the circuits of `Breaker`: in this process, or in Redis and shared by several processes.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import type {
  Admission,
  BreakerError,
  CircuitState,
  Store,
  StoreRequest,
  Transition
} from "./internal/breaker/effectBreaker.ts"
import { makeMonotonicStore } from "./internal/breaker/monotonicStore.ts"
import { makeShared, type SharedStore, type StoreTimes, storeTimes } from "./internal/breaker/sharedStore.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as MetricSeries from "./unstable/MetricSeries.ts"

/** An admitted call. `release` frees what the store holds for it, such as the lease of a probe. */
export interface HeldAdmission extends Admission {
  readonly release?: Effect.Effect<void> | undefined
}

/** Why a circuit rejects a call, and how long until it may admit one again: zero while a probe runs. */
export interface Rejection {
  readonly state: "OPEN" | "HALF_OPEN"
  /** Milliseconds. */
  readonly retryAfterMillis: number
}

/** Keeps circuits. Both stores wrap Effect's own, which implement the state machine. */
export class BreakerStore extends Context.Service<BreakerStore, {
  /**
   * Rejects a call from what the store knows in this process, before it is asked to admit the call. Default none: `admit`
   * alone rejects.
   */
  readonly rejection?: ((key: string, clock: Clock.Clock) => Rejection | undefined) | undefined
  /** Admits a call. Fails if the circuit is open, or half-open while its probe runs. */
  readonly admit: (key: string) => Effect.Effect<HeldAdmission, BreakerError>
  /** Records the outcome of an admitted call. */
  readonly record: (request: StoreRequest) => Effect.Effect<Transition | undefined, BreakerError>
  readonly state: (key: string) => Effect.Effect<CircuitState, BreakerError>
  /** Closes a circuit and clears what was recorded. A shared store that is down keeps its circuit. */
  readonly reset: (key: string) => Effect.Effect<void>
  /**
   * Lets an open circuit stay open for at most a duration from now. A breaker calls it if a circuit is open for longer than
   * its policy allows, as after somebody wrote into a shared store. Default none.
   */
  readonly hold?: ((key: string, longest: Duration.Duration) => Effect.Effect<void>) | undefined
}>()("@keelson/core/BreakerStore") {}

type Unscoped = Omit<BreakerStore["Service"], "reset">

/** Changes the key in the store at each reset, so that outcomes of calls admitted before it are recorded under an unused key. */
const resettable = (store: Unscoped): BreakerStore["Service"] => {
  const epochs = new Map<string, number>()
  const inner = (key: string) => {
    const epoch = epochs.get(key)
    // A separator that no name contains: a circuit may be called `a#1`.
    return epoch === undefined ? key : `${key}\u0000${epoch}`
  }
  const rekey = <A extends { readonly key: string } | undefined>(key: string, value: A): A =>
    value === undefined || value.key === key ? value : { ...value, key }
  return {
    rejection: (key, clock) => store.rejection?.(inner(key), clock),
    admit: (key) =>
      epochs.has(key)
        ? Effect.map(store.admit(inner(key)), (admission) => ({
          ...admission,
          transition: rekey(key, admission.transition)
        }))
        : store.admit(key),
    record: (request) =>
      epochs.has(request.key)
        ? Effect.map(store.record({ ...request, key: inner(request.key) }), (moved) => rekey(request.key, moved))
        : store.record(request),
    state: (key) => Effect.suspend(() => Effect.map(store.state(inner(key)), (state) => rekey(key, state))),
    reset: (key) => Effect.sync(() => epochs.set(key, (epochs.get(key) ?? 0) + 1))
  }
}

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
export const layerMemory: Layer.Layer<BreakerStore> = Layer.effect(
  BreakerStore,
  Effect.map(makeMonotonicStore, resettable)
)

/** The options of a store in Redis. */
export interface RedisOptions<E> extends StoreTimes {
  /** The connection, such as `NodeRedis.layer(...)`. It is made in the background, and again when it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
  /** What every key begins with. Processes with the same prefix share their circuits. Default `keelson:breaker:`. */
  readonly prefix?: string | undefined
}

/**
 * Circuits in Redis, shared by every process with the same prefix.
 *
 * While Redis is down, circuits are kept in this process, which is logged and counted in
 * `circuit_breaker_store_fallbacks_total`. No call waits for the store longer than `timeout`. A Redis that hangs when the
 * scope closes delays it by at most a second; its socket stays open until the process exits.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 */
export const layerRedis = <E>(options: RedisOptions<E>): Layer.Layer<BreakerStore, ConfigurationError> =>
  Layer.effect(BreakerStore, makeRedis(options))

const makeRedis = Effect.fnUntraced(function*<E>(
  { prefix = "keelson:breaker:", redis, ...options }: RedisOptions<E>
): Effect.fn.Return<BreakerStore["Service"], ConfigurationError, Scope.Scope> {
  const times = yield* storeTimes.decode(options)
  const local = resettable(yield* makeMonotonicStore)
  const shared = yield* makeShared({ redis, prefix, ...times })
  return yield* withFallback(shared, local)
})

/** Generations distinguish the stores: those of the local store are negative, which Redis never issues. */
const withFallback = Effect.fnUntraced(function*(shared: SharedStore, local: BreakerStore["Service"]) {
  let fallbacks = 0
  yield* MetricSeries.register("circuitBreakerStoreFallbacks", {}, () => fallbacks)
  const admitLocal = (key: string) => {
    fallbacks++
    return Effect.map(local.admit(key), (admission) => ({ ...admission, generation: -1 - admission.generation }))
  }
  return BreakerStore.of({
    admit: (key) =>
      Effect.flatMap(Scope.make(), (scope) => {
        const release = Scope.close(scope, Exit.void)
        const admit = ({ store }: { readonly store: Store }) => Scope.provide(store.admit(key), scope)
        return shared.attempt({ operation: "admit a call of", key }, admit).pipe(
          Effect.onError(() => release),
          Effect.flatMap((admission) =>
            admission === undefined
              ? Effect.andThen(release, admitLocal(key))
              : Effect.succeed({ ...admission, release })
          )
        )
      }),
    record: (request) =>
      request.generation < 0
        ? local.record({ ...request, generation: -1 - request.generation })
        : shared.attempt({ operation: "record a call of", key: request.key }, ({ store }) => store.record(request)),
    state: (key) =>
      Effect.flatMap(
        shared.attempt({ operation: "read", key }, ({ store }) => store.state(key)),
        (state) => state === undefined ? local.state(key) : Effect.succeed(state)
      ),
    reset: (key) => Effect.andThen(Effect.ignore(shared.remove(key)), local.reset(key)),
    hold: (key, longest) => Effect.ignore(shared.hold(key, longest))
  })
})
