import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { CacheEntry, NewEntry } from "../../CacheEntry.ts"
import type { CacheError } from "../../CacheError.ts"

/** The milliseconds from now until a time; zero once it has passed. */
const left = (time: DateTime.Utc, clock: Clock.Clock): number =>
  Math.max(0, time.epochMilliseconds - clock.currentTimeMillisUnsafe())

/**
 * An entry as a new one for another tier, with the life that it has left. `undefined` for an entry whose life has ended: a ttl
 * of zero would be one without end.
 */
export const copyOf = (entry: CacheEntry, clock: Clock.Clock): NewEntry<CacheError> | undefined => {
  const { body, createdAt, expiresAt, length, metadata, staleUntil } = entry
  const copy = { body: body._tag === "Bytes" ? body.bytes : body.stream, length, metadata, createdAt }
  if (expiresAt === undefined) return { ...copy, ttl: Duration.zero }
  const ttl = left(expiresAt, clock)
  if (ttl === 0) return undefined
  const staleWindow = staleUntil === undefined ? 0 : staleUntil.epochMilliseconds - expiresAt.epochMilliseconds
  return { ...copy, ttl: Duration.millis(ttl), staleWindow: Duration.millis(staleWindow) }
}
