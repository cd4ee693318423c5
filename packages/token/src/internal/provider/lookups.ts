import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { AcquisitionCause } from "../../TokenEvent.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { type CachedToken, isDiverged } from "./cachedToken.ts"
import type { SharedAcquisition } from "./sharedAcquisition.ts"
import type { TokenState } from "./tokenState.ts"

/** Starts a due refresh in the background, unless an acquisition is running or one failed a moment ago. */
const refreshAhead = (
  { failures, isAcquiring }: TokenState,
  acquisition: SharedAcquisition,
  clock: Clock.Clock,
  cause: AcquisitionCause
): void => {
  if (isAcquiring || (failures.retryAt !== undefined && !Instant.hasCome(failures.retryAt, clock))) return
  acquisition.start(cause)
}

/** Waits for the shared acquisition. Fails with the last error while the server's `Retry-After` forbids a request. */
const awaitToken = (
  state: TokenState,
  acquisition: SharedAcquisition,
  clock: Clock.Clock
): Effect.Effect<AcquiredToken, TokenProviderError> => {
  state.counts.misses++
  const { error, notBefore } = state.failures
  const isDelayed = error !== undefined && notBefore !== undefined && !Instant.hasCome(notBefore, clock)
  return isDelayed && !state.isAcquiring && !state.isClosed ? Effect.fail(error) : acquisition.join("lookup")
}

/** Returns the cached token. Checks whether it is still usable only once a refresh may be due. */
export const makeGet = (
  state: TokenState,
  acquisition: SharedAcquisition
): Effect.Effect<AcquiredToken, TokenProviderError> => {
  const getDue = (cachedToken: CachedToken, clock: Clock.Clock, isClockAhead: boolean) => {
    if (Instant.hasCome(cachedToken.usableUntil, clock)) return awaitToken(state, acquisition, clock)
    state.counts.hits++
    refreshAhead(state, acquisition, clock, isClockAhead ? "clock" : "due")
    return cachedToken.success
  }
  return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
    const { cachedToken } = state
    const clock = fiber.getRef(Clock.Clock)
    if (cachedToken === undefined) return awaitToken(state, acquisition, clock)
    const monotonic = clock.monotonicTimeNanosUnsafe()
    const wall = clock.currentTimeMillisUnsafe()
    const isDue = monotonic >= cachedToken.refreshAt.monotonic || wall >= cachedToken.refreshAt.wall
    if (isDue || isDiverged(cachedToken, monotonic, wall)) return getDue(cachedToken, clock, !isDue)
    state.counts.hits++
    return cachedToken.success
  })
}

/**
 * A token to replace a rejected one, which stays in use until the new one is acquired: another server may accept it, and while
 * the authorization server is down no other token is available. `undefined` if the rejected token is current and another was
 * replaced within `refusalCooldown`, by this process or by one that shares the token.
 */
export const replace = (
  state: TokenState,
  acquisition: SharedAcquisition,
  rejected: AcquiredToken
): Effect.Effect<AcquiredToken | undefined, TokenProviderError> =>
  Effect.clockWith((clock): Effect.Effect<AcquiredToken | undefined, TokenProviderError> => {
    const usable = state.usableToken(clock)
    if (usable !== undefined && !state.isCurrent(rejected)) {
      state.counts.hits++
      return usable.success
    }
    if (usable !== undefined) {
      // A rejection while an acquisition is running joins it.
      if (!state.beginReplacement(clock) && !state.isAcquiring) return Effect.succeed(undefined)
      state.expedite(clock)
    }
    state.counts.misses++
    // The same token if all processes together replaced one a moment ago.
    return Effect.map(acquisition.join("refused"), (token) => token === usable?.token ? undefined : token)
  })
