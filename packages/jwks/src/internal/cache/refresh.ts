import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Metrics from "@keelson/core/Metrics"
import * as Redaction from "@keelson/core/Redaction"
import { now, until } from "@keelson/core/unstable/Instant"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { JwksSnapshots } from "../../JwksSnapshots.ts"
import type { FetchFailed } from "../http/fetchFailed.ts"
import { fetchKeySet, type FetchRequest, type Outcome, parseKeySet, unexpected } from "../http/fetchKeySet.ts"
import { clockSkew } from "../http/freshness.ts"
import { acceptSnapshot, applyKeySet } from "./applyKeySet.ts"
import { begin, type CachedKeySet, drop, fail } from "./lifecycle.ts"
import { registerClockSkew } from "./providerMetrics.ts"
import type { ProviderState } from "./providerState.ts"

/** How a fetch ended. */
export type RefreshResult = "loaded" | "notModified" | "restored"

type Refreshing = Effect.Effect<RefreshResult, KeelsonError.NetworkError>

/** Above this many seconds, tokens are refused for times that only one side believes in. */
const skewLimit = 60

/**
 * Fetches, and accepts what came in the very step in which it is seen to be good. A fetch that began before an invalidation
 * may bring what was to be forgotten, and a 304 may confirm what is gone: it is made again.
 */
const fetchAccepted = (engine: ProviderState, request: FetchRequest): Effect.Effect<Accepted, FetchFailed> =>
  Effect.flatMap(Random.next, (random) => {
    const { epoch } = engine
    return Effect.flatMap(fetchKeySet(engine, request), (outcome) => {
      if (engine.epoch !== epoch) return fetchAccepted(engine, { ...request, noCache: true })
      const isOutdated = outcome.confirmed !== undefined && engine.state.held !== outcome.confirmed
      if (isOutdated) return fetchAccepted(engine, request)
      const isAgain = engine.state.failures > 0
      return Effect.succeed({ outcome, isAgain, held: applyKeySet(engine, outcome, random) })
    })
  })

interface Accepted {
  readonly outcome: Outcome
  readonly held: CachedKeySet
  /** Whether the fetch before failed. */
  readonly isAgain: boolean
}

const noteSkew = (engine: ProviderState, { answer }: Outcome): Effect.Effect<void> =>
  Effect.suspend(() => {
    const skew = clockSkew(answer.headers, answer.receivedAt)
    if (skew === undefined) return Effect.void
    const isNew = Math.abs(skew) > skewLimit && Math.abs(engine.clockSkew ?? 0) <= skewLimit
    if (engine.clockSkew === undefined) registerClockSkew(engine)
    engine.clockSkew = skew
    return isNew
      ? Effect.logWarning(`The clock of a key set provider differs from ours by ${Math.round(skew)} seconds`)
      : Effect.void
  })

const succeeded = Effect.fnUntraced(function*(engine: ProviderState, { held, isAgain, outcome }: Accepted) {
  const isConfirmed = outcome.confirmed !== undefined
  // A snapshot is older than what the provider said.
  engine.isRestored = true
  engine.counts.refreshes++
  if (isConfirmed) engine.counts.notModified++
  engine.onAccepted?.(held)
  yield* noteSkew(engine, outcome)
  if (isAgain) yield* Effect.logInfo("The key set is fetched again")
  yield* Metrics.increment("jwksRefresh", { ...engine.labels, status: isConfirmed ? "not_modified" : "success" })
  return isConfirmed ? "notModified" : "loaded"
})

const gaveUp = Effect.fnUntraced(function*(engine: ProviderState, { code, error, retryAfter }: FetchFailed) {
  const at = now(yield* Clock.Clock)
  const asked = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  const before = engine.state.lastFailure
  engine.apply(fail(engine.state, { code, retryAfter: asked, at }, engine.parts.options))
  engine.counts.refreshes++
  engine.counts.errors++
  const { retryAt } = engine.state
  engine.publish({
    _tag: "Failed",
    code,
    nextAttempt: Duration.millis(retryAt === undefined ? 0 : until(retryAt, at))
  })
  // Once for each outage and kind of failure; the metrics tell of the rest.
  if (code !== before) {
    yield* Effect.annotateLogs(
      Effect.logWarning("The key set could not be fetched", error),
      "code",
      ErrorCode.codeInfo[code].id
    )
  }
  yield* Metrics.increment("jwksRefresh", { ...engine.labels, status: "failure" })
  yield* Metrics.increment("jwksRefreshErrors", engine.labels)
  return yield* Effect.fail(error)
})

