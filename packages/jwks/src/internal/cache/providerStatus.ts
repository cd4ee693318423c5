import { after, hasCome, type Instant, now, until } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Counts, Health, JwksStatus } from "../../JwksStatus.ts"
import type { ProviderState } from "./providerState.ts"

/** Failures in a row after which a provider with fresh keys is `degraded`. */
const degradedAfter = 2

/** Computes the health from the current time, so that it is correct at once after a suspension of the machine. */
export const healthOf = (provider: ProviderState, clock: Clock.Clock): Health => {
  const { failures, cached, phase } = provider.current
  if (cached === undefined) return failures > 0 || isLate(provider, clock) ? "bad" : "ok"
  // The first refresh may begin at the end of the lifetime.
  const isRefreshing = phase === "Refreshing" && failures === 0 && !isOverdue(provider, clock)
  if (hasCome(cached.expiresAt, clock) && !isRefreshing) return "bad"
  return failures >= degradedAfter ? "degraded" : "ok"
}

/** Whether a fetch that runs has taken longer than its deadline, as when it waits for a permit. */
const isOverdue = ({ begunAt, options }: ProviderState, clock: Clock.Clock): boolean =>
  begunAt !== undefined && hasCome(after(begunAt, Duration.toMillis(options.deadline)), clock)

const isLate = (provider: ProviderState, clock: Clock.Clock): boolean =>
  provider.current.phase === "Loading" && isOverdue(provider, clock)

/** Health as the value of a gauge. */
export const healthLevel = { ok: 0, degraded: 1, bad: 2 } as const

const share = (part: number, whole: number): number => whole === 0 ? 0 : part / whole

const countsOf = ({ counts }: ProviderState): Counts => ({ ...counts, requests: counts.hits + counts.misses })

/**
 * Converts a moment to wall-clock time by the present wall clock, which may have been set since. A moment less than a
 * millisecond ahead is rounded up.
 */
const timeOf = (moment: Instant, at: Instant): DateTime.Utc => {
  const ahead = until(moment, at)
  return DateTime.makeUnsafe(Math.ceil(ahead > 0 ? at.wall + ahead : Math.min(moment.wall, at.wall)))
}

/** When the next fetch is scheduled. */
const nextRefresh = (provider: ProviderState): Instant | undefined => {
  const { cached, phase, retryAt } = provider.current
  return phase === "Ready" ? cached.refreshAt : retryAt
}

/** The status of a provider. */
export const statusOf = (provider: ProviderState, clock: Clock.Clock): JwksStatus => {
  const { failures, cached: known, lastFailure, lastRefresh, phase } = provider.current
  // Keys past their stale deadline count as dropped, even if the scheduler has not run yet.
  const cached = known !== undefined && !hasCome(known.staleUntil, clock) ? known : undefined
  const at = now(clock)
  const next = nextRefresh(provider)
  const metrics = countsOf(provider)
  return {
    state: known === cached ? phase : "Empty",
    health: healthOf(provider, clock),
    ...(lastRefresh === undefined ? undefined : { lastRefresh: timeOf(lastRefresh, at) }),
    ...(next === undefined ? undefined : { nextRefresh: timeOf(next, at) }),
    ...(cached === undefined ? undefined : { expiresAt: timeOf(cached.expiresAt, at) }),
    ...(cached === undefined ? undefined : { staleUntil: timeOf(cached.staleUntil, at) }),
    errorCount: failures,
    ...(lastFailure === undefined ? undefined : { lastFailure }),
    generation: cached?.keySet.generation ?? 0,
    keys: cached?.keySet.all.length ?? 0,
    skipped: provider.refused ?? cached?.skipped ?? [],
    hitRate: share(metrics.hits, metrics.requests),
    staleServeRatio: share(metrics.stale, metrics.hits),
    ...(provider.clockSkew === undefined ? undefined : { clockSkewSeconds: provider.clockSkew }),
    metrics
  }
}
