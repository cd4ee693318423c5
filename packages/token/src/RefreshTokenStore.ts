/**
 * Where a client's refresh token is kept between requests.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * A store of one refresh token. It is read before each request. A new refresh token is saved before the access token that came
 * with it is used.
 *
 * A store that several processes share must make sure that only one of them refreshes at a time: a rotating refresh
 * token is valid for one request. That of `SharedTokens.refreshTokenStore` does.
 */
export interface RefreshTokenStore {
  /** The refresh token; `undefined` without one. */
  readonly load: Effect.Effect<Redacted.Redacted | undefined, unknown>
  /** Replaces the refresh token. Once this completes, a restarted process must load the new token. */
  readonly save: (token: Redacted.Redacted) => Effect.Effect<void, unknown>
  /** For a store that processes share: how one of them at a time uses the refresh token. Default: one process has the store. */
  readonly shared?: SharedRefreshToken | undefined
}

/** A refresh token that processes share. */
export interface SharedRefreshToken {
  /** What distinguishes it from other refresh tokens, the same in all processes. */
  readonly name: string
  /**
   * The refresh token, for one request of this process. Where it `rotates`, it is marked as sent before this completes, and no
   * process gets it again until the mark is removed. Runs in an uninterruptible region; waiting for another process can be
   * interrupted in it too. Fails with `AuthenticationError`: `TOKEN_STORE_UNAVAILABLE`,
   * `TOKEN_WAIT_EXCEEDED`, or `TOKEN_REFRESH_FAILED` whose `reason` is `ambiguous`, `refused` or `missing`.
   */
  readonly use: (rotates: boolean) => Effect.Effect<RefreshTokenUse, KeelsonError.AuthenticationError>
  /** Allows a refresh token that may have been used to be sent again, by any process. */
  readonly resend: Effect.Effect<void, KeelsonError.AuthenticationError>
}

/** One use of a refresh token. */
export interface RefreshTokenUse {
  readonly token: Redacted.Redacted
  /**
   * Records what became of the refresh token; `replaced` saves the new one, in the same step. Fails with `AuthenticationError`,
   * and then may be called again.
   */
  readonly end: (outcome: RefreshTokenOutcome) => Effect.Effect<void, KeelsonError.AuthenticationError>
}

/**
 * What became of a refresh token. `kept`: it is valid still. `replaced`: the server returned another one. `refused`: it is not
 * valid any more. `ambiguous`: the server may have used it.
 */
export type RefreshTokenOutcome =
  | { readonly _tag: "kept" | "refused" | "ambiguous" }
  | { readonly _tag: "replaced"; readonly next: Redacted.Redacted }

/**
 * A store in the memory of this process. After a restart, a user must authorize the client again.
 *
 * **Example** (Replacing a refresh token)
 *
 * ```ts import.meta.vitest
 * import { RefreshTokenStore } from "@keelson/token"
 * import { Effect, Redacted } from "effect"
 *
 * const store = RefreshTokenStore.memory(Redacted.make("first"))
 * const program = Effect.andThen(store.save(Redacted.make("second")), store.load)
 *
 * const token = await Effect.runPromise(program)
 * token && Redacted.value(token) // => "second"
 * ```
 */
export const memory = (initial: Redacted.Redacted): RefreshTokenStore => {
  let token = initial
  return {
    load: Effect.sync(() => token),
    save: (next) =>
      Effect.sync(() => {
        token = next
      })
  }
}
