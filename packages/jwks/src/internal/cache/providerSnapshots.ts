import * as Redaction from "@keelson/core/Redaction"
import { now } from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { parseKeySet } from "../http/fetchKeySet.ts"
import { merged } from "../http/validators.ts"
import { type KeyedLock, makeKeyedLock } from "../registry/keyedLock.ts"
import type { Identity, JwksSnapshots } from "../snapshot/jwksSnapshots.ts"
import { makeSaver, type Saver } from "../snapshot/saver.ts"
import { SnapshotUnavailable } from "../snapshot/snapshotError.ts"
import { acceptSnapshot } from "./applyKeySet.ts"
import type { CachedKeySet } from "./lifecycle.ts"
import type { ProviderState } from "./providerState.ts"

type Snapshots = JwksSnapshots["Service"]

const defectsAsFailures = <A, E>(operation: "save" | "load" | "remove", call: () => Effect.Effect<A, E>) =>
  Effect.catchDefect(
    Effect.suspend(call),
    () => Effect.fail(new SnapshotUnavailable({ store: "custom", operation, reason: "failed" }))
  )

/** Turns defects of a store into failures: a store that an application wrote must not end a fetch. */
export const withoutDefects = ({ load, remove, save }: Snapshots): Snapshots => ({
  save: (snapshot) => defectsAsFailures("save", () => save(snapshot)),
  load: (identity, limits) => defectsAsFailures("load", () => load(identity, limits)),
  remove: (identity) => defectsAsFailures("remove", () => remove(identity))
})

const locks = new WeakMap<Snapshots, KeyedLock>()

/**
 * The lock of a store. Calls for one provider run one after another, also those of a provider that replaces another: a late
 * write of the old provider must not overwrite a write or removal of the new one.
 */
const lockOf = (store: Snapshots): KeyedLock => {
  const lock = locks.get(store) ?? makeKeyedLock()
  locks.set(store, lock)
  return lock
}

const identityOf = (
  { labels: { provider, tenant }, location, options: { issuer } }: ProviderState
): Identity => ({ tenantId: tenant, providerId: provider, issuer, url: location.configured })

const save = (state: ProviderState, snapshots: Snapshots, cached: CachedKeySet) =>
  snapshots.save({
    ...identityOf(state),
    documentUrl: cached.url,
    body: cached.body,
    // The headers that would remain after a 304 without headers.
    headers: merged(cached.headers, {}),
    receivedAt: cached.since.wall,
    expiresAt: cached.expiresAt.wall,
    staleUntil: cached.staleUntil.wall
  })

/** Counts a failure of the store, and logs `message` if given. */
const storeFailed = ({ labels }: ProviderState, error: SnapshotUnavailable, message?: string): Effect.Effect<void> => {
  const count = MetricSeries.increment("jwksSnapshotErrors", labels)
  return message === undefined
    ? count
    : Effect.andThen(count, Effect.annotateLogs(Effect.logWarning(message, error), labels))
}

/** Saves accepted key sets in the background. `store` is the unwrapped store, which identifies the lock. */
export const saveInBackground = (
  state: ProviderState,
  snapshots: Snapshots,
  store: Snapshots
): Effect.Effect<Saver<CachedKeySet>, never, Scope.Scope> => {
  const { provider, tenant } = state.labels
  return makeSaver(
    (cached: CachedKeySet) => save(state, snapshots, cached),
    // Logged once for each outage; the metric counts every failure.
    (error, isFirst) => storeFailed(state, error, isFirst ? "Key set snapshot could not be written" : undefined),
    (self) => lockOf(store)(`${tenant}:${provider}`, self)
  )
}

/** Removes the provider's snapshot from the store. Logs a failure, since the removed keys then stay in the store. */
export const removeSnapshot = (state: ProviderState): Effect.Effect<void> => {
  const { snapshots } = state.services
  return snapshots === undefined
    ? Effect.void
    : Effect.catch(
      snapshots.remove(identityOf(state)),
      (error) => storeFailed(state, error, "Key set snapshot could not be removed")
    )
}

const restore = Effect.fnUntraced(function*(state: ProviderState, snapshots: Snapshots) {
  const { epoch, options } = state
  const clock = yield* Clock.Clock
  const snapshot = yield* snapshots.load(identityOf(state), { maxBytes: options.maxBytes })
  if (Option.isNone(snapshot)) return false
  const parsed = yield* Effect.mapError(parseKeySet(state, snapshot.value.body, undefined), ({ error }) => error)
  // Synchronous from here on, so that the state cannot change in between.
  if (state.epoch !== epoch || state.current.cached !== undefined) return false
  const { keySet, skipped } = parsed
  acceptSnapshot(state, snapshot.value, { keySet, skipped }, now(clock))
  return true
})

/** Loads the snapshot, at most once. Returns whether its keys are now in use; on failure the caller fetches the keys. */
export const restoreOnce = (state: ProviderState): Effect.Effect<boolean> => {
  const { snapshots } = state.services
  if (snapshots === undefined || state.isRestored) return Effect.succeed(false)
  const restored = Effect.catchCause(
    restore(state, snapshots),
    (cause) =>
      Effect.logWarning("Key set snapshot was not used", Redaction.error(Cause.squash(cause))).pipe(
        Effect.andThen(MetricSeries.increment("jwksSnapshotErrors", state.labels)),
        Effect.as(false)
      )
  )
  // Set after the load has ended: a provider that replaces this one earlier must load the snapshot itself.
  return Effect.tap(restored, () => Effect.sync(() => (state.isRestored = true)))
}
