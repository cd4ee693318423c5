import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

/** The `BreakerStore` of the context. If the context has none, this builds a new in-memory store in the scope. */
export const contextBreakerStore: Effect.Effect<BreakerStore.BreakerStore["Service"], never, Scope.Scope> = Effect
  .flatMap(
    Effect.serviceOption(BreakerStore.BreakerStore),
    Option.match({
      onNone: () =>
        Effect.map(Layer.build(BreakerStore.layerMemory), (context) => Context.get(context, BreakerStore.BreakerStore)),
      onSome: Effect.succeed
    })
  )
