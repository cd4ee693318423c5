import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Metrics from "@keelson/core/Metrics"
import { now, until } from "@keelson/core/unstable/Instant"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { FetchFailed } from "../http/fetchDocument.ts"
import { type FetchedKeySet, fetchKeySet, type FetchRequest, unexpected } from "../http/fetchKeySet.ts"
import { clockSkew } from "../http/freshness.ts"
import { applyKeySet } from "./applyKeySet.ts"
import { begin, type CachedKeySet, drop, fail } from "./lifecycle.ts"
import { registerClockSkew } from "./providerMetrics.ts"
import { restoreOnce } from "./providerSnapshots.ts"
import type { ProviderState } from "./providerState.ts"

/** How a refresh succeeded: a new document, a 304, or a snapshot. */
export type RefreshResult = "loaded" | "notModified" | "restored"

type Refreshing = Effect.Effect<RefreshResult, KeelsonError.NetworkError>

/** Clock skew that is logged, in seconds: above it, tokens are rejected for their times. */
const skewLimit = 60

/**
 * Fetches, and accepts the keys without a yield after they were checked. The fetch is repeated if the keys were invalidated
 * while it ran, or if it ended with a 304 for keys that are gone.
 */
const fetchAccepted = (state: ProviderState, request: FetchRequest): Effect.Effect<Accepted, FetchFailed> =>
  Effect.flatMap(Random.next, (random) => {
    const { epoch } = state
    return Effect.flatMap(fetchKeySet(state, request), (fetched) => {
      if (state.epoch !== epoch) return fetchAccepted(state, { ...request, noCache: true })
      const isOutdated = fetched.confirmed !== undefined && state.current.cached !== fetched.confirmed
      if (isOutdated) return fetchAccepted(state, request)
      const isRecovery = state.current.failures > 0
      return Effect.succeed({ fetched, isRecovery, cached: applyKeySet(state, fetched, random) })
    })
  })

interface Accepted {
  readonly fetched: FetchedKeySet
  readonly cached: CachedKeySet
  /** Whether the previous fetch failed. */
  readonly isRecovery: boolean
}

const noteSkew = (state: ProviderState, { response }: FetchedKeySet): Effect.Effect<void> =>
  Effect.suspend(() => {
    const skew = clockSkew(response.headers, response.receivedAt)
    if (skew === undefined) return Effect.void
    const isNew = Math.abs(skew) > skewLimit && Math.abs(state.clockSkew ?? 0) <= skewLimit
    if (state.clockSkew === undefined) registerClockSkew(state)
    state.clockSkew = skew
    return isNew
      ? Effect.logWarning(`Key set provider's clock differs from this machine's by ${Math.round(skew)} seconds`)
      : Effect.void
  })

const onSuccess = Effect.fnUntraced(function*(state: ProviderState, { cached, fetched, isRecovery }: Accepted) {
  const isConfirmed = fetched.confirmed !== undefined
  // From now on a snapshot would be older.
  state.isRestored = true
  state.counts.refreshes++
  if (isConfirmed) state.counts.notModified++
  state.onAccepted?.(cached)
  yield* noteSkew(state, fetched)
  if (isRecovery) yield* Effect.logInfo("Key set refresh recovered")
  yield* Metrics.increment("jwksRefresh", { ...state.labels, status: isConfirmed ? "not_modified" : "success" })
  return isConfirmed ? "notModified" : "loaded"
})

const onFailure = Effect.fnUntraced(function*(state: ProviderState, { code, error, retryAfter }: FetchFailed) {
  const at = now(yield* Clock.Clock)
  const retryAfterMillis = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  const previousCode = state.current.lastFailure
  state.apply(fail(state.current, { code, retryAfter: retryAfterMillis, at }, state.parts.options))
  state.counts.refreshes++
  state.counts.errors++
  const { retryAt } = state.current
  state.publish({
    _tag: "Failed",
    code,
    nextAttempt: Duration.millis(retryAt === undefined ? 0 : until(retryAt, at))
  })
  // Logged once for each outage and code; the metric counts every failure.
  if (code !== previousCode) {
    yield* Effect.annotateLogs(
      Effect.logWarning("Key set could not be fetched", error),
      "code",
      ErrorCode.codeInfo[code].id
    )
  }
  yield* Metrics.increment("jwksRefresh", { ...state.labels, status: "failure" })
  yield* Metrics.increment("jwksRefreshErrors", state.labels)
  return yield* Effect.fail(error)
})

/** One fetch, and its duration: without the wait for a permit. */
const fetchWithPermit = Effect.fnUntraced(function*(state: ProviderState, request: FetchRequest): Effect.fn.Return<
  RefreshResult,
  KeelsonError.NetworkError
> {
  const [elapsed, result] = yield* Effect.timed(Effect.result(fetchAccepted(state, request)))
  yield* Metrics.observe("jwksRefreshDuration", state.labels, elapsed)
  return yield* Result.isSuccess(result) ? onSuccess(state, result.success) : onFailure(state, result.failure)
})

const restoreOrFetch = Effect.fnUntraced(function*(state: ProviderState, request: FetchRequest): Effect.fn.Return<
  RefreshResult,
  KeelsonError.NetworkError
> {
  const clock = yield* Clock.Clock
  state.begunAt = now(clock)
  state.expire(clock)
  state.apply(begin(state.current, request.cause))
  // A forced refresh needs the provider's present keys.
  if (request.cause !== "forced" && (yield* restoreOnce(state))) return "restored"
  // Fetches that a caller waits for have a partition of their own, so that they are not queued behind scheduled ones.
  const isAwaited = request.cause === "lookup" || request.cause === "unknownKey" || request.cause === "forced"
  const partition = isAwaited ? `${state.parts.context.tenantId}:awaited` : state.parts.context.tenantId
  return yield* state.parts.permits.withPermit(partition)(fetchWithPermit(state, request))
})

/** A defect counts as a failure too: otherwise nothing would be retried. */
const refreshSettled = (state: ProviderState, request: FetchRequest): Refreshing =>
  Effect.catchCause(
    restoreOrFetch(state, request),
    (cause) => Cause.hasFails(cause) ? Effect.failCause(cause) : onFailure(state, unexpected(Cause.squash(cause)))
  )

/** One refresh, from its first transition to its last. Must not run twice at once. */
export const refresh = (state: ProviderState, request: FetchRequest): Refreshing =>
  Effect.withSpan(Effect.annotateLogs(refreshSettled(state, request), state.labels), "JwksCache.refresh", {
    attributes: { ...state.labels, cause: request.cause },
    kind: "client",
    // Neither the caller's span nor that of the cache's creator: both may end before.
    root: true,
    captureStackTrace: false
  })

/** Ends the trust in the keys. A running fetch is not accepted, and an earlier failure delays no new one. */
export const invalidate = (state: ProviderState): void => {
  state.epoch++
  state.isRestored = true
  const step = drop(state.current, "invalidated")
  state.apply({ ...step, state: { ...step.state, retryAt: undefined } })
}
