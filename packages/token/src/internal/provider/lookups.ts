import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { Cause } from "../../TokenEvent.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { type CachedToken, isDiverged } from "./cachedToken.ts"
import type { Flight } from "./flight.ts"
import type { ProviderState } from "./providerState.ts"

/** Begins a refresh that is due, unless one is under way, or failed a moment ago. */
const refreshAhead = (
  { failures, isUnderWay }: ProviderState,
  flight: Flight,
  clock: Clock.Clock,
  cause: Cause
): void => {
  if (isUnderWay || (failures.retryAt !== undefined && !Instant.hasCome(failures.retryAt, clock))) return
  flight.start(cause)
}

/** Waits for a token, unless the server asked to be left alone. */
const wait = (
  engine: ProviderState,
  flight: Flight,
  clock: Clock.Clock
): Effect.Effect<AcquiredToken, TokenProviderError> => {
  engine.counts.misses++
  const { error, notBefore } = engine.failures
  const isPutOff = error !== undefined && notBefore !== undefined && !Instant.hasCome(notBefore, clock)
  return isPutOff && !engine.isUnderWay && !engine.isClosed ? Effect.fail(error) : flight.join("lookup")
}

/** Answers from memory. What is held is looked at again only where a refresh may be due. */
export const makeGet = (engine: ProviderState, flight: Flight): Effect.Effect<AcquiredToken, TokenProviderError> => {
  const later = (held: CachedToken, clock: Clock.Clock, isAhead: boolean) => {
    if (Instant.hasCome(held.usableUntil, clock)) return wait(engine, flight, clock)
    engine.counts.hits++
    refreshAhead(engine, flight, clock, isAhead ? "clock" : "due")
    return held.found
  }
  return Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
    const { held } = engine
    const clock = fiber.getRef(Clock.Clock)
    if (held === undefined) return wait(engine, flight, clock)
    const monotonic = clock.monotonicTimeNanosUnsafe()
    const wall = clock.currentTimeMillisUnsafe()
    const isDue = monotonic >= held.refreshAt.monotonic || wall >= held.refreshAt.wall
    if (isDue || isDiverged(held, monotonic, wall)) return later(held, clock, !isDue)
    engine.counts.hits++
    return held.found
  })
}

/** A token in place of one that a server refused; `undefined` where the refused one is current and another one was replaced a moment ago. */
export const replace = (
  engine: ProviderState,
  flight: Flight,
  refused: AcquiredToken
): Effect.Effect<AcquiredToken | undefined, TokenProviderError> =>
  Effect.clockWith((clock): Effect.Effect<AcquiredToken | undefined, TokenProviderError> => {
    const held = engine.usable(clock)
    if (held !== undefined && !engine.isCurrent(refused)) {
      engine.counts.hits++
      return held.found
    }
    if (held !== undefined) {
      if (!engine.mayReplace(clock)) return Effect.succeed(undefined)
      engine.drop()
    }
    engine.counts.misses++
    return flight.join("refused")
  })
