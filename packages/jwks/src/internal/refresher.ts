import { ErrorCode, type KeelsonError, Metrics } from "@keelson/core"
import { Clock, Duration, Effect, Option, Random, Result } from "effect"
import type { JwksSnapshots } from "../JwksSnapshots.ts"
import { accept, acceptSnapshot } from "./accept.ts"
import type { Engine } from "./engine.ts"
import type { FetchFailed } from "./fetchFailed.ts"
import { fetchKeySet, type FetchRequest, type Outcome, parseKeySet } from "./fetchKeySet.ts"
import { clockSkew } from "./freshness.ts"
import { now, until } from "./instant.ts"
import { begin, drop, fail } from "./lifecycle.ts"
import { registerClockSkew } from "./providerMetrics.ts"

/** How a fetch ended. */
export type Refreshed = "loaded" | "notModified" | "restored"

type Refreshing = Effect.Effect<Refreshed, KeelsonError.NetworkError>

/** Above this many seconds, tokens are refused for times that only one side believes in. */
const skewLimit = 60

/** A fetch that began before an invalidation may bring what was to be forgotten: it is made again. */
const fetchCurrent = (engine: Engine, request: FetchRequest): Effect.Effect<Outcome, FetchFailed> =>
  Effect.suspend(() => {
    const { epoch } = engine
    return Effect.flatMap(fetchKeySet(engine, request), (outcome) => {
      if (engine.epoch !== epoch) return fetchCurrent(engine, { ...request, noCache: true })
      const isOutdated = outcome.confirmed !== undefined && engine.state.held !== outcome.confirmed
      return isOutdated ? fetchCurrent(engine, request) : Effect.succeed(outcome)
    })
  })

const noteSkew = (engine: Engine, { answer }: Outcome): Effect.Effect<void> =>
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

const succeeded = Effect.fnUntraced(function*(engine: Engine, outcome: Outcome) {
  const isAgain = engine.state.failures > 0
  const isConfirmed = outcome.confirmed !== undefined
  const held = accept(engine, outcome, yield* Random.next)
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

const gaveUp = Effect.fnUntraced(function*(engine: Engine, { code, error, retryAfter }: FetchFailed) {
  const at = now(yield* Clock.Clock)
  const asked = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  engine.apply(fail(engine.state, { code, retryAfter: asked, at }, engine.parts.options))
  engine.counts.refreshes++
  engine.counts.errors++
  const { failures, retryAt } = engine.state
  engine.publish({
    _tag: "Failed",
    code,
    nextAttempt: Duration.millis(retryAt === undefined ? 0 : until(retryAt, at))
  })
  // Once for each outage; the metrics tell of the rest.
  if (failures === 1) {
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
const restore = Effect.fnUntraced(function*(engine: Engine, snapshots: JwksSnapshots["Service"]) {
  const { around: { providerId, tenantId }, options: { issuer, maxBytes }, origin } = engine.parts
  engine.isRestored = true
  const { epoch } = engine
  const snapshot = yield* snapshots.load({ tenantId, providerId, issuer, url: origin.configured }, { maxBytes })
  if (Option.isNone(snapshot)) return false
  const parsed = yield* Effect.mapError(parseKeySet(engine, snapshot.value.body, undefined), ({ error }) => error)
  if (engine.epoch !== epoch) return false
  acceptSnapshot(engine, snapshot.value, parsed, now(yield* Clock.Clock))
  return true
})

const isRestorable = (engine: Engine): Effect.Effect<boolean> => {
  const { snapshots } = engine.parts
  if (snapshots === undefined || engine.isRestored) return Effect.succeed(false)
  return Effect.catch(
    restore(engine, snapshots),
    (error) =>
      Effect.logWarning("The snapshot of a key set was not used", error).pipe(
        Effect.andThen(Metrics.increment("jwksSnapshotErrors", engine.labels)),
        Effect.as(false)
      )
  )
}

/** One fetch with a permit; how long it took counts from then on. */
const fetched = Effect.fnUntraced(function*(engine: Engine, request: FetchRequest): Effect.fn.Return<
  Refreshed,
  KeelsonError.NetworkError
> {
  const [elapsed, result] = yield* Effect.timed(Effect.result(fetchCurrent(engine, request)))
  yield* Metrics.observe("jwksRefreshDuration", engine.labels, elapsed)
  return yield* Result.isSuccess(result) ? succeeded(engine, result.success) : gaveUp(engine, result.failure)
})

const begun = Effect.fnUntraced(function*(engine: Engine, request: FetchRequest): Effect.fn.Return<
  Refreshed,
  KeelsonError.NetworkError
> {
  engine.isStarted = true
  engine.expire(yield* Clock.Clock)
  engine.apply(begin(engine.state, request.cause))
  // Who asks by hand wants what the provider has now.
  if (request.cause !== "forced" && (yield* isRestorable(engine))) return "restored"
  return yield* engine.parts.permits.withPermit(engine.parts.around.tenantId)(fetched(engine, request))
})

/** One fetch, from its first transition to its last: never run by two at once. */
export const refresh = (engine: Engine, request: FetchRequest): Refreshing =>
  Effect.withSpan(Effect.annotateLogs(begun(engine, request), engine.labels), "JwksCache.refresh", {
    attributes: { ...engine.labels, cause: request.cause },
    kind: "client",
    captureStackTrace: false
  })

/** Ends the trust in the keys. What was fetched before is not accepted any more, and a failure holds nothing up. */
export const invalidate = (engine: Engine): void => {
  engine.epoch++
  engine.isRestored = true
  const { state, transitions } = drop(engine.state, "invalidated")
  engine.apply({ state: { ...state, retryAt: undefined }, transitions })
}