/** The last good keys from a snapshot, tried once; whatever is wrong with them or the store, the provider is asked. */
const restore = Effect.fnUntraced(function*(engine: ProviderState, snapshots: JwksSnapshots["Service"]) {
  const { around: { providerId, tenantId }, options: { issuer, maxBytes }, origin } = engine.parts
  const { epoch } = engine
  const clock = yield* Clock.Clock
  const snapshot = yield* snapshots.load({ tenantId, providerId, issuer, url: origin.configured }, { maxBytes })
  if (Option.isNone(snapshot)) return false
  const parsed = yield* Effect.mapError(parseKeySet(engine, snapshot.value.body, undefined), ({ error }) => error)
  // In one step: nothing may come between.
  if (engine.epoch !== epoch || engine.state.held !== undefined) return false
  acceptSnapshot(engine, snapshot.value, parsed, now(clock))
  return true
})

const isRestorable = (engine: ProviderState): Effect.Effect<boolean> => {
  const { snapshots } = engine.parts
  if (snapshots === undefined || engine.isRestored) return Effect.succeed(false)
  const restored = Effect.catchCause(
    restore(engine, snapshots),
    (cause) =>
      Effect.logWarning("The snapshot of a key set was not used", Redaction.error(Cause.squash(cause))).pipe(
        Effect.andThen(Metrics.increment("jwksSnapshotErrors", engine.labels)),
        Effect.as(false)
      )
  )
  // Only once it has ended: who takes the place of this provider before has to try again.
  return Effect.tap(restored, () => Effect.sync(() => (engine.isRestored = true)))
}

/** One fetch with a permit; how long it took counts from then on. */
const fetched = Effect.fnUntraced(function*(engine: ProviderState, request: FetchRequest): Effect.fn.Return<
  RefreshResult,
  KeelsonError.NetworkError
> {
  const [elapsed, result] = yield* Effect.timed(Effect.result(fetchAccepted(engine, request)))
  yield* Metrics.observe("jwksRefreshDuration", engine.labels, elapsed)
  return yield* Result.isSuccess(result) ? succeeded(engine, result.success) : gaveUp(engine, result.failure)
})

const begun = Effect.fnUntraced(function*(engine: ProviderState, request: FetchRequest): Effect.fn.Return<
  RefreshResult,
  KeelsonError.NetworkError
> {
  const clock = yield* Clock.Clock
  engine.begunAt = now(clock)
  engine.expire(clock)
  engine.apply(begin(engine.state, request.cause))
  // Who asks by hand wants what the provider has now.
  if (request.cause !== "forced" && (yield* isRestorable(engine))) return "restored"
  // What somebody waits for has a place of its own among those of all tenants, so that it is not behind all that is due.
  const isWanted = request.cause === "lookup" || request.cause === "unknownKey" || request.cause === "forced"
  const place = isWanted ? `${engine.parts.around.tenantId}:wanted` : engine.parts.around.tenantId
  return yield* engine.parts.permits.withPermit(place)(fetched(engine, request))
})

/** What ends neither well nor with a failure, as by a defect, is a failure too: otherwise nothing would be tried again. */
const settled = (engine: ProviderState, request: FetchRequest): Refreshing =>
  Effect.catchCause(
    begun(engine, request),
    (cause) => Cause.hasFails(cause) ? Effect.failCause(cause) : gaveUp(engine, unexpected(Cause.squash(cause)))
  )

/** One fetch, from its first transition to its last: never run by two at once. */
export const refresh = (engine: ProviderState, request: FetchRequest): Refreshing =>
  Effect.withSpan(Effect.annotateLogs(settled(engine, request), engine.labels), "JwksCache.refresh", {
    attributes: { ...engine.labels, cause: request.cause },
    kind: "client",
    // It belongs to no caller, nor to whoever built the cache, whose spans end before.
    root: true,
    captureStackTrace: false
  })

/** Ends the trust in the keys. What was fetched before is not accepted any more, and a failure holds nothing up. */
export const invalidate = (engine: ProviderState): void => {
  engine.epoch++
  engine.isRestored = true
  const { state, transitions } = drop(engine.state, "invalidated")
  engine.apply({ state: { ...state, retryAt: undefined }, transitions })
}
