import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import { now, until } from "@keelson/core/unstable/Instant"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { FetchFailed } from "../http/fetchDocument.ts"
import { type FetchedKeySet, fetchKeySet, type FetchRequest, unexpected } from "../http/fetchKeySet.ts"
import { clockSkew, forbiddenBy, lifetime } from "../http/freshness.ts"
import { UnusableKeySet } from "../keys/keySet.ts"
import { applyKeySet, nextRefresh } from "./applyKeySet.ts"
import type { Turn } from "./fetchPermits.ts"
import { begin, type CachedKeySet, drop, fail } from "./lifecycle.ts"
import { attachClockSkew, countFetch, observeFetch } from "./providerMetrics.ts"
import { restoreOnce } from "./providerSnapshots.ts"
import type { ProviderState } from "./providerState.ts"

/** How a refresh succeeded: a new document, a 304, or a snapshot. */
export type RefreshResult = "loaded" | "notModified" | "restored"

type Refreshing = Effect.Effect<RefreshResult, KeelsonError.NetworkError>

/** Clock skew above which a warning is logged, in seconds: a larger skew makes validation reject tokens by their times. */
const skewLimit = 60

/**
 * Fetches and accepts the keys; the check and the acceptance run synchronously. The fetch is repeated if the keys were
 * invalidated while it ran, or if it returned a 304 for keys that are no longer cached.
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
    if (state.clockSkew === undefined) attachClockSkew(state)
    state.clockSkew = skew
    return isNew
      ? Effect.logWarning(`The key set provider's clock differs from the local clock by ${Math.round(skew)} seconds`)
      : Effect.void
  })

const minutes = (millis: number): string => `${Math.floor(millis / 6_000) / 10} minutes`

/** Logs once that a provider forbids caching, with the resulting requests per hour and the outage that its keys survive. */
const noteNoCaching = (state: ProviderState, { headers, since }: CachedKeySet): Effect.Effect<void> =>
  Effect.suspend(() => {
    const directive = forbiddenBy(headers)
    if (directive === undefined || state.hasToldNoCaching) return Effect.void
    state.hasToldNoCaching = true
    const { options } = state
    const fresh = Duration.toMillis(lifetime(headers, since.wall, options))
    const stale = Duration.toMillis(options.staleWindow)
    const delays = [0, 1].map((random) => nextRefresh(headers, since.wall, options, random))
    const perHour = Math.ceil(3_600_000 / Math.min(...delays))
    return Effect.logWarning(
      `The key set provider forbids caching (Cache-Control: ${directive}). With minTtl ${
        Field.written(options.minTtl)
      } and ` +
        `staleWindow ${
          Field.written(options.staleWindow)
        } it is requested up to ${perHour} times an hour, and its keys ` +
        `outlive an outage of ${
          minutes(fresh + stale - Math.max(...delays))
        }. JwksOptions.tolerant makes fewer requests and ` +
        "allows longer outages"
    )
  })

const onSuccess = Effect.fnUntraced(function*(state: ProviderState, { cached, fetched, isRecovery }: Accepted) {
  const isConfirmed = fetched.confirmed !== undefined
  // A snapshot in the store is now older than the keys in memory, and must not be loaded.
  state.isRestored = true
  state.refused = undefined
  state.counts.refreshes++
  if (isConfirmed) state.counts.notModified++
  state.onAccepted?.(cached)
  yield* noteSkew(state, fetched)
  yield* noteNoCaching(state, cached)
  if (isRecovery) yield* Effect.logInfo("Key set refresh recovered")
  countFetch(state, isConfirmed ? "not_modified" : "success")
  return isConfirmed ? "notModified" : "loaded"
})

const onFailure = Effect.fnUntraced(function*(state: ProviderState, { code, error, retryAfter }: FetchFailed) {
  const at = now(yield* Clock.Clock)
  const retryAfterMillis = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  const previousCode = state.current.lastFailure
  const isUnusable = error instanceof UnusableKeySet
  state.refused = isUnusable ? error.skipped : undefined
  state.apply(fail(state.current, { code, retryAfter: retryAfterMillis, at }, state.options))
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
      Effect.logWarning(
        isUnusable ? "Key set was fetched, but not one of its keys is usable" : "Key set could not be fetched",
        error
      ),
      "code",
      ErrorCode.codeInfo[code].id
    )
  }
  countFetch(state, "failure")
  return yield* Effect.fail(error)
})

/** Fetches once and records the duration, without the wait for a permit. */
const fetchWithPermit = Effect.fnUntraced(function*(
  state: ProviderState,
  request: FetchRequest,
  turn: Turn
): Effect.fn.Return<RefreshResult, KeelsonError.NetworkError> {
  const [elapsed, result] = yield* Effect.timed(Effect.result(fetchAccepted(state, request)))
  state.services.permits.settled(turn, Result.isSuccess(result), Duration.toMillis(elapsed))
  observeFetch(state, elapsed)
  return yield* Result.isSuccess(result) ? onSuccess(state, result.success) : onFailure(state, result.failure)
})

/** The properties of the fetch that determine when it gets a permit. */
const turnOf = ({ current, labels, location }: ProviderState, { cause }: FetchRequest): Turn => ({
  tenant: labels.tenant,
  host: new URL(location.configured).hostname,
  staleUntil: current.cached?.staleUntil.wall,
  isAwaited: cause === "lookup" || cause === "unknownKey" || cause === "forced"
})

const restoreOrFetch = Effect.fnUntraced(function*(state: ProviderState, request: FetchRequest): Effect.fn.Return<
  RefreshResult,
  KeelsonError.NetworkError
> {
  const clock = yield* Clock.Clock
  state.begunAt = now(clock)
  state.expire(clock)
  state.apply(begin(state.current, request.cause))
  const turn = turnOf(state, request)
  state.turn = turn
  // A forced refresh needs the provider's present keys.
  if (request.cause !== "forced" && (yield* restoreOnce(state))) return "restored"
  return yield* state.services.permits.withPermit(turn, fetchWithPermit(state, request, turn))
})

/** Treats a defect as a failed fetch, so that another fetch is scheduled. */
const refreshSettled = (state: ProviderState, request: FetchRequest): Refreshing =>
  Effect.catchCause(
    restoreOrFetch(state, request),
    (cause) => Cause.hasFails(cause) ? Effect.failCause(cause) : onFailure(state, unexpected(Cause.squash(cause)))
  )

/** Runs one refresh, from its first transition to its last. Two must not run at the same time. */
export const refresh = (state: ProviderState, request: FetchRequest): Refreshing =>
  Effect.withSpan(Effect.annotateLogs(refreshSettled(state, request), state.labels), "JwksCache.refresh", {
    attributes: { ...state.labels, cause: request.cause },
    kind: "client",
    // Not a child of the caller's span or of the span that made the cache: both may end before the refresh.
    root: true,
    captureStackTrace: false
  })

/** Ends the trust in the keys. The result of a running fetch is discarded, and an earlier failure does not delay the next. */
export const invalidate = (state: ProviderState): void => {
  state.epoch++
  state.isRestored = true
  const step = drop(state.current, "invalidated")
  state.apply({ ...step, state: { ...step.state, retryAt: undefined } })
}
