import type * as Resilience from "@keelson/core/Resilience"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { AcquiredToken } from "../../AcquiredToken.ts"
import { CurrentDpopKey } from "../../DpopKey.ts"
import type { Deviation, SubjectSource, TokenResponse } from "../../TokenSource.ts"
import { keyMissing } from "../dpop/clientKeyMissing.ts"
import { expired, isHeaderSafe, notHeaderSafe, report } from "../provider/acquisition.ts"
import {
  AttemptFailed,
  type CallFailure,
  retryAfterOf,
  toAcquisitionError,
  toCallFailure
} from "../provider/acquisitionError.ts"
import type { CallerGrant } from "./callerKey.ts"

/** A caller's token, and how long callers get it. */
export interface CallerToken {
  readonly _tag: "Token"
  readonly token: AcquiredToken
  /** `Effect.succeed(token)`, created once, so that a hit allocates nothing. */
  readonly success: Effect.Effect<AcquiredToken>
  readonly usableUntil: Instant.Instant
}

/** What the exchanges of one guard share. */
export interface ExchangeContext<R> {
  readonly server: string
  readonly source: SubjectSource<R>
  readonly resilience: Resilience.Resilience
  /** Lifetime of a token whose response states none. */
  readonly defaultLifetime: Duration.Duration
  /** The deviations of token responses that were logged. */
  readonly deviations: Set<Deviation["member"]>
}

/** How far the clock of the API may be ahead: a token is used that much shorter, at most a tenth of its lifetime. */
const maxSkew = Duration.seconds(30)

const makeCallerToken = (
  { accessToken, expiresIn, scope, ...rest }: TokenResponse,
  issuedAt: Instant.Instant,
  callerExpiresAt: number,
  defaultLifetime: Duration.Duration
): CallerToken => {
  const lifetime = expiresIn ?? defaultLifetime
  const usable = Duration.subtract(lifetime, Duration.min(maxSkew, Duration.times(lifetime, 0.1)))
  const callerMillis = callerExpiresAt * 1_000 - issuedAt.wall
  const since = (duration: Duration.Duration) =>
    Instant.after(issuedAt, Math.min(Duration.toMillis(duration), callerMillis))
  const token = new AcquiredToken({ ...rest, value: accessToken, issuedAt, expiresAt: since(lifetime), scope })
  return { _tag: "Token", token, success: Effect.succeed(token), usableUntil: since(usable) }
}

/** Requests a token once, which is not bound to a key. Its age counts from before the request. */
const requestToken = <R>(
  { defaultLifetime, deviations, server, source }: ExchangeContext<R>,
  caller: CallerGrant,
  clock: Clock.Clock
): Effect.Effect<CallerToken, unknown, R> =>
  Effect.suspend(() => {
    const issuedAt = Instant.now(clock)
    const acquired = Effect.provideService(source.acquireFor(caller.token, caller.grant), CurrentDpopKey, undefined)
    return Effect.flatMap(acquired, (response) =>
      Effect.gen(function*() {
        if (response.tokenType === "DPoP") return yield* keyMissing("tokens of callers must be bearer tokens")
        if (response.deviations !== undefined) yield* report({ server, deviations }, response.deviations)
        if (!isHeaderSafe(Redacted.value(response.accessToken))) return yield* notHeaderSafe()
        const token = makeCallerToken(response, issuedAt, caller.expiresAt, defaultLifetime)
        return Instant.hasCome(token.usableUntil, clock) ? yield* expired() : token
      }))
  })

/** Acquires the token of a caller, with retries, breaker and time limits. */
export const exchangeToken = <R>(
  context: ExchangeContext<R>,
  caller: CallerGrant
): Effect.Effect<CallerToken, CallFailure["error"], R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const { resilience, server, source } = context
    let attempts = 0
    const attempt = Effect.suspend(() => {
      attempts++
      return Effect.mapError(requestToken(context, caller, clock), (cause) => {
        const error = toAcquisitionError(cause, {})
        return new AttemptFailed({
          code: error.code,
          error,
          isRetryable: source.isRetryable(cause),
          retryAfter: retryAfterOf(cause, clock.currentTimeMillisUnsafe())
        })
      })
    })
    return Effect.mapError(
      // Hedges would send an assertion twice, which some servers accept once.
      resilience.execute(attempt, {
        hedge: false,
        while: ({ isRetryable }) => isRetryable,
        retryAfter: ({ retryAfter }) => retryAfter
      }),
      (failure) => toCallFailure(failure, { server, attempts }).error
    )
  })
