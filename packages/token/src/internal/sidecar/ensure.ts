import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as AcquiredToken from "../../AcquiredToken.ts"
import type { Status, TokenProvider } from "../../TokenProvider.ts"
import { type TokenProviderError, TokenRefreshFailed } from "../../TokenProviderError.ts"
import type { EnsureFailed, Fresh, Refreshed } from "./contract.ts"

/** Whether a retry may succeed without a change of the configuration. */
const isTemporary = (error: TokenProviderError): boolean => {
  const code = error instanceof TokenRefreshFailed ? error.lastFailure : error.code
  return code === "CIRCUIT_OPEN" || code === "SHUTTING_DOWN" || ErrorCode.codeInfo[code].retryable
}

const failureOf = (error: TokenProviderError, { lastAttemptAt }: Status): EnsureFailed => ({
  errorCode: isTemporary(error) ? "refresh_failed" : "non_retriable",
  message: error.message,
  lastAttemptAt: lastAttemptAt ?? null
})

/** Minimum time between forced refreshes of one token (R13), in milliseconds. */
const forcedRefreshInterval = 30_000

const makeForcedRefreshLimit = () => {
  const forcedAt = new WeakMap<TokenProvider["Service"], Instant.Instant>()
  return (provider: TokenProvider["Service"], clock: Clock.Clock): boolean => {
    const last = forcedAt.get(provider)
    if (last !== undefined && !Instant.hasCome(Instant.after(last, forcedRefreshInterval), clock)) return false
    forcedAt.set(provider, Instant.now(clock))
    return true
  }
}

/** Makes sure that there is a valid token, and reports whether it was acquired or refreshed for that. */
export const makeEnsure = (showTokens: boolean) => {
  const mayForce = makeForcedRefreshLimit()
  return Effect.fnUntraced(function*(
    provider: TokenProvider["Service"],
    force: boolean
  ): Effect.fn.Return<Fresh | Refreshed, EnsureFailed> {
    const clock = yield* Clock.Clock
    const before = (yield* provider.status).token
    // Without a token, `get` acquires one in any case.
    const isForced = force && before !== undefined && mayForce(provider, clock)
    const result = yield* Effect.result(isForced ? provider.refresh : provider.get)
    const status = yield* provider.status
    if (Result.isFailure(result)) return yield* Effect.fail(failureOf(result.failure, status))
    const acquired = result.success
    const { expiresAt, issuedAt, remainingSeconds, scoped } = AcquiredToken.snapshot(acquired, Instant.now(clock))
    const token = {
      issuedAt,
      expiresAt,
      remainingSeconds,
      scoped,
      // A bound token is of no use to others, who lack its key.
      ...(showTokens && acquired.tokenType === "Bearer" ? { value: Redacted.value(acquired.value) } : undefined)
    }
    return acquired === before
      ? { token, refreshApplied: false, attempts: 0 }
      : { token, refreshApplied: true, attempts: status.lastAttempts }
  })
}
