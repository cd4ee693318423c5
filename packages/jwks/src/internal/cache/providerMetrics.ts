import * as Metrics from "@keelson/core/Metrics"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ProviderState } from "./providerState.ts"
import { healthLevel, healthOf } from "./providerStatus.ts"

/**
 * What is counted of a provider is registered for as long as its scope is open: its health at once, its lookups at the
 * first one, and its clock once that is known. A series takes over a kilobyte, and most of ten thousand providers are idle.
 */
export const registerHealth = (engine: ProviderState): Effect.Effect<void, never, Scope.Scope> =>
  Effect.clockWith((clock) => Metrics.register("jwksHealth", engine.labels, () => healthLevel[healthOf(engine, clock)]))

const run = ({ context }: ProviderState, effect: Effect.Effect<unknown, never, Scope.Scope>): void => {
  if (context !== undefined) Effect.runSyncWith(context)(effect)
}

/** To be called at the first lookup. */
export const registerLookups = (engine: ProviderState): void => {
  const { counts, labels } = engine
  run(
    engine,
    Effect.all([
      Metrics.register("jwksRequests", labels, () => counts.hits + counts.misses),
      Metrics.register("jwksHits", labels, () => counts.hits),
      Metrics.register("jwksMisses", labels, () => counts.misses),
      Metrics.register("jwksStale", labels, () => counts.stale),
      Metrics.register("jwksFloodLimited", labels, () => counts.floodLimited)
    ], { discard: true })
  )
}

/** To be called when the provider's clock is known first. */
export const registerClockSkew = (engine: ProviderState): void =>
  run(engine, Metrics.register("jwksClockSkew", engine.labels, () => engine.clockSkew ?? 0))

/** Takes away what was counted as it happened, since providers come and go. */
export const removeSeries = ({ isReplaced, labels }: ProviderState): Effect.Effect<void> =>
  isReplaced ? Effect.void : Effect.all([
    ...["success", "not_modified", "failure"].map((status) => Metrics.remove("jwksRefresh", { ...labels, status })),
    ...["unknown", "mismatched", "ambiguous", "unavailable"].map((reason) =>
      Metrics.remove("jwksLookupFailures", { ...labels, reason })
    ),
    Metrics.remove("jwksRefreshErrors", labels),
    Metrics.remove("jwksRefreshDuration", labels),
    Metrics.remove("jwksSnapshotErrors", labels)
  ], { discard: true })
