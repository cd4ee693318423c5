import { BreakerStore } from "@keelson/core"
import { Context, Effect, Layer, Option, type Scope } from "effect"

/** Where circuits are kept: the store in context, else one of its own. */
export const breakerStore: Effect.Effect<BreakerStore.BreakerStore["Service"], never, Scope.Scope> = Effect.flatMap(
  Effect.serviceOption(BreakerStore.BreakerStore),
  Option.match({
    onNone: () =>
      Effect.map(Layer.build(BreakerStore.layerMemory), (context) => Context.get(context, BreakerStore.BreakerStore)),
    onSome: Effect.succeed
  })
)
