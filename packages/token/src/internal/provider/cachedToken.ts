import * as Instant from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { AcquiredToken } from "../../AcquiredToken.ts"
import type { Plan } from "../../RefreshPolicy.ts"
import type { TokenResponse } from "../../TokenSource.ts"

/** A token that is held, with all that a lookup has to know worked out. */
export interface CachedToken {
  readonly envelope: AcquiredToken
  /** The answer of a lookup, made once: a hit allocates nothing. */
  readonly found: Effect.Effect<AcquiredToken>
  readonly refreshAt: Instant.Instant
  /** When it is handed out no more, which is before it expires. */
  readonly usableUntil: Instant.Instant
  /** Where the wall clock was, seen from the monotonic one. */
  readonly offset: number
}

/** A token that was asked for at a moment. */
export const makeCachedToken = (
  { accessToken, scope }: TokenResponse,
  { lifetime, refreshAfter, usableFor }: Plan,
  issuedAt: Instant.Instant,
  isRefreshing: (envelope: AcquiredToken) => boolean
): CachedToken => {
  const since = (duration: Duration.Duration) => Instant.after(issuedAt, Duration.toMillis(duration))
  const envelope: AcquiredToken = new AcquiredToken({
    value: accessToken,
    issuedAt,
    expiresAt: since(lifetime),
    scope,
    isRefreshing: () => isRefreshing(envelope)
  })
  return {
    envelope,
    found: Effect.succeed(envelope),
    refreshAt: since(refreshAfter),
    usableUntil: since(usableFor),
    offset: Instant.offset(issuedAt)
  }
}

/** Clocks that diverge by more milliseconds than this tell of a suspended machine, or of a wall clock that was set. */
const divergenceLimit = 30_000

/** Whether the wall clock went ahead of the monotonic one since the token was asked for. */
export const isDiverged = ({ offset }: CachedToken, monotonic: bigint, wall: number): boolean =>
  wall - Number(monotonic) / 1_000_000 - offset > divergenceLimit
