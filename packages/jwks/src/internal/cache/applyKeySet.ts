import { after, type Instant, offset } from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { Snapshot } from "../../JwksSnapshots.ts"
import type { KeySet } from "../../KeySet.ts"
import type { Outcome } from "../http/fetchKeySet.ts"
import { lifetime } from "../http/freshness.ts"
import { kept, merged } from "../http/validators.ts"
import { type CachedKeySet, succeed } from "./lifecycle.ts"
import { type ProviderState, Trust } from "./providerState.ts"

/** How long after a document came it is renewed: early, but never before half of its lifetime, so that one of no lifetime does not hammer its provider. */
export const refreshDelay = (
  lifetimeMillis: number,
  { refreshEarly, refreshJitter }: Pick<JwksOptions, "refreshEarly" | "refreshJitter">,
  random: number
): number =>
  Math.max(
    lifetimeMillis - Duration.toMillis(refreshEarly) - random * Duration.toMillis(refreshJitter),
    lifetimeMillis / 2
  )

const countMissing = (of: KeySet, from: KeySet): number => {
  const ids = new Set(from.all.map((key) => key.id))
  return of.all.filter((key) => !ids.has(key.id)).length
}

/** Tells how many keys came and went. */
const publishChanges = (engine: ProviderState, next: KeySet, previous: KeySet): void => {
  const added = countMissing(next, previous)
  const removed = countMissing(previous, next)
  if (added > 0) engine.publish({ _tag: "KeysAdded", count: added })
  if (removed > 0) engine.publish({ _tag: "KeysRemoved", count: removed })
}

/**
 * Accepts what a fetch brought: the new keys replace the old ones whole. `random`, on [0, 1), spreads the next fetch.
 */
export const applyKeySet = (engine: ProviderState, outcome: Outcome, random: number): CachedKeySet => {
  const { options } = engine.parts
  const { answer, confirmed, held, url } = outcome
  const previous = engine.state.held
  const headers = confirmed === undefined ? kept(answer.headers) : merged(confirmed.headers, answer.headers)
  const fresh = Duration.toMillis(lifetime(headers, answer.receivedAt, options))
  const next: CachedKeySet = {
    ...held,
    url,
    headers,
    trust: previous?.set === held.set ? previous.trust : new Trust(engine, held.set.generation),
    since: answer.sentAt,
    offset: offset(answer.sentAt),
    refreshAt: after(answer.sentAt, refreshDelay(fresh, options, random)),
    expiresAt: after(answer.sentAt, fresh),
    staleUntil: after(answer.sentAt, fresh + Duration.toMillis(options.staleWindow))
  }
  engine.apply(succeed(engine.state, next, confirmed === undefined ? "loaded" : "notModified"))
  const keys = held.set.all.length
  if (confirmed !== undefined) engine.publish({ _tag: "NotModified" })
  else if (previous === undefined) engine.publish({ _tag: "Loaded", keys, from: "provider" })
  else engine.publish({ _tag: "Refreshed", keys })
  if (previous !== undefined) publishChanges(engine, held.set, previous.set)
  return next
}

/**
 * Accepts a snapshot: it keeps its age and gets no new life, and is due for a fetch at once.
 */
export const acceptSnapshot = (
  engine: ProviderState,
  snapshot: Snapshot,
  parsed: Pick<CachedKeySet, "set" | "skipped">,
  at: Instant
): void => {
  const { options } = engine.parts
  // A silent response has `ttl` as it is, also above `maxTtl`.
  const longest = Math.max(Duration.toMillis(options.maxTtl), Duration.toMillis(options.ttl))
  // What was written under other options must not live longer than these allow.
  const fresh = Math.min(snapshot.expiresAt - snapshot.receivedAt, longest)
  const stale = Math.min(snapshot.staleUntil - snapshot.expiresAt, Duration.toMillis(options.staleWindow))
  // A snapshot may be dated ahead, as clocks of two machines differ.
  const age = Math.max(0, at.wall - snapshot.receivedAt)
  const held: CachedKeySet = {
    ...parsed,
    body: snapshot.body,
    url: snapshot.documentUrl,
    headers: kept({ ...snapshot.headers }),
    trust: new Trust(engine, parsed.set.generation),
    since: after(at, -age),
    offset: offset(at),
    refreshAt: at,
    expiresAt: after(at, fresh - age),
    staleUntil: after(at, fresh + stale - age)
  }
  engine.apply(succeed(engine.state, held, "restored"))
  engine.publish({ _tag: "Loaded", keys: parsed.set.all.length, from: "snapshot" })
}

/**
 * Accepts the keys of a provider that is replaced, under new options: they keep their age, get no new life, and are due
 * for a fetch at `refreshAt`.
 */
export const acceptSeed = (engine: ProviderState, held: CachedKeySet, refreshAt: Instant): CachedKeySet => {
  const { options } = engine.parts
  const stated = Duration.toMillis(lifetime(held.headers, held.since.wall, options))
  const fresh = Math.min(stated, held.expiresAt.wall - held.since.wall)
  const next: CachedKeySet = {
    ...held,
    trust: new Trust(engine, held.set.generation),
    refreshAt,
    expiresAt: after(held.since, fresh),
    staleUntil: after(held.since, fresh + Duration.toMillis(options.staleWindow))
  }
  engine.apply(succeed(engine.state, next, "restored"))
  return next
}
