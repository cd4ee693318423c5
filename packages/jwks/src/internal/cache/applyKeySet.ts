import { after, type Instant, offset } from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { KeySet } from "../../KeySet.ts"
import type { FetchedKeySet } from "../http/fetchKeySet.ts"
import { type HeaderRecord, lifetime, statedLifetime } from "../http/freshness.ts"
import { kept, merged } from "../http/validators.ts"
import type { Snapshot } from "../snapshot/jwksSnapshots.ts"
import { type CachedKeySet, succeed } from "./lifecycle.ts"
import { type ProviderState, Trust } from "./providerState.ts"
import { isRefreshedAtEnd, refreshDelay } from "./refreshDelay.ts"

export { refreshDelay } from "./refreshDelay.ts"

/** Delay from the request to the refresh, in milliseconds. */
export const nextRefresh = (
  headers: HeaderRecord,
  receivedAt: number,
  options: JwksOptions,
  random: number
): number => {
  const fresh = Duration.toMillis(lifetime(headers, receivedAt, options))
  const stated = statedLifetime(headers, receivedAt)
  const isRaised = stated !== undefined && Duration.toMillis(stated) < fresh
  return isRefreshedAtEnd(fresh, isRaised, options) ? fresh : refreshDelay(fresh, options, random)
}

const countMissing = (of: KeySet, from: KeySet): number => {
  const ids = new Set(from.all.map((key) => key.id))
  return of.all.filter((key) => !ids.has(key.id)).length
}

/** Publishes how many keys were added and removed. */
const publishChanges = (state: ProviderState, next: KeySet, previous: KeySet): void => {
  const added = countMissing(next, previous)
  const removed = countMissing(previous, next)
  if (added > 0) state.publish({ _tag: "KeysAdded", count: added })
  if (removed > 0) state.publish({ _tag: "KeysRemoved", count: removed })
}

/** Accepts a fetched key set, which replaces the cached one as a whole. `random`, in [0, 1), spreads the next refresh. */
export const applyKeySet = (state: ProviderState, fetched: FetchedKeySet, random: number): CachedKeySet => {
  const { options } = state
  const { confirmed, keys, response, url } = fetched
  const previous = state.current.cached
  const headers = confirmed === undefined ? kept(response.headers) : merged(confirmed.headers, response.headers)
  const fresh = Duration.toMillis(lifetime(headers, response.receivedAt, options))
  const next: CachedKeySet = {
    ...keys,
    url,
    headers,
    trust: previous?.keySet === keys.keySet ? previous.trust : new Trust(state, keys.keySet.generation),
    since: response.sentAt,
    offset: offset(response.sentAt),
    refreshAt: after(response.sentAt, nextRefresh(headers, response.receivedAt, options, random)),
    expiresAt: after(response.sentAt, fresh),
    staleUntil: after(response.sentAt, fresh + Duration.toMillis(options.staleWindow)),
    maxStale: Infinity
  }
  state.apply(succeed(state.current, next, confirmed === undefined ? "loaded" : "notModified"))
  const count = keys.keySet.all.length
  if (confirmed !== undefined) state.publish({ _tag: "NotModified" })
  else if (previous === undefined) state.publish({ _tag: "Loaded", keys: count, from: "provider" })
  else state.publish({ _tag: "Refreshed", keys: count })
  if (previous !== undefined) publishChanges(state, keys.keySet, previous.keySet)
  return next
}

/** Accepts a snapshot. It keeps its age and lifetime, and a refresh is due at once. */
export const acceptSnapshot = (
  state: ProviderState,
  snapshot: Snapshot,
  parsed: Pick<CachedKeySet, "keySet" | "skipped">,
  at: Instant
): void => {
  const { options } = state
  // A response that states no lifetime has `ttl`, which may exceed `maxTtl`.
  const longest = Math.max(Duration.toMillis(options.maxTtl), Duration.toMillis(options.ttl))
  // A snapshot written under other options must not live longer than the present options allow.
  const fresh = Math.min(snapshot.expiresAt - snapshot.receivedAt, longest)
  const maxStale = snapshot.staleUntil - snapshot.expiresAt
  const stale = Math.min(maxStale, Duration.toMillis(options.staleWindow))
  // A snapshot may be dated in the future, since the clocks of two machines differ.
  const age = Math.max(0, at.wall - snapshot.receivedAt)
  const cached: CachedKeySet = {
    ...parsed,
    body: snapshot.body,
    url: snapshot.documentUrl,
    headers: kept({ ...snapshot.headers }),
    trust: new Trust(state, parsed.keySet.generation),
    since: after(at, -age),
    offset: offset(at),
    refreshAt: at,
    expiresAt: after(at, fresh - age),
    staleUntil: after(at, fresh + stale - age),
    maxStale
  }
  state.apply(succeed(state.current, cached, "restored"))
  state.publish({ _tag: "Loaded", keys: parsed.keySet.all.length, from: "snapshot" })
}

/**
 * Accepts the keys of a replaced provider under new options. They keep their age, their lifetime is never extended, and a
 * refresh is due at `refreshAt`.
 */
export const acceptSeed = (state: ProviderState, cached: CachedKeySet, refreshAt: Instant): CachedKeySet => {
  const { options } = state
  const stated = Duration.toMillis(lifetime(cached.headers, cached.since.wall, options))
  const fresh = Math.min(stated, cached.expiresAt.wall - cached.since.wall)
  const next: CachedKeySet = {
    ...cached,
    trust: new Trust(state, cached.keySet.generation),
    refreshAt,
    expiresAt: after(cached.since, fresh),
    staleUntil: after(
      cached.since,
      fresh + Math.min(cached.maxStale ?? Infinity, Duration.toMillis(options.staleWindow))
    )
  }
  state.apply(succeed(state.current, next, "restored"))
  return next
}
