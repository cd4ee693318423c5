import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ProviderState } from "./providerState.ts"
import { healthLevel, healthOf } from "./providerStatus.ts"

/**
 * Registers the health of a provider until its scope closes. The lookup counts are registered at the first lookup and the
 * clock skew when it is first known: a series takes over a kilobyte, and most of ten thousand providers are idle.
 */
export const registerHealth = (state: ProviderState): Effect.Effect<void, never, Scope.Scope> =>
  Effect.clockWith((clock) =>
    MetricSeries.register("jwksHealth", state.labels, () => healthLevel[healthOf(state, clock)])
  )

const run = ({ scopeContext }: ProviderState, effect: Effect.Effect<unknown, never, Scope.Scope>): void => {
  if (scopeContext !== undefined) Effect.runSyncWith(scopeContext)(effect)
}

/** Registers the counts of lookups. Must be called once. */
export const registerLookups = (state: ProviderState): void => {
  const { counts, labels } = state
  run(
    state,
    Effect.all([
      MetricSeries.register("jwksRequests", labels, () => counts.hits + counts.misses),
      MetricSeries.register("jwksHits", labels, () => counts.hits),
      MetricSeries.register("jwksMisses", labels, () => counts.misses),
      MetricSeries.register("jwksStale", labels, () => counts.stale),
      MetricSeries.register("jwksFloodLimited", labels, () => counts.floodLimited)
    ], { discard: true })
  )
}

/** Registers the clock skew. Must be called once. */
export const registerClockSkew = (state: ProviderState): void =>
  run(state, MetricSeries.register("jwksClockSkew", state.labels, () => state.clockSkew ?? 0))

/** Removes the series that the scope does not remove, so that removed providers leave none behind. */
export const removeSeries = ({ deviations = new Set(), isReplaced, labels }: ProviderState): Effect.Effect<void> =>
  isReplaced ? Effect.void : Effect.all([
    ...["success", "not_modified", "failure"].map((status) =>
      MetricSeries.remove("jwksRefresh", { ...labels, status })
    ),
    ...["unknown", "mismatched", "ambiguous", "unavailable"].map((reason) =>
      MetricSeries.remove("jwksLookupFailures", { ...labels, reason })
    ),
    ...[...deviations].map((kind) => MetricSeries.remove("jwksDeviations", { ...labels, kind })),
    MetricSeries.remove("jwksRefreshErrors", labels),
    MetricSeries.remove("jwksRefreshDuration", labels),
    MetricSeries.remove("jwksSnapshotErrors", labels)
  ], { discard: true })
