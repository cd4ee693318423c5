import * as Instant from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { AcquiredToken } from "../../AcquiredToken.ts"
import type { Plan, RefreshPolicy } from "../../RefreshPolicy.ts"
import type { TokenResponse } from "../../TokenSource.ts"

/** A token in the provider's cache, with everything that a lookup needs computed in advance. */
export interface CachedToken {
  readonly token: AcquiredToken
  /** `Effect.succeed(token)`, created once, so that a hit allocates nothing. */
  readonly success: Effect.Effect<AcquiredToken>
  readonly refreshAt: Instant.Instant
  /** When callers stop getting the token, which is before it expires. */
  readonly usableUntil: Instant.Instant
  /** The difference between the wall clock and the monotonic clock when the token was requested. */
  readonly offset: number
  /** The fencing number with which processes share it; 0 if this process alone has it. */
  readonly fence: number
  /** When it was due before a server rejected it. */
  readonly dueBefore?: Instant.Instant | undefined
}

/** A cached token, requested at `issuedAt`. */
export const makeCachedToken = (
  { accessToken, scope, tokenType }: TokenResponse,
  { lifetime, refreshAfter, usableFor }: Plan,
  issuedAt: Instant.Instant,
  isRefreshing: (token: AcquiredToken) => boolean
): CachedToken => {
  const since = (duration: Duration.Duration) => Instant.after(issuedAt, Duration.toMillis(duration))
  const token: AcquiredToken = new AcquiredToken({
    value: accessToken,
    issuedAt,
    expiresAt: since(lifetime),
    scope,
    tokenType,
    isRefreshing: () => isRefreshing(token)
  })
  return {
    token,
    success: Effect.succeed(token),
    refreshAt: since(refreshAfter),
    usableUntil: since(usableFor),
    offset: Instant.offset(issuedAt),
    fence: 0
  }
}

/** How much later than before a repeated token must end to count as extended, in milliseconds: servers round lifetimes. */
const roundingError = 2_000

/**
 * The plan for a token that the server returned before, with its remaining lifetime: it is used until it ends, and the next
 * refresh, which may bring a newer one, comes after half of the remainder. `undefined` if the server extended the token.
 */
export const planRemainder = (
  { refreshAt, token: { expiresAt } }: CachedToken,
  stated: Duration.Duration | undefined,
  { failureDelay, maxLifetime }: RefreshPolicy,
  at: Instant.Instant
): Plan | undefined => {
  const known = Instant.until(expiresAt, at)
  const returned = stated === undefined ? undefined : Duration.toMillis(Duration.min(stated, maxLifetime))
  if (returned === undefined || returned > known + roundingError) return undefined
  const remaining = Duration.millis(Math.max(known, returned))
  const pause = Duration.max(Duration.times(remaining, 0.5), failureDelay)
  const due = Duration.max(Duration.millis(Instant.until(refreshAt, at)), pause)
  // A lookup checks whether a token is usable only once it is due.
  return { lifetime: remaining, refreshAfter: Duration.min(due, remaining), usableFor: remaining, isLimited: false }
}

/** In milliseconds. A larger difference means that the machine was suspended or its wall clock was set. */
const divergenceLimit = 30_000

/** Whether the wall clock moved ahead of the monotonic clock since the token was requested. */
export const isDiverged = ({ offset }: CachedToken, monotonic: bigint, wall: number): boolean =>
  wall - Number(monotonic) / 1_000_000 - offset > divergenceLimit
