import * as Breaker from "@keelson/core/Breaker"
import * as Metrics from "@keelson/core/Metrics"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { Cause } from "../../TokenEvent.ts"
import { type TokenProviderError, TokenRefreshFailed } from "../../TokenProviderError.ts"
import { acquire, type Acquired, elapsedSince, type Parts } from "./acquisition.ts"
import type { CallFailure } from "./acquisitionError.ts"
import { attemptId } from "./attemptId.ts"
import type { CachedToken } from "./cachedToken.ts"

/** The one acquisition of a provider that may be under way. */
export interface Flight {
  /** Starts one, unless one is under way, and does not wait for it. */
  readonly start: (cause: Cause) => void
  /** Waits for the one that is under way, or starts one. */
  readonly join: (cause: Cause) => Effect.Effect<AcquiredToken, TokenProviderError>
}

const count = (server: string, status: "success" | "failure", elapsed: Duration.Duration): Effect.Effect<void> =>
  Effect.andThen(
    Metrics.increment("tokenAcquisitions", { server, status }),
    Metrics.observe("tokenAcquisitionDuration", { server }, elapsed)
  )

const outcome = (success: boolean, { attempts }: Acquired, elapsed: Duration.Duration) =>
  ({ _tag: "retry.outcome", operation: "get_scoped_token", success, attempts, elapsed }) as const

/** A token came: it is used, unless all before was invalidated meanwhile. */
const succeeded = Effect.fnUntraced(function*<R>(
  { engine, journal }: Parts<R>,
  id: string,
  acquired: Acquired,
  held: CachedToken,
  epoch: number,
  elapsed: Duration.Duration
) {
  const discarded = engine.epoch !== epoch
  engine.counts.acquisitions++
  engine.accept(held, discarded)
  yield* count(engine.server, "success", elapsed)
  yield* journal.tell(id, {
    _tag: "refresh.success",
    outcome: "Success",
    attempts: acquired.attempts,
    issuedAt: held.envelope.issuedAt.wall,
    expiresAt: held.envelope.expiresAt.wall,
    discarded
  })
  yield* journal.tell(id, outcome(true, acquired, elapsed))
})

/** None came. A rejection by the breaker asked the server for nothing, and does not count towards an escalation. */
const failed = Effect.fnUntraced(function*<R>(
  { engine, journal }: Parts<R>,
  id: string,
  acquired: Acquired,
  { error, retryAfter }: CallFailure,
  elapsed: Duration.Duration
): Effect.fn.Return<TokenProviderError> {
  const isRejection = error instanceof Breaker.CircuitOpen
  const errorKind = error.code
  const isFirst = engine.failed(error, isRejection, retryAfter, Instant.now(yield* Clock.Clock))
  const consecutiveFailures = engine.failures.count
  engine.counts.failures++
  const shown: TokenProviderError = isRejection || !engine.isEscalated ? error : new TokenRefreshFailed({
    server: engine.server,
    consecutiveFailures,
    lastFailure: errorKind,
    details: error.details
  })
  engine.failures.error = shown
  if (isFirst) engine.counts.escalations++
  if (!isRejection) yield* count(engine.server, "failure", elapsed)
  yield* journal.tell(id, {
    _tag: "refresh.failure",
    outcome: "Failed",
    attempts: acquired.attempts,
    errorKind,
    consecutiveFailures
  })
  yield* journal.tell(id, outcome(false, acquired, elapsed))
  if (isFirst) yield* journal.tell(id, { _tag: "refresh.escalated", errorKind, consecutiveFailures })
  return shown
})

/** Acquires until there is a token that was asked for after the last invalidation. */
const run = Effect.fn("TokenProvider.acquire")(function*<R>(
  parts: Parts<R>,
  first: Cause
): Effect.fn.Return<AcquiredToken, TokenProviderError, R> {
  const { engine } = parts
  yield* Effect.annotateCurrentSpan({ server: engine.server, cause: first })
  let cause = first
  while (true) {
    const clock = yield* Clock.Clock
    const began = clock.monotonicTimeNanosUnsafe()
    const { epoch } = engine
    const id = yield* attemptId
    const acquired = yield* acquire(parts, id, cause)
    engine.lastAttempts = acquired.attempts
    const elapsed = elapsedSince(began, clock)
    if (Result.isFailure(acquired.result)) {
      return yield* Effect.fail(yield* failed(parts, id, acquired, acquired.result.failure, elapsed))
    }
    const held = acquired.result.success
    yield* succeeded(parts, id, acquired, held, epoch, elapsed)
    // Who is told of it, as a logger is, may have invalidated it already.
    if (engine.epoch === epoch) return held.envelope
    cause = "refused"
  }
})

/** The acquisition runs in the scope and context in which this is made, whoever starts it or waits for it. */
export const makeFlight = Effect.fnUntraced(function*<R>(
  parts: Parts<R>
): Effect.fn.Return<Flight, never, R | Scope.Scope> {
  const { engine } = parts
  const fork = Effect.runForkWith(yield* Effect.context())
  let cause: Cause = "lookup"
  const shared = yield* SingleFlight.make(Effect.suspend(() => {
    engine.isUnderWay = true
    return Effect.onExit(run(parts, cause), (exit) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          engine.isUnderWay = false
          if (Exit.hasDies(exit) || Exit.hasInterrupts(exit)) engine.putOff(Instant.now(clock))
        })
      ))
  }))
  const join = (wanted: Cause) =>
    Effect.suspend(() => {
      if (!engine.isUnderWay) cause = wanted
      return shared
    })
  return {
    start: (wanted) => {
      // Nobody waits for it: how it ends is in the state.
      if (!engine.isUnderWay) fork(Effect.ignore(join(wanted)))
    },
    join
  }
})
