import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as AcquiredToken from "../../AcquiredToken.ts"
import type * as TokenProvider from "../../TokenProvider.ts"
import { type TokenProviderError, TokenRefreshFailed } from "../../TokenProviderError.ts"
import type { EnsureFailed, Fresh, Refreshed } from "./contract.ts"

/** Whether asking again may help, without anybody having changed something. */
const isPassing = (error: TokenProviderError): boolean => {
  const code = error instanceof TokenRefreshFailed ? error.lastFailure : error.code
  return code === "CIRCUIT_OPEN" || code === "SHUTTING_DOWN" || ErrorCode.codeInfo[code].retryable
}

const failureOf = (error: TokenProviderError, { lastAttemptAt }: TokenProvider.Status): EnsureFailed => ({
  error_code: isPassing(error) ? "refresh_failed" : "non_retriable",
  message: error.message,
  last_attempt_at: lastAttemptAt ?? null
})

/** A forced refresh is made for one token once in 30 seconds (R13), whoever asks. */
const period = 30_000

const makeForcing = () => {
  const forcedAt = new WeakMap<TokenProvider.Shape, Instant.Instant>()
  return (provider: TokenProvider.Shape, clock: Clock.Clock): boolean => {
    const last = forcedAt.get(provider)
    if (last !== undefined && !Instant.hasCome(Instant.after(last, period), clock)) return false
    forcedAt.set(provider, Instant.now(clock))
    return true
  }
}

/** Sees to a valid token, and tells what was done for it. */
export const makeEnsure = (isShown: boolean) => {
  const mayForce = makeForcing()
  return Effect.fnUntraced(function*(
    provider: TokenProvider.Shape,
    force: boolean
  ): Effect.fn.Return<Fresh | Refreshed, EnsureFailed> {
    const clock = yield* Clock.Clock
    const before = (yield* provider.status).envelope
    // Without a token there is nothing to force: one is acquired in any case.
    const isForced = force && before !== undefined && mayForce(provider, clock)
    const result = yield* Effect.result(isForced ? provider.refresh : provider.get)
    const status = yield* provider.status
    if (Result.isFailure(result)) return yield* Effect.fail(failureOf(result.failure, status))
    const envelope = result.success
    const { expires_at, issued_at, remaining_seconds, scoped } = AcquiredToken.snapshot(envelope, Instant.now(clock))
    const token = {
      issued_at,
      expires_at,
      remaining_seconds,
      scoped,
      ...(isShown ? { value: Redacted.value(envelope.value) } : undefined)
    }
    return envelope === before
      ? { token, refresh_applied: false, attempts: 0 }
      : { token, refresh_applied: true, attempts: status.lastAttempts }
  })
}
