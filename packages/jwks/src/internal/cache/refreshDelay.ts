import * as Duration from "effect/Duration"
import type { JwksOptions } from "../../JwksOptions.ts"

/** Delay from the request to the refresh, in milliseconds: before expiry, but never before half the lifetime. */
export const refreshDelay = (
  lifetimeMillis: number,
  { refreshEarly, refreshJitter }: Pick<JwksOptions, "refreshEarly" | "refreshJitter">,
  random: number
): number =>
  Math.max(
    lifetimeMillis - Duration.toMillis(refreshEarly) - random * Duration.toMillis(refreshJitter),
    lifetimeMillis / 2
  )

/** Lifetimes from which keys are refreshed at their end if `minTtl` has raised them, in milliseconds. */
const longMinTtl = 60_000

/**
 * Whether keys are refreshed at the end of their lifetime instead of earlier: one that `minTtl` has raised to a minute or more, if
 * the keys are trusted during the refresh. `minTtl` then bounds the requests to a provider that forbids caching.
 */
export const isRefreshedAtEnd = (
  lifetimeMillis: number,
  isRaised: boolean,
  { deadline, staleWindow }: Pick<JwksOptions, "deadline" | "staleWindow">
): boolean => isRaised && Duration.isGreaterThanOrEqualTo(staleWindow, deadline) && lifetimeMillis >= longMinTtl

/** How long keys verify after their provider has become unreachable. */
export interface OfflineMillis {
  /** If it becomes unreachable just before a refresh. */
  readonly least: number
  /** If it becomes unreachable just after a refresh. */
  readonly most: number
}

/** The bounds for keys with one lifetime, which the jitter of refreshes only extends. */
const boundOf = (lifetimeMillis: number, isRaised: boolean, options: JwksOptions): OfflineMillis => {
  const ends = lifetimeMillis + Duration.toMillis(options.staleWindow)
  const delay = isRefreshedAtEnd(lifetimeMillis, isRaised, options)
    ? lifetimeMillis
    : refreshDelay(lifetimeMillis, options, 0)
  return { least: ends - delay, most: ends }
}

/** The bounds for a lifetime that responses state, or for all lifetimes that they may state. */
export const offlineMillis = (options: JwksOptions, stated: Duration.Duration | undefined): OfflineMillis => {
  const minimum = Duration.toMillis(options.minTtl)
  const maximum = Duration.toMillis(options.maxTtl)
  if (stated !== undefined) {
    const lifetime = Math.min(Math.max(Duration.toMillis(stated), minimum), maximum)
    return boundOf(lifetime, Duration.toMillis(stated) < minimum, options)
  }
  const bounds = [
    boundOf(minimum, true, options),
    boundOf(minimum, false, options),
    boundOf(maximum, false, options),
    boundOf(Duration.toMillis(options.ttl), false, options)
  ]
  return {
    least: Math.min(...bounds.map(({ least }) => least)),
    most: Math.max(...bounds.map(({ most }) => most))
  }
}
