import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Bounded from "@keelson/core/unstable/Bounded"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import type { RefreshTokenStore } from "../../RefreshTokenStore.ts"
import type { TokenResponse } from "../../TokenSource.ts"
import type { RequestFailed } from "./refusal.ts"
import { type Requester, tokenRequest } from "./tokenRequest.ts"

/** Why a refresh token is not sent again: a request with it may have been carried out, or the server turned it down. */
type Spent = { readonly token: string; readonly reason: "ambiguous" | "refused" }

/** How long a call to the store may take. */
const storeTimeout = Duration.seconds(5)

const failed = (reason: "store" | "missing" | Spent["reason"], message: string) =>
  new KeelsonError.AuthenticationError({ code: "TOKEN_REFRESH_FAILED", message, details: { reason } })

const messages = {
  ambiguous: "Whether the refresh token was used is not known, and it is good for one request",
  refused: "The authorization server turned the refresh token down"
}

const fromStore = <A>(call: Effect.Effect<A, unknown>): Effect.Effect<A, KeelsonError.AuthenticationError> =>
  Effect.flatMap(
    Effect.option(Bounded.waitAtMost(call, storeTimeout)),
    (result) =>
      Option.match(Option.flatten(result), {
        onNone: () => Effect.fail(failed("store", "The store of the refresh token failed")),
        onSome: Effect.succeed
      })
  )

/** What a client with a refresh token does. */
export interface RefreshGrant {
  readonly acquire: Effect.Effect<TokenResponse, RequestFailed["error"]>
  /** Has a refresh token sent again of which it is not known whether it was used. */
  readonly resend: Effect.Effect<void>
}

/**
 * Refresh tokens one at a time. One that rotates is sent once: it is marked as used before it is sent, and the mark is only
 * taken away where it is certain that the server did not use it. The token that comes is stored before the access token is
 * handed out; where that fails it is kept, and stored before anything else is asked.
 *
 * @see RFC 6749, 6, and RFC 9700, 4.14
 */
export const makeRefreshGrant = (requester: Requester, store: RefreshTokenStore, rotates: boolean): RefreshGrant => {
  const one = Semaphore.makeUnsafe(1)
  let spent: Spent | undefined
  let unsaved: Redacted.Redacted | undefined

  const save = Effect.suspend(() => {
    const token = unsaved
    if (token === undefined) return Effect.void
    return Effect.tap(fromStore(store.save(token)), () =>
      Effect.sync(() => {
        unsaved = undefined
      }))
  })
  const settle = ({ fate }: RequestFailed, token: string) => {
    if (fate === "unsent" || fate === "refused") spent = undefined
    else if (fate === "spent") spent = { token, reason: "refused" }
  }
  const acquire = Effect.gen(function*() {
    yield* Effect.uninterruptible(save)
    const refreshToken = yield* fromStore(store.load)
    if (refreshToken === undefined) return yield* failed("missing", "There is no refresh token")
    const token = Redacted.value(refreshToken)
    if (spent?.token === token && (rotates || spent.reason === "refused")) {
      return yield* failed(spent.reason, messages[spent.reason])
    }
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        spent = { token, reason: "ambiguous" }
        const granted = yield* restore(tokenRequest(requester, { type: "refresh_token", refreshToken })).pipe(
          Effect.tapError((failure) => Effect.sync(() => settle(failure, token))),
          Effect.mapError(({ error }) => error)
        )
        const { refreshToken: next, ...response } = granted
        if (next === undefined || Redacted.value(next) === token) {
          spent = undefined
        } else {
          unsaved = next
          yield* save
        }
        return response
      })
    )
  })
  return {
    acquire: one.withPermits(1)(acquire),
    resend: Effect.sync(() => {
      spent = undefined
    })
  }
}
