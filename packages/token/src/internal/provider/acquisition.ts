import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Resilience from "@keelson/core/Resilience"
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import * as RefreshPolicy from "../../RefreshPolicy.ts"
import type { AcquisitionCause } from "../../TokenEvent.ts"
import type { Deviation, TokenResponse, TokenSource } from "../../TokenSource.ts"
import type { SharedToken } from "../fleet/sharedToken.ts"
import { AttemptFailed, type CallFailure, retryAfterOf, toAcquisitionError, toCallFailure } from "./acquisitionError.ts"
import { type CachedToken, isDiverged, makeCachedToken, planRemainder } from "./cachedToken.ts"
import type { EventLog } from "./eventLog.ts"
import type { TokenState } from "./tokenState.ts"

/** Everything that the acquisitions of one provider use. */
export interface ProviderContext<R> {
  readonly state: TokenState
  readonly source: TokenSource<R>
  readonly resilience: Resilience.Resilience
  readonly eventLog: EventLog
  readonly validate: ((token: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
  /** The random part of the jitter, drawn once for each provider. */
  readonly random: number
  /** The tokens that processes share; `undefined` if this provider's are its own. */
  readonly shared: SharedToken | undefined
}

/** The result of an acquisition, and how many attempts it made. */
export interface AcquisitionResult {
  readonly attempts: number
  readonly result: Result.Result<CachedToken, CallFailure>
}

/** Visible ASCII, which a header can carry (RFC 6750, 2.1, extended to what servers issue in practice). */
export const isHeaderSafe = (token: unknown): boolean =>
  typeof token === "string" && /^[\u0021-\u007e]{1,16384}$/.test(token)

/** Counts the deviations that were accepted, and logs each kind once. */
export const report = (
  { deviations: logged, server }: Pick<TokenState, "deviations" | "server">,
  deviations: ReadonlyArray<Deviation>
) =>
  Effect.forEach(deviations, ({ member, received }) => {
    const counted = MetricSeries.increment("tokenResponseDeviations", { server, kind: member })
    if (logged.has(member)) return counted
    logged.add(member)
    const message = "Token response deviates from RFC 6749 and was accepted"
    return Effect.andThen(counted, Effect.logWarning(message, { server, member, received }))
  }, { discard: true })

/** The error for a token that no header can carry. */
export const notHeaderSafe = (): KeelsonError.AuthenticationError =>
  new KeelsonError.AuthenticationError({
    code: "TOKEN_RESPONSE_INVALID",
    message: "The token response is invalid: access_token must be 1 to 16384 visible ASCII characters",
    details: {
      reason: "access_token",
      expected: "1 to 16384 visible ASCII characters",
      received: "a text of another form"
    }
  })

/** How the policy treats a token. A token that the server returns again is used for its remainder. */
const planOf = (
  { lastToken, policy }: TokenState,
  { accessToken, expiresIn }: TokenResponse,
  issuedAt: Instant.Instant,
  random: number
): Result.Result<RefreshPolicy.Plan, KeelsonError.ConfigurationError> => {
  const isRepeated = lastToken !== undefined && Redacted.value(lastToken.token.value) === Redacted.value(accessToken)
  const remainder = isRepeated ? planRemainder(lastToken, expiresIn, policy, issuedAt) : undefined
  return remainder === undefined ? RefreshPolicy.plan(policy, expiresIn, random) : Result.succeed(remainder)
}

/** Checks a token, and plans its refresh. */
export const check = <R>(
  { random, state, validate }: ProviderContext<R>,
  response: TokenResponse,
  issuedAt: Instant.Instant
): Effect.Effect<CachedToken, unknown, R> =>
  Effect.gen(function*() {
    if (response.deviations !== undefined) yield* report(state, response.deviations)
    if (!isHeaderSafe(Redacted.value(response.accessToken))) {
      return yield* notHeaderSafe()
    }
    const plan = yield* Effect.fromResult(planOf(state, response, issuedAt, random))
    if (plan.isLimited) {
      yield* Effect.logWarning("Token lifetime limited to maxLifetime", { server: state.server })
    }
    const cachedToken = makeCachedToken(
      response,
      plan,
      issuedAt,
      (token) => state.isAcquiring && state.cachedToken?.token === token
    )
    if (validate !== undefined) {
      yield* Effect.mapError(validate(cachedToken.token), (error) => toAcquisitionError(error, {}, "VALIDATION_FAILED"))
    }
    return cachedToken
  })

/** The error for a token that was already expired on arrival. */
export const expired = (): KeelsonError.AuthenticationError =>
  new KeelsonError.AuthenticationError({
    code: "TOKEN_EXPIRED",
    message: "The received token was already expired"
  })

/**
 * Requests a token, whose age counts from before the request. A token that is already expired on arrival fails the attempt;
 * if the clock was set in the meantime, the token is requested again instead.
 */
const requestToken = <R>(
  provider: ProviderContext<R>,
  clock: Clock.Clock
): Effect.Effect<CachedToken, unknown, R> =>
  Effect.suspend(() => {
    const issuedAt = Instant.now(clock)
    provider.state.lastAttemptAt = issuedAt.wall
    return provider.source.acquire.pipe(
      Effect.flatMap((response) => check(provider, response, issuedAt)),
      Effect.flatMap((cachedToken): Effect.Effect<CachedToken, unknown, R> => {
        if (!Instant.hasCome(cachedToken.usableUntil, clock)) return Effect.succeed(cachedToken)
        const { monotonic, wall } = Instant.now(clock)
        return isDiverged(cachedToken, monotonic, wall) ? requestToken(provider, clock) : Effect.fail(expired())
      })
    )
  })

/** One attempt. */
const attemptOnce = <R>(provider: ProviderContext<R>): Effect.Effect<CachedToken, AttemptFailed, R> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    Effect.mapError(requestToken(provider, clock), (cause) => {
      const error = toAcquisitionError(cause, {})
      return new AttemptFailed({
        code: error.code,
        error,
        isRetryable: provider.source.isRetryable(cause),
        retryAfter: retryAfterOf(cause, clock.currentTimeMillisUnsafe())
      })
    }))

/** One acquisition with all its attempts. Publishes its start and its retries. */
export const acquire = Effect.fnUntraced(function*<R>(
  provider: ProviderContext<R>,
  attemptId: string,
  cause: AcquisitionCause
): Effect.fn.Return<AcquisitionResult, never, R> {
  const { eventLog, resilience, state: { server } } = provider
  let attempts = 0
  const attempt = Effect.suspend(() => {
    attempts++
    return attemptOnce(provider)
  })
  yield* eventLog.publish(attemptId, { _tag: "RefreshStarted", cause })
  const result = yield* Effect.result(resilience.execute(attempt, {
    // A refresh token may be used once only.
    hedge: false,
    while: ({ isRetryable }) => isRetryable,
    retryAfter: ({ retryAfter }) => retryAfter,
    onRetry: ({ attempt, delay, error }) =>
      eventLog.publish(attemptId, { _tag: "RefreshRetried", attempt, delay, errorKind: error.code })
  }))
  return { attempts, result: Result.mapError(result, (error) => toCallFailure(error, { server, attempts })) }
})
