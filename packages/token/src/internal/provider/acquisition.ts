import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Resilience from "@keelson/core/Resilience"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import * as RefreshPolicy from "../../RefreshPolicy.ts"
import type { Cause } from "../../TokenEvent.ts"
import type { TokenResponse, TokenSource } from "../../TokenSource.ts"
import { AttemptFailed, type CallFailure, retryAfterOf, toAcquisitionError, toCallFailure } from "./acquisitionError.ts"
import { type CachedToken, isDiverged, makeCachedToken } from "./cachedToken.ts"
import type { EventLog } from "./eventLog.ts"
import type { ProviderState } from "./providerState.ts"

/** What an acquisition is made with. */
export interface Parts<R> {
  readonly engine: ProviderState
  readonly source: TokenSource<R>
  readonly resilience: Resilience.Resilience
  readonly journal: EventLog
  readonly validate: ((envelope: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
  /** The provider's share of the jitter. */
  readonly random: number
}

/** How an acquisition ended, and after how many attempts. */
export interface Acquired {
  readonly attempts: number
  readonly result: Result.Result<CachedToken, CallFailure>
}

/** What can stand in a header (RFC 6750, 2.1, with what servers in use add to it). */
const isSendable = (token: string): boolean => /^[\u0021-\u007e]{1,16384}$/.test(token)

const check = <R>(
  { engine, random, validate }: Parts<R>,
  response: TokenResponse,
  issuedAt: Instant.Instant
): Effect.Effect<CachedToken, unknown, R> =>
  Effect.gen(function*() {
    if (!isSendable(Redacted.value(response.accessToken))) {
      return yield* new KeelsonError.AuthenticationError({
        code: "TOKEN_RESPONSE_INVALID",
        message: "The token cannot be sent in a header",
        details: { reason: "access_token" }
      })
    }
    const plan = yield* Effect.fromResult(RefreshPolicy.plan(engine.policy, response.expiresIn, random))
    if (plan.isCut) {
      yield* Effect.logWarning("The lifetime of a token was cut to maxLifetime", { server: engine.server })
    }
    const held = makeCachedToken(
      response,
      plan,
      issuedAt,
      (envelope) => engine.isUnderWay && engine.held?.envelope === envelope
    )
    if (validate !== undefined) {
      yield* Effect.mapError(validate(held.envelope), (error) => toAcquisitionError(error, {}, "VALIDATION_FAILED"))
    }
    return held
  })

const expired = () =>
  new KeelsonError.AuthenticationError({
    code: "TOKEN_EXPIRED",
    message: "The token had expired when it came"
  })

/**
 * Asks for a token, whose age counts from before. One that has expired when it comes is no use; where that is because the
 * clock was set meanwhile, another one is asked for at once.
 */
const ask = <R>(parts: Parts<R>, clock: Clock.Clock): Effect.Effect<CachedToken, unknown, R> =>
  Effect.suspend(() => {
    const issuedAt = Instant.now(clock)
    parts.engine.lastAttemptAt = issuedAt.wall
    return parts.source.acquire.pipe(
      Effect.flatMap((response) => check(parts, response, issuedAt)),
      Effect.flatMap((held): Effect.Effect<CachedToken, unknown, R> => {
        if (!Instant.hasCome(held.usableUntil, clock)) return Effect.succeed(held)
        const { monotonic, wall } = Instant.now(clock)
        return isDiverged(held, monotonic, wall) ? ask(parts, clock) : Effect.fail(expired())
      })
    )
  })

/** One attempt. */
const attempt = <R>(parts: Parts<R>): Effect.Effect<CachedToken, AttemptFailed, R> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    Effect.mapError(ask(parts, clock), (cause) => {
      const error = toAcquisitionError(cause, {})
      return new AttemptFailed({
        code: error.code,
        error,
        isRetryable: parts.source.isRetryable(cause),
        retryAfter: retryAfterOf(cause, clock.currentTimeMillisUnsafe())
      })
    }))

/** One acquisition with all its attempts; tells of what happens in it. */
export const acquire = Effect.fnUntraced(function*<R>(
  parts: Parts<R>,
  attemptId: string,
  cause: Cause
): Effect.fn.Return<Acquired, never, R> {
  const { engine: { server }, journal, resilience } = parts
  let attempts = 0
  const counted = Effect.suspend(() => {
    attempts++
    return attempt(parts)
  })
  yield* journal.tell(attemptId, { _tag: "refresh.start", cause })
  const result = yield* Effect.result(resilience.execute(counted, {
    while: ({ isRetryable }) => isRetryable,
    retryAfter: ({ retryAfter }) => retryAfter,
    onRetry: ({ attempt, delay, error }) =>
      journal.tell(attemptId, { _tag: "refresh.retry", outcome: "Retrying", attempt, delay, errorKind: error.code })
  }))
  const failure = Result.mapError(result, (error) => toCallFailure(error, { server, attempts }))
  return { attempts, result: failure }
})

/** Milliseconds of monotonic time as a duration. */
export const elapsedSince = (began: bigint, clock: Clock.Clock): Duration.Duration =>
  Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
