/**
 * A breaker store that notes who was admitted, and every change of the circuit. It shows the seam too: what `Breaker`
 * keeps its circuits in is a service, which can be decorated.
 */
import { type Breaker, BreakerStore } from "@keelson/core"
import { Context, Effect, Layer } from "effect"
import type { Timeline } from "./timeline.ts"

/** Which call the current fiber makes. */
export const CallId = Context.Reference<string>("examples/demo/CallId", { defaultValue: () => "" })

export interface Transition {
  /** Milliseconds since the script began. */
  readonly at: number
  readonly from: Breaker.State
  readonly to: Breaker.State
}

export interface Witness {
  /** How each call was admitted. A call that is not here was rejected. */
  readonly admitted: ReadonlyMap<string, "closed" | "probe">
  readonly transitions: ReadonlyArray<Transition>
  readonly layer: Layer.Layer<BreakerStore.BreakerStore>
}

type Store = BreakerStore.BreakerStore["Service"]
const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const

type Moved = Effect.Success<ReturnType<Store["record"]>>

export const makeWitness = (timeline: Timeline): Witness => {
  const admitted = new Map<string, "closed" | "probe">()
  const transitions: Array<Transition> = []
  const note = (moved: Moved): void => {
    if (moved === undefined) return
    transitions.push({ at: Math.round(timeline.now()), from: states[moved.from], to: states[moved.to] })
  }
  const decorate = (store: Store): Store => ({
    ...store,
    admit: (key) =>
      Effect.tap(store.admit(key), ({ probe, transition }) =>
        Effect.map(CallId, (call) => {
          admitted.set(call, probe ? "probe" : "closed")
          note(transition)
        })),
    record: (request) => Effect.tap(store.record(request), (moved) => Effect.sync(() => note(moved)))
  })
  return {
    admitted,
    transitions,
    layer: Layer.effect(BreakerStore.BreakerStore, Effect.map(BreakerStore.BreakerStore, decorate)).pipe(
      Layer.provide(BreakerStore.layerMemory)
    )
  }
}
