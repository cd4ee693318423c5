/**
 * A breaker store that notes every change of a circuit. It shows the seam too: what circuits are kept in is a service,
 * which can be decorated.
 */
import { type Breaker, BreakerStore } from "@keelson/core"
import { Effect, Layer } from "effect"
import type { Stage } from "./stage.ts"

export interface Transition {
  /** Whose circuit it is: that of the tokens' acquisition, or that of the requests to the API. */
  readonly circuit: "tokens" | "requests"
  /** Milliseconds since the run began. */
  readonly at: number
  readonly from: Breaker.State
  readonly to: Breaker.State
}

type Store = BreakerStore.BreakerStore["Service"]
type Moved = Effect.Success<ReturnType<Store["record"]>>

const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const

export const witness = (stage: Stage, transitions: Array<Transition>): Layer.Layer<BreakerStore.BreakerStore> => {
  const note = (moved: Moved) =>
    Effect.sync(() => {
      if (moved === undefined) return
      const circuit = moved.key.endsWith("/requests") ? "requests" : "tokens"
      transitions.push({ circuit, at: Math.round(stage.now()), from: states[moved.from], to: states[moved.to] })
    })
  const decorate = (store: Store): Store => ({
    ...store,
    admit: (key) => Effect.tap(store.admit(key), ({ transition }) => note(transition)),
    record: (request) => Effect.tap(store.record(request), note)
  })
  return Layer.effect(BreakerStore.BreakerStore, Effect.map(BreakerStore.BreakerStore, decorate)).pipe(
    Layer.provide(BreakerStore.layerMemory)
  )
}
