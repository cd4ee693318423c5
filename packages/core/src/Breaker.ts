/**
 * A circuit breaker for calls to one service: Effect's state machine with a checked policy, error codes, metrics, a snapshot
 * and a reset.
 *
 * Closed: calls run. Open: calls are rejected. Half-open, after the open duration: exactly one call, the probe, is
 * admitted; its success closes the circuit and its failure opens it again. Put retries and deadlines inside a breaker: it
 * then sees one outcome per call, and an interruption from outside is no evidence about the service.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import { BreakerStore } from "./BreakerStore.ts"
import * as Configuration from "./Configuration.ts"
import type { CircuitOpen } from "./internal/breaker/circuitOpen.ts"
import type { Transition as StoreTransition } from "./internal/breaker/effectBreaker.ts"
import { makeExecuteCall } from "./internal/breaker/executeCall.ts"
import { classify, ignored, type Outcome } from "./internal/breaker/outcome.ts"
import { makeRecord, states } from "./internal/breaker/record.ts"
import type { Snapshot, State } from "./internal/breaker/snapshot.ts"
import type { ConfigurationError } from "./KeelsonError.ts"

export { CircuitOpen } from "./internal/breaker/circuitOpen.ts"
export { classify, failure, type FailureOptions, ignored, type Outcome, success } from "./internal/breaker/outcome.ts"
export { Snapshot, type State } from "./internal/breaker/snapshot.ts"

/** A change of a circuit's state by this process. */
export interface Transition {
  readonly from: State
  readonly to: State
}

/** The options of a call. Every one may be left out. */
export interface CallOptions<A, E> {
  /** What the breaker records for a call. Default `classify`, which decides by the catalogue code of the error. */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
  /** Which errors are not counted. Default none. */
  readonly ignore?: ((error: E) => boolean) | undefined
}

export interface Breaker {
  /** The name of the called service. It is the key of the circuit and the label `server` of its metrics. */
  readonly name: string
  readonly policy: BreakerPolicy.BreakerPolicy
  /** Runs a call if the circuit admits it, else fails with `CircuitOpen` (`CIRCUIT_OPEN`). */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions<A, E>
  ) => Effect.Effect<A, E | CircuitOpen, R>
  /** The state in the store. An open circuit turns half-open with the first call after its open duration. */
  readonly state: Effect.Effect<State>
  /** State, thresholds and the counts of this process. */
  readonly snapshot: Effect.Effect<Snapshot>
  /** Closes the circuit and clears its failures. Calls that are running are not recorded. Totals stay. */
  readonly reset: Effect.Effect<void>
  /** The changes that this process makes, from the moment of subscription. */
  readonly transitions: Stream.Stream<Transition>
}

/**
 * Makes a breaker for one called service. Breakers of the same name in the same `BreakerStore` share a circuit.
 *
 * Emits `circuit_breaker_state`, `_calls_total`, `_rejections_total` and `_transitions_total` while its scope is open.
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (Rejecting calls to a service that is down)
 *
 * ```ts import.meta.vitest
 * import * as Breaker from "@keelson/core/Breaker"
 * import * as BreakerStore from "@keelson/core/BreakerStore"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* Breaker.make("billing", { failureThreshold: 2 })
 *   const call = Effect.result(breaker.execute(Effect.fail("down")))
 *   yield* call
 *   yield* call
 *   return yield* breaker.state
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const state = await Effect.runPromise(program) // => "OPEN"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: BreakerPolicy.Options = {}
): Effect.fn.Return<Breaker, ConfigurationError, BreakerStore | Scope.Scope> {
  const policy = yield* Configuration.decode(BreakerPolicy.BreakerPolicy)(options)
  const store = yield* BreakerStore
  const record = yield* makeRecord(name, policy)
  const transitions = yield* Effect.acquireRelease(PubSub.sliding<StoreTransition>(128), PubSub.shutdown)
  const guard = makeExecuteCall(name, policy, store, record, transitions)
  const state = Effect.map(Effect.orDie(store.state(name)), (circuit) => record.seen(states[circuit._tag]))
  return {
    name,
    policy,
    execute: (self, options) => policy.enabled ? guard(self, classifier(options)) : self,
    state,
    snapshot: Effect.map(state, record.snapshot),
    reset: Effect.andThen(store.reset(name), Effect.sync(record.reset)),
    transitions: Stream.map(Stream.fromPubSub(transitions), ({ from, to }) => ({ from: states[from], to: states[to] }))
  }
})

const classifier = <A, E>(options: CallOptions<A, E> | undefined): (exit: Exit.Exit<A, E>) => Outcome => {
  const { classify: own = classify, ignore } = options ?? {}
  if (ignore === undefined) return own
  return (exit) => {
    const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
    return Option.isSome(error) && ignore(error.value) ? ignored : own(exit)
  }
}
