import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { AcquisitionCause } from "../../TokenEvent.ts"
import { type TokenProviderError, TokenRefreshFailed } from "../../TokenProviderError.ts"
import { acquire, type AcquisitionResult, type ProviderContext } from "./acquisition.ts"
import { type CallFailure, isRejection } from "./acquisitionError.ts"
import type { CachedToken } from "./cachedToken.ts"
import { acquireShared } from "./fleetAcquisition.ts"

/** The single acquisition that a provider runs at a time, shared by all callers. */
export interface SharedAcquisition {
  /** Starts an acquisition in the background, unless one is running. */
  readonly start: (cause: AcquisitionCause) => void
  /** Waits for the running acquisition, or starts one. */
  readonly join: (cause: AcquisitionCause) => Effect.Effect<AcquiredToken, TokenProviderError>
}

/** Counts an acquisition. `rejected`: the authorization server rejected the token of one caller. */
export const countAcquisition = (
  server: string,
  status: "success" | "failure" | "rejected",
  elapsed: Duration.Duration
): Effect.Effect<void> =>
  Effect.andThen(
    MetricSeries.increment("tokenAcquisitions", { server, status }),
    MetricSeries.observe("tokenAcquisitionDuration", { server }, elapsed)
  )

const completed = (success: boolean, { attempts }: AcquisitionResult, elapsed: Duration.Duration) =>
  ({ _tag: "RefreshCompleted", success, attempts, elapsed }) as const

/** Caches the new token, unless an invalidation happened during the acquisition. */
const onSuccess = Effect.fnUntraced(function*<R>(
  { eventLog, state }: ProviderContext<R>,
  attemptId: string,
  acquired: AcquisitionResult,
  cachedToken: CachedToken,
  epoch: number,
  elapsed: Duration.Duration
) {
  const discarded = state.epoch !== epoch
  state.recordSuccess(cachedToken, discarded)
  // Without an attempt, another process requested the token.
  if (acquired.attempts > 0) {
    state.counts.acquisitions++
    yield* countAcquisition(state.server, "success", elapsed)
  }
  yield* eventLog.publish(attemptId, {
    _tag: "Refreshed",
    attempts: acquired.attempts,
    issuedAt: cachedToken.token.issuedAt.wall,
    expiresAt: cachedToken.token.expiresAt.wall,
    discarded
  })
  yield* eventLog.publish(attemptId, completed(true, acquired, elapsed))
})

/**
 * Records the failure. A rejection, as by the breaker, sent no request, so it does not count towards an escalation. The failure
 * of another process is escalated there.
 */
const onFailure = Effect.fnUntraced(function*<R>(
  { eventLog, state }: ProviderContext<R>,
  attemptId: string,
  acquired: AcquisitionResult,
  { error, fleetFailures, isShared = false, retryAfter }: CallFailure,
  elapsed: Duration.Duration
): Effect.fn.Return<TokenProviderError> {
  const isRejected = isRejection(error)
  const errorKind = error.code
  const isEscalation = state.recordFailure(
    error,
    { isRejection: isRejected, isShared, retryAfter, fleetFailures },
    Instant.now(yield* Clock.Clock)
  )
  const consecutiveFailures = state.failures.count
  state.counts.failures++
  const reported: TokenProviderError = isRejected || !state.isEscalated ? error : new TokenRefreshFailed({
    server: state.server,
    consecutiveFailures,
    lastFailure: errorKind,
    details: error.details
  })
  state.failures.error = reported
  if (isEscalation) state.counts.escalations++
  if (!isRejected && !isShared) yield* countAcquisition(state.server, "failure", elapsed)
  yield* eventLog.publish(attemptId, {
    _tag: "RefreshFailed",
    attempts: acquired.attempts,
    errorKind,
    consecutiveFailures
  })
  yield* eventLog.publish(attemptId, completed(false, acquired, elapsed))
  if (isEscalation) yield* eventLog.publish(attemptId, { _tag: "RefreshEscalated", errorKind, consecutiveFailures })
  return reported
})

/** Acquires until it has a token that was requested after the last invalidation. */
const acquireCurrent = Effect.fn("TokenProvider.acquire")(function*<R>(
  provider: ProviderContext<R>,
  firstCause: AcquisitionCause
): Effect.fn.Return<AcquiredToken, TokenProviderError, R> {
  const { shared, state } = provider
  yield* Effect.annotateCurrentSpan({ server: state.server, cause: firstCause })
  let cause = firstCause
  let isLimited = firstCause === "refused"
  while (true) {
    const clock = yield* Clock.Clock
    const began = clock.monotonicTimeNanosUnsafe()
    const { epoch } = state
    const attemptId = yield* Effect.sync(() => SecureRandom.uuidV4Unsafe())
    const acquired = shared === undefined
      ? yield* acquire(provider, attemptId, cause)
      : yield* acquireShared(provider, shared, attemptId, cause, isLimited && state.usableToken(clock) !== undefined)
    if (acquired === "unchanged") {
      const unchanged = state.usableToken(clock)
      state.defer()
      if (unchanged !== undefined) return unchanged.token
      isLimited = false
      continue
    }
    state.lastAttempts = acquired.attempts
    const elapsed = Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
    if (Result.isFailure(acquired.result)) {
      return yield* Effect.fail(yield* onFailure(provider, attemptId, acquired, acquired.result.failure, elapsed))
    }
    const cachedToken = acquired.result.success
    yield* onSuccess(provider, attemptId, acquired, cachedToken, epoch, elapsed)
    // Acquire again if a logger or subscriber of the success event invalidated the token.
    if (state.epoch === epoch) return cachedToken.token
    cause = "refused"
    isLimited = false
  }
})

/** The acquisition runs in the scope and context in which this effect runs, not in those of its callers. */
export const makeSharedAcquisition = Effect.fnUntraced(function*<R>(
  provider: ProviderContext<R>
): Effect.fn.Return<SharedAcquisition, never, R | Scope.Scope> {
  const { state } = provider
  const fork = Effect.runForkWith(yield* Effect.context())
  let nextCause: AcquisitionCause = "lookup"
  const shared = yield* SingleFlight.make(Effect.suspend(() => {
    state.isAcquiring = true
    return Effect.onExit(acquireCurrent(provider, nextCause), (exit) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          state.isAcquiring = false
          if (Exit.hasDies(exit) || Exit.hasInterrupts(exit)) state.delayRefresh(Instant.now(clock))
        })
      ))
  }))
  const join = (cause: AcquisitionCause) =>
    Effect.suspend(() => {
      if (!state.isAcquiring) nextCause = cause
      return shared
    })
  return {
    start: (cause) => {
      // Nothing awaits this fiber; the state records how the acquisition ended.
      if (!state.isAcquiring) fork(Effect.ignore(join(cause)))
    },
    join
  }
})
