import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ProviderState } from "./providerState.ts"
import { healthLevel, healthOf } from "./providerStatus.ts"

/** How a fetch ended, as a label. */
export type FetchStatus = "success" | "not_modified" | "failure"

/**
 * The counts of a provider's fetches. A provider that replaces another continues its counts. Each series is attached when it
 * is first counted, since most of ten thousand providers have few.
 */
export class FetchCounts implements MetricSeries.Source {
  #success = 0
  #notModified = 0
  #failure = 0
  readonly #durations = new MetricSeries.Durations()

  count({ context, labels }: Place, status: FetchStatus): void {
    if (status === "success") this.#success++
    else if (status === "not_modified") this.#notModified++
    else this.#failure++
    MetricSeries.attach(context, "jwksRefresh", { ...labels, status }, this)
    if (status === "failure") MetricSeries.attach(context, "jwksRefreshErrors", labels, this)
  }
  observe({ context, labels }: Place, elapsed: Duration.Duration): void {
    this.#durations.add(Duration.toSeconds(elapsed))
    MetricSeries.attach(context, "jwksRefreshDuration", labels, this)
  }
  read(name: MetricSeries.MetricName, { status }: Readonly<Record<string, string>>): MetricSeries.Durations | number {
    if (name === "jwksRefreshDuration") return this.#durations
    if (status === "success") return this.#success
    return status === "not_modified" ? this.#notModified : this.#failure
  }
  remove({ context, labels }: Place): void {
    for (const status of ["success", "not_modified", "failure"]) {
      MetricSeries.detach(context, "jwksRefresh", { ...labels, status }, this)
    }
    MetricSeries.detach(context, "jwksRefreshErrors", labels, this)
    MetricSeries.detach(context, "jwksRefreshDuration", labels, this)
  }
}

/** Where the series of a provider are. */
interface Place {
  readonly context: Context.Context<never>
  readonly labels: ProviderState["labels"]
}

const placeOf = ({ labels, services: { context } }: ProviderState): Place => ({ context, labels })

export const countFetch = (state: ProviderState, status: FetchStatus): void => {
  if (!state.isClosed) state.fetchCounts.count(placeOf(state), status)
}

export const observeFetch = (state: ProviderState, elapsed: Duration.Duration): void => {
  if (!state.isClosed) state.fetchCounts.observe(placeOf(state), elapsed)
}

/** The counts of lookups, which are attached at the first lookup. */
const lookups = ["jwksRequests", "jwksHits", "jwksMisses", "jwksStale", "jwksFloodLimited"] as const

/** The series that the state of a provider counts. */
const series = [...lookups, "jwksHealth", "jwksClockSkew"] as const

/** The value of a series that the state of a provider counts. */
export const readSeries = (state: ProviderState, name: MetricSeries.MetricName): number => {
  const { counts } = state
  switch (name) {
    case "jwksHealth":
      return healthLevel[healthOf(state, Context.get(state.services.context, Clock.Clock))]
    case "jwksClockSkew":
      return state.clockSkew ?? 0
    case "jwksRequests":
      return counts.hits + counts.misses
    case "jwksHits":
      return counts.hits
    case "jwksMisses":
      return counts.misses
    case "jwksStale":
      return counts.stale
    default:
      return counts.floodLimited
  }
}

/** Attaches a series of the state until `removeSeries`. Has no effect after it. */
const attach = (state: ProviderState, name: typeof series[number]): void => {
  if (!state.isClosed) MetricSeries.attach(state.services.context, name, state.labels, state)
}

export const attachHealth = (state: ProviderState): void => attach(state, "jwksHealth")

export const attachLookups = (state: ProviderState): void => {
  for (const name of lookups) attach(state, name)
}

export const attachClockSkew = (state: ProviderState): void => attach(state, "jwksClockSkew")

/** Removes all series, so that removed providers leave none behind. The counts of a replaced one continue. */
export const removeSeries = (state: ProviderState): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { deviations = new Set(), fetchCounts, isReplaced, labels, services: { context } } = state
    state.isClosed = true
    for (const name of series) MetricSeries.detach(context, name, labels, state)
    if (isReplaced) return Effect.void
    fetchCounts.remove(placeOf(state))
    return Effect.provideContext(
      Effect.all([
        ...["unknown", "mismatched", "ambiguous", "unavailable"].map((reason) =>
          MetricSeries.remove("jwksLookupFailures", { ...labels, reason })
        ),
        ...[...deviations].map((kind) => MetricSeries.remove("jwksDeviations", { ...labels, kind })),
        MetricSeries.remove("jwksSnapshotErrors", labels)
      ], { discard: true }),
      context
    )
  })
