/**
 * A circuit breaker for calls to one service, with a checked policy, error codes, metrics, a snapshot, isolation and a reset.
 *
 * Closed: calls run. Open: calls are rejected. Half-open, after the open duration: probes are admitted, one at a time; enough
 * successes close the circuit, and enough failures open it again. Put retries and deadlines inside a breaker: it then sees one
 * outcome per call, and an interruption from outside is no evidence about the service.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import { type Answer, BreakerStore, type Caller, type CircuitState, type Transition } from "./BreakerStore.ts"
import * as Configuration from "./Configuration.ts"
import type { CircuitOpen } from "./internal/breaker/circuitOpen.ts"
import { answered, executeCall } from "./internal/breaker/executeCall.ts"
import { classify, ignored, type Outcome } from "./internal/breaker/outcome.ts"
import { CircuitRecord, kindOf, showMetrics } from "./internal/breaker/record.ts"
import type { Snapshot, State } from "./internal/breaker/snapshot.ts"
import type { ConfigurationError } from "./KeelsonError.ts"

export type { Transition } from "./BreakerStore.ts"
export { CircuitOpen } from "./internal/breaker/circuitOpen.ts"
export { classify, failure, type FailureOptions, ignored, type Outcome, success } from "./internal/breaker/outcome.ts"
export { Snapshot, type State } from "./internal/breaker/snapshot.ts"

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
  /** State, thresholds, the counts of this process, and what the store has counted for the options of the policy. */
  readonly snapshot: Effect.Effect<Snapshot>
  /** Closes the circuit, also an isolated one, and clears its failures. Calls that are running are not recorded. Totals stay. */
  readonly reset: Effect.Effect<void>
  /**
   * Rejects every call, in all processes that share the circuit, until `reset`. If a shared store is down, this process rejects
   * its own calls and logs a warning.
   */
  readonly isolate: Effect.Effect<void>
  /** The changes that this process makes, from the moment of subscription. */
  readonly transitions: Stream.Stream<Transition>
}

/**
 * Makes a breaker for one called service. Breakers of the same name in the same `BreakerStore` share a circuit.
 *
 * Emits `circuit_breaker_state`, `_calls_total`, `_rejections_total`, `_transitions_total`, `_slow_calls_total` and
 * `_probes_total` while its scope is open. A breaker that is not called takes about 500 bytes, its metrics included.
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
  const record = new CircuitRecord(name, kindOf(yield* BreakerStore, policy))
  yield* showMetrics(record)
  return new NamedBreaker(record)
})

/** A breaker whose members are made when they are used, since there may be many thousands of breakers. */
class NamedBreaker implements Breaker {
  readonly #record: CircuitRecord

  constructor(record: CircuitRecord) {
    this.#record = record
  }
  get name(): string {
    return this.#record.name
  }
  get policy(): BreakerPolicy.BreakerPolicy {
    return this.#record.kind.policy
  }
  get execute(): Breaker["execute"] {
    const record = this.#record
    return (self, options) => record.kind.policy.enabled ? executeCall(record, self, classifier(options)) : self
  }
  get state(): Effect.Effect<State> {
    return Effect.map(stateOf(this.#record), ({ state }) => state)
  }
  get snapshot(): Effect.Effect<Snapshot> {
    return Effect.map(stateOf(this.#record), (state) => this.#record.snapshot(state))
  }
  get reset(): Effect.Effect<void> {
    const record = this.#record
    return change(record, (caller) => record.kind.store.reset(record.name, caller), () => record.reset())
  }
  get isolate(): Effect.Effect<void> {
    const record = this.#record
    return change(record, (caller) => record.kind.store.isolate(record.name, caller), () => record.state = "ISOLATED")
  }
  get transitions(): Stream.Stream<Transition> {
    return Stream.unwrap(Effect.map(
      this.#record.followed,
      (followers) => followers === undefined ? Stream.empty : Stream.fromPubSub(followers)
    ))
  }
}

/** Asks a store. If the store fails here, the call dies; the stores of this package never fail. */
const asked = <A>(ask: (caller: Caller) => Answer<A>): Effect.Effect<A> =>
  Effect.withFiber((fiber) => Effect.orDie(answered(ask(fiber))))

const stateOf = (record: CircuitRecord): Effect.Effect<CircuitState> => {
  const { kind: { policy, store }, name } = record
  return Effect.tap(
    asked((caller) => store.state(name, policy, caller)),
    ({ state }) => Effect.sync(() => record.state = state)
  )
}

/** A change by hand: it counts as a transition if the circuit had another state. */
const change = (
  record: CircuitRecord,
  ask: (caller: Caller) => Answer<Transition | undefined>,
  after: () => void
): Effect.Effect<void> =>
  Effect.flatMap(asked(ask), (transition) => {
    const publish = record.moved(transition === undefined ? undefined : [transition])
    after()
    return publish === undefined ? Effect.void : Effect.asVoid(publish)
  })

const classifier = <A, E>(options: CallOptions<A, E> | undefined): (exit: Exit.Exit<A, E>) => Outcome => {
  const { classify: own = classify, ignore } = options ?? {}
  if (ignore === undefined) return own
  return (exit) => {
    const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
    return Option.isSome(error) && ignore(error.value) ? ignored : own(exit)
  }
}
