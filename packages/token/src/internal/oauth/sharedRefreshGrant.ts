import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import type { RefreshTokenOutcome, RefreshTokenUse, SharedRefreshToken } from "../../RefreshTokenStore.ts"
import type { GrantedTokens } from "./readToken.ts"
import type { RefreshGrant } from "./refreshGrant.ts"
import type { RequestFailed } from "./requestFailed.ts"
import { type TokenClient, tokenRequest } from "./tokenRequest.ts"

/** What became of the refresh token, by the end of its request. A request without a known end may have used it. */
const outcomeOf = (
  exit: Exit.Exit<GrantedTokens, RequestFailed>,
  { token }: RefreshTokenUse,
  isBegun: boolean,
  rotates: boolean
): RefreshTokenOutcome => {
  if (!isBegun) return { _tag: "kept" }
  if (Exit.isSuccess(exit)) {
    const next = exit.value.refreshToken
    return next === undefined || Redacted.value(next) === Redacted.value(token)
      ? { _tag: "kept" }
      : { _tag: "replaced", next }
  }
  const failure = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (failure?.delivery === "spent") return { _tag: "refused" }
  if (failure?.delivery === "unsent" || failure?.delivery === "refused") return { _tag: "kept" }
  return { _tag: rotates ? "ambiguous" : "kept" }
}

/**
 * The refresh token grant with a refresh token that processes share: one of them at a time sends it. The new refresh token is
 * saved before the access token is returned; if saving fails, it is saved before the next request of this process, and until
 * then no process sends the old one.
 *
 * @see RFC 6749, 6, and RFC 9700, 4.14
 */
export const makeSharedRefreshGrant = (
  client: TokenClient,
  shared: SharedRefreshToken,
  rotates: boolean
): RefreshGrant => {
  const semaphore = Semaphore.makeUnsafe(1)
  let unsaved: Effect.Effect<void, KeelsonError.AuthenticationError> | undefined

  const save = (end: Effect.Effect<void, KeelsonError.AuthenticationError>) => {
    unsaved = end
    return Effect.onExit(end, (exit) =>
      Effect.sync(() => {
        const error = Option.getOrUndefined(Exit.findErrorOption(exit))
        // Another refresh token replaced it: there is nothing left to save.
        if (error?.code !== "TOKEN_STORE_UNAVAILABLE") unsaved = undefined
      }))
  }

  const acquire = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      if (unsaved !== undefined) yield* save(unsaved)
      // Not interruptible as a whole: an interruption would lose the use, and nobody could end it.
      const use = yield* shared.use(rotates)
      let isBegun = false
      const request = Effect.suspend(() => {
        isBegun = true
        return tokenRequest(client, { type: "refresh_token", refreshToken: use.token })
      })
      const exit = yield* Effect.exit(restore(request))
      yield* save(use.end(outcomeOf(exit, use, isBegun, rotates)))
      const granted = yield* Effect.mapError(exit, ({ error }) => error)
      return yield* Effect.fromResult(granted.token)
    })
  )
  return {
    acquire: semaphore.withPermits(1)(acquire),
    resend: shared.resend
  }
}
