import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Bounded from "@keelson/core/unstable/Bounded"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import type { RefreshTokenStore } from "../../RefreshTokenStore.ts"
import type { TokenResponse } from "../../TokenSource.ts"
import type { RequestFailed } from "./requestFailed.ts"
import { type TokenClient, tokenRequest } from "./tokenRequest.ts"

/** Why a refresh token is not sent again: the server may have used it already, or rejected it. */
type SpentToken = { readonly token: string; readonly reason: "ambiguous" | "refused" }

/** Time limit of a call to the store. */
const storeTimeout = Duration.seconds(5)

const failed = (reason: "store" | "missing" | SpentToken["reason"], message: string) =>
  new KeelsonError.AuthenticationError({ code: "TOKEN_REFRESH_FAILED", message, details: { reason } })

const messages = {
  ambiguous: "The refresh token may have been used already, and it is valid for one request only",
  refused: "The authorization server rejected the refresh token"
}

const fromStore = <A>(call: Effect.Effect<A, unknown>): Effect.Effect<A, KeelsonError.AuthenticationError> =>
  Effect.flatMap(
    Effect.option(Bounded.waitAtMost(call, storeTimeout)),
    (result) =>
      Option.match(Option.flatten(result), {
        onNone: () => Effect.fail(failed("store", "The refresh token store failed or timed out")),
        onSome: Effect.succeed
      })
  )

/** The text of a refresh token, empty without one. A store may return anything. */
const textOf = (token: Redacted.Redacted | undefined): Effect.Effect<string, KeelsonError.AuthenticationError> =>
  Effect.try({
    try: () => token === undefined ? "" : Redacted.value(token),
    catch: () => failed("store", "The refresh token store returned a value that is not Redacted")
  })

/** A client with a refresh token. */
export interface RefreshGrant {
  readonly acquire: Effect.Effect<TokenResponse, RequestFailed["error"]>
  /** Allows a refresh token that may have been used already to be sent again. */
  readonly resend: Effect.Effect<void, KeelsonError.AuthenticationError>
}

/**
 * Sends one refresh token at a time. A rotating refresh token is sent once: it is marked as spent before the request, and the
 * mark is removed only if the server certainly did not use it. The new refresh token is saved before the rest of the response
 * is checked and the access token is returned; if saving fails, it is saved before the next request.
 *
 * @see RFC 6749, 6, and RFC 9700, 4.14
 */
export const makeRefreshGrant = (client: TokenClient, store: RefreshTokenStore, rotates: boolean): RefreshGrant => {
  const semaphore = Semaphore.makeUnsafe(1)
  let spent: SpentToken | undefined
  let unsaved: Redacted.Redacted | undefined

  const save = Effect.suspend(() => {
    const token = unsaved
    if (token === undefined) return Effect.void
    return Effect.tap(fromStore(store.save(token)), () =>
      Effect.sync(() => {
        unsaved = undefined
      }))
  })
  const onRequestFailed = ({ delivery }: RequestFailed, token: string) => {
    if (delivery === "unsent" || delivery === "refused") spent = undefined
    else if (delivery === "spent") spent = { token, reason: "refused" }
  }
  const acquire = Effect.gen(function*() {
    yield* Effect.uninterruptible(save)
    const refreshToken = yield* fromStore(store.load)
    const token = yield* textOf(refreshToken)
    if (refreshToken === undefined || token === "") {
      return yield* failed("missing", "The store has no refresh token")
    }
    if (spent?.token === token && (rotates || spent.reason === "refused")) {
      return yield* failed(spent.reason, messages[spent.reason])
    }
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        spent = { token, reason: "ambiguous" }
        const granted = yield* restore(tokenRequest(client, { type: "refresh_token", refreshToken })).pipe(
          Effect.tapError((failure) => Effect.sync(() => onRequestFailed(failure, token))),
          Effect.mapError(({ error }) => error)
        )
        const next = granted.refreshToken
        if (next === undefined || Redacted.value(next) === token) {
          spent = undefined
        } else {
          unsaved = next
          yield* save
        }
        return yield* Effect.fromResult(granted.token)
      })
    )
  })
  return {
    acquire: semaphore.withPermits(1)(acquire),
    resend: Effect.sync(() => {
      spent = undefined
    })
  }
}
