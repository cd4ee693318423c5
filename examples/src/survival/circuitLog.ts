/**
 * A breaker store that records every change of a circuit. It also shows that the store is a service that an application can
 * decorate.
 */
import { type Breaker, BreakerStore } from "@keelson/core"
import { Effect, Layer } from "effect"
import type { RunClock } from "./runClock.ts"

export interface Transition {
  /** The circuit of token acquisitions, or that of requests to the API. */
  readonly circuit: "tokens" | "requests"
  /** Milliseconds since the run began. */
  readonly at: number
  readonly from: Breaker.State
  readonly to: Breaker.State
}

type Store = BreakerStore.BreakerStore["Service"]
export const recordTransitions = (
  clock: RunClock,
  transitions: Array<Transition>
): Layer.Layer<BreakerStore.BreakerStore> => {
  const note = (key: string, moves: ReadonlyArray<Breaker.Transition> | undefined) => {
    const circuit = key.endsWith("/requests") ? "requests" : "tokens"
    for (const { from, to } of moves ?? []) transitions.push({ circuit, at: Math.round(clock.now()), from, to })
  }
  /** Notes what an answer of the store contains, whether it is there already or comes later. */
  const noted = <A>(answer: A | Effect.Effect<A, Error>, read: (value: A) => void): typeof answer => {
    if (Effect.isEffect(answer)) return Effect.tap(answer, (value) => Effect.sync(() => read(value)))
    read(answer)
    return answer
  }
  const decorate = (store: Store): Store => ({
    ...store,
    admit: (key, ...call) => noted(store.admit(key, ...call), ({ transitions: moves }) => note(key, moves)),
    record: (request, caller) => noted(store.record(request, caller), (moves) => note(request.key, moves))
  })
  return Layer.effect(BreakerStore.BreakerStore, Effect.map(BreakerStore.BreakerStore, decorate)).pipe(
    Layer.provide(BreakerStore.layerMemory)
  )
}
