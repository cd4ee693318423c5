import { Instant } from "@keelson/core"
import { Duration, Effect } from "effect"
import type { Plan } from "../../RefreshPolicy.ts"
import { TokenEnvelope } from "../../TokenEnvelope.ts"
import type { TokenResponse } from "../../TokenSource.ts"

/** A token that is held, with all that a lookup has to know worked out. */
export interface Held {
  readonly envelope: TokenEnvelope
  /** The answer of a lookup, made once: a hit allocates nothing. */
  readonly found: Effect.Effect<TokenEnvelope>
  readonly refreshAt: Instant.Instant
  /** When it is handed out no more, which is before it expires. */
  readonly usableUntil: Instant.Instant
  /** Where the wall clock was, seen from the monotonic one. */
  readonly offset: number
}

/** A token that was asked for at a moment. */
export const makeHeld = (
  { accessToken, scope }: TokenResponse,
  { lifetime, refreshAfter, usableFor }: Plan,
  issuedAt: Instant.Instant,
  isRefreshing: (envelope: TokenEnvelope) => boolean
): Held => {
  const since = (duration: Duration.Duration) => Instant.after(issuedAt, Duration.toMillis(duration))
  const envelope: TokenEnvelope = new TokenEnvelope({
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
export const isDiverged = ({ offset }: Held, monotonic: bigint, wall: number): boolean =>
  wall - Number(monotonic) / 1_000_000 - offset > divergenceLimit
