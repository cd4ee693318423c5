import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { AcquisitionCause } from "../../TokenEvent.ts"
import type { ReportedFailure, SharedFailure } from "../fleet/record.ts"
import type { Lease, Outcome, SharedToken, Turn, Want } from "../fleet/sharedToken.ts"
import { acquire, type AcquisitionResult, check, type ProviderContext } from "./acquisition.ts"
import { type CallFailure, isRejection, toAcquisitionError } from "./acquisitionError.ts"
import type { CachedToken } from "./cachedToken.ts"
import type { TokenState } from "./tokenState.ts"

/** The first pause of all processes after a failed acquisition, in milliseconds. */
const firstPause = 1_000

/** Whether the claims of a JWT bind it to a key or a certificate (RFC 7800, `cnf`). False for any other token. */
const hasConfirmation = (token: string): boolean => {
  const [, payload = ""] = token.split(".")
  const claims = Result.try((): unknown => JSON.parse(new TextDecoder().decode(base64url.decode(payload))))
  return Result.isSuccess(claims) && Predicate.hasProperty(claims.success, "cnf") && claims.success.cnf !== null
}

/** Whether a token is of use to one process only: it is bound to a key (RFC 9449) or to a certificate (RFC 8705). */
const isBound = (token: AcquiredToken): boolean =>
  (Predicate.hasProperty(token, "tokenType") && token.tokenType.toLowerCase() === "dpop") ||
  hasConfirmation(Redacted.value(token.value))

/** The form of an OAuth error. The tag of another error has another one. */
const oauthError = /^[a-z_]{1,100}$/

/** How the failure is told to the others. A refusal may concern this process only, so it does not lengthen the pause. */
const reported = ({ error, retryAfter }: CallFailure, most: number, longest: number): ReportedFailure => {
  const details: Readonly<Record<string, unknown>> = { ...error.details }
  const stated = details["error"]
  const refusal = error.code === "TOKEN_ACQUISITION_FAILED" && Predicate.isString(stated) && oauthError.test(stated)
    ? stated
    : undefined
  return {
    code: error.code,
    error: refusal,
    status: Predicate.isNumber(details["status"]) ? details["status"] : undefined,
    pause: {
      first: firstPause,
      most,
      asked: retryAfter === undefined ? 0 : Math.min(Duration.toMillis(retryAfter), longest)
    },
    isGrowing: refusal === undefined
  }
}

const outcomeOf = (
  { policy }: TokenState,
  most: Duration.Duration
) =>
({ result }: AcquisitionResult): Outcome => {
  if (Result.isFailure(result)) {
    // The breaker or a limit of this process rejected the request.
    return isRejection(result.failure.error)
      ? { _tag: "released" }
      : {
        _tag: "failed",
        failure: reported(result.failure, Duration.toMillis(most), Duration.toMillis(policy.maxFailureDelay))
      }
  }
  const { token } = result.success
  if (isBound(token)) return { _tag: "unshared" }
  const lifetime = Math.floor(token.expiresAt.wall - token.issuedAt.wall)
  const value = { accessToken: token.value, lifetime, scope: token.scope }
  return { _tag: "acquired", value, issuedAt: token.issuedAt }
}

const sharedFailure = ({ server }: TokenState, { code, count, error, pause, status }: SharedFailure): CallFailure => ({
  error: toAcquisitionError({ code, details: { error, status } }, { server, attempts: 0, shared: true }),
  retryAfter: Duration.millis(pause),
  isShared: true,
  fleetFailures: count
})

const tooLate = ({ server }: TokenState): CallFailure => ({
  error: toAcquisitionError({ code: "TOKEN_WAIT_EXCEEDED" }, { server, attempts: 0 }),
  retryAfter: undefined,
  isShared: true
})

/** How an acquisition that may be shared ended: `unchanged` if the rejected token stays in use. */
export type FleetResult = AcquisitionResult | "unchanged"

/**
 * One acquisition of a token that processes share: takes the token of another process, or requests one for all of them. Without
 * the store, it requests one for this process alone.
 */
export const acquireShared = <R>(
  provider: ProviderContext<R>,
  shared: SharedToken,
  attemptId: string,
  cause: AcquisitionCause,
  isLimited: boolean
): Effect.Effect<FleetResult, never, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { state } = provider
      const { counts } = shared
      const clock = yield* Clock.Clock
      const began = Instant.now(clock)
      let known = Math.max(state.rejectedFence, state.cachedToken?.fence ?? 0)
      const want = (): Want => ({
        known,
        isForced: cause === "forced",
        cooldown: isLimited ? Duration.toMillis(state.policy.refusalCooldown) : 0,
        isUrgent: state.usableToken(clock) === undefined
      })
      const alone = restore(acquire(provider, attemptId, cause))
      while (true) {
        const turn: Turn = yield* restore(shared.turn(want()))
        switch (turn._tag) {
          case "token": {
            const taken = yield* restore(take(provider, turn, began, cause))
            if (taken !== undefined) {
              counts.shared++
              return { attempts: 0, result: Result.succeed(taken) }
            }
            known = turn.fence
            break
          }
          case "lease":
            counts.holder++
            return yield* asHolder(shared, turn.lease, alone, outcomeOf(state, shared.maxFailureDelay))
          case "alone":
            counts.alone++
            return yield* alone
          case "failed":
            counts.failed++
            return { attempts: 0, result: Result.fail(sharedFailure(state, turn.failure)) }
          case "tooLate":
            counts.failed++
            return { attempts: 0, result: Result.fail(tooLate(state)) }
          case "unchanged":
            return "unchanged"
        }
      }
    })
  )

/** The stored token as this provider uses it; `undefined` if it cannot, as after its end. */
const take = <R>(
  provider: ProviderContext<R>,
  { fence, issuedAt, value }: Extract<Turn, { readonly _tag: "token" }>,
  began: Instant.Instant,
  cause: AcquisitionCause
): Effect.Effect<CachedToken | undefined, never, R> =>
  Effect.gen(function*() {
    const { accessToken, lifetime, scope } = value
    // A forced refresh without a shared token of its own takes none that was requested before.
    const isOld = cause === "forced" && provider.state.cachedToken?.fence === 0 && issuedAt.monotonic < began.monotonic
    const clock = yield* Clock.Clock
    if (isOld) return undefined
    const response = { accessToken, expiresIn: Duration.millis(lifetime), scope }
    const cachedToken = yield* check(provider, response, issuedAt)
    return Instant.hasCome(cachedToken.usableUntil, clock) ? undefined : { ...cachedToken, fence }
  }).pipe(Effect.catch(() => Effect.succeed(undefined)))

/**
 * Requests a token for all processes. If another got the lease meanwhile, this process alone has the token, which is valid, until
 * it is due.
 */
const asHolder = <R>(
  shared: SharedToken,
  lease: Lease,
  request: Effect.Effect<AcquisitionResult, never, R>,
  outcome: (result: AcquisitionResult) => Outcome
): Effect.Effect<AcquisitionResult, never, R> =>
  Effect.map(shared.hold(lease, request, outcome), ({ failures, result: { attempts, result } }) => ({
    attempts,
    result: Result.match(result, {
      onFailure: (failure) => Result.fail({ ...failure, fleetFailures: failures }),
      onSuccess: (cachedToken) =>
        Result.succeed({ ...cachedToken, fence: isBound(cachedToken.token) ? 0 : lease.fence })
    })
  }))
