/**
 * Where a client's refresh token is kept between requests.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * A store of one refresh token. It is read before each request. A new refresh token is saved before the access token that came
 * with it is used.
 *
 * A store that several processes share must make sure that only one of them refreshes at a time: a rotating refresh
 * token is valid for one request.
 */
export interface RefreshTokenStore {
  /** The refresh token; `undefined` without one. */
  readonly load: Effect.Effect<Redacted.Redacted | undefined, unknown>
  /** Replaces the refresh token. Once this completes, a restarted process must load the new token. */
  readonly save: (token: Redacted.Redacted) => Effect.Effect<void, unknown>
}

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
