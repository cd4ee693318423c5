import { after, hasCome, type Instant, now, until } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Counts, Health, JwksStatus } from "../../JwksStatus.ts"
import type { ProviderState } from "./providerState.ts"

/** Failures in a row after which fresh keys are not the whole truth. */
const degradedAfter = 2

/** Read from the clock, and not from what a fiber did: a machine that was suspended tells the truth at once. */
export const healthOf = (engine: ProviderState, clock: Clock.Clock): Health => {
  const { failures, held } = engine.state
  if (held === undefined) return failures > 0 || isLate(engine, clock) ? "bad" : "ok"
  if (hasCome(held.expiresAt, clock)) return "bad"
  return failures >= degradedAfter ? "degraded" : "ok"
}

/** Whether the first fetch takes longer than any may: it waits for a permit. */
const isLate = ({ begunAt, parts, state }: ProviderState, clock: Clock.Clock): boolean =>
  state.phase === "Loading" && begunAt !== undefined &&
  hasCome(after(begunAt, Duration.toMillis(parts.options.deadline)), clock)

/** Health as a gauge. */
export const healthLevel = { ok: 0, degraded: 1, bad: 2 } as const

const share = (part: number, whole: number): number => whole === 0 ? 0 : part / whole

const countsOf = ({ counts }: ProviderState): Counts => ({ ...counts, requests: counts.hits + counts.misses })

/**
 * The wall-clock time of a moment as seen now, since the wall clock may have been set meanwhile. What is ahead by less
 * than a millisecond is still ahead.
 */
const timeOf = (moment: Instant, at: Instant): DateTime.Utc => {
  const ahead = until(moment, at)
  return DateTime.makeUnsafe(Math.ceil(ahead > 0 ? at.wall + ahead : Math.min(moment.wall, at.wall)))
}

/** When a fetch is made by itself. */
const nextRefresh = (engine: ProviderState): Instant | undefined => {
  const { held, phase, retryAt } = engine.state
  return phase === "Ready" ? held.refreshAt : retryAt
}

/** Everything that can be told of a provider. */
export const statusOf = (engine: ProviderState, clock: Clock.Clock): JwksStatus => {
  const { failures, held: known, lastFailure, lastRefresh, phase } = engine.state
  // Past their stale deadline they are trusted no longer, whether or not a fiber or a lookup came by.
  const held = known !== undefined && !hasCome(known.staleUntil, clock) ? known : undefined
  const at = now(clock)
  const next = nextRefresh(engine)
  const metrics = countsOf(engine)
  return {
    state: known === held ? phase : "Empty",
    health: healthOf(engine, clock),
    ...(lastRefresh === undefined ? undefined : { lastRefresh: timeOf(lastRefresh, at) }),
    ...(next === undefined ? undefined : { nextRefresh: timeOf(next, at) }),
    ...(held === undefined ? undefined : { expiresAt: timeOf(held.expiresAt, at) }),
    ...(held === undefined ? undefined : { staleUntil: timeOf(held.staleUntil, at) }),
    errorCount: failures,
    ...(lastFailure === undefined ? undefined : { lastFailure }),
    generation: held?.set.generation ?? 0,
    keys: held?.set.all.length ?? 0,
    skipped: held?.skipped ?? [],
    hitRate: share(metrics.hits, metrics.requests),
    staleServeRatio: share(metrics.stale, metrics.hits),
    ...(engine.clockSkew === undefined ? undefined : { clockSkewSeconds: engine.clockSkew }),
    metrics
  }
}
