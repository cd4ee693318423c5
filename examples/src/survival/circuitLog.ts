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
type RecordedTransition = Effect.Success<ReturnType<Store["record"]>>

const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const

export const recordTransitions = (
  clock: RunClock,
  transitions: Array<Transition>
): Layer.Layer<BreakerStore.BreakerStore> => {
  const record = (transition: RecordedTransition) =>
    Effect.sync(() => {
      if (transition === undefined) return
      const circuit = transition.key.endsWith("/requests") ? "requests" : "tokens"
      const at = Math.round(clock.now())
      transitions.push({ circuit, at, from: states[transition.from], to: states[transition.to] })
    })
  const decorate = (store: Store): Store => ({
    ...store,
    admit: (key) => Effect.tap(store.admit(key), ({ transition }) => record(transition)),
    record: (request) => Effect.tap(store.record(request), record)
  })
  return Layer.effect(BreakerStore.BreakerStore, Effect.map(BreakerStore.BreakerStore, decorate)).pipe(
    Layer.provide(BreakerStore.layerMemory)
  )
}
