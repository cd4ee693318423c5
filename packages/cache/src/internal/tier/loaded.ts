import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { CacheEntry, NewEntry } from "../../CacheEntry.ts"
import { lifeOf, timeOf } from "./rules.ts"

/** An entry of what was just loaded, whether or not a cache has stored it. */
export const entryOf = (entry: NewEntry & { readonly body: Uint8Array }, clock: Clock.Clock): CacheEntry => {
  const now = Instant.now(clock)
  const { end, gone } = lifeOf(now, entry.ttl ?? Duration.zero, entry.staleWindow)
  return {
    metadata: entry.metadata ?? {},
    body: { _tag: "Bytes", bytes: entry.body },
    length: entry.body.length,
    createdAt: entry.createdAt ?? timeOf(now),
    expiresAt: end === undefined ? undefined : timeOf(end),
    staleUntil: gone === undefined ? undefined : timeOf(gone),
    accessedAt: timeOf(now)
  }
}
