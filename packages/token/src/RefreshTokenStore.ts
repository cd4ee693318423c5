/**
 * Where the refresh token of a client is kept between requests.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * A store of one refresh token. It is read before each request and written after one that brought a new token, before the
 * access token that came with it is handed out.
 *
 * A store that several processes share has to see to it that only one of them refreshes at a time: a refresh token that
 * rotates is good for one request.
 */
export interface RefreshTokenStore {
  /** The token; `undefined` where there is none. */
  readonly load: Effect.Effect<Redacted.Redacted | undefined, unknown>
  /** Keeps a token in place of the one before. Once it has ended, a restart of the process must find the new one. */
  readonly save: (token: Redacted.Redacted) => Effect.Effect<void, unknown>
}

/** In this process only: after a restart somebody has to grant access again. */
export const memory = (first: Redacted.Redacted): RefreshTokenStore => {
  let token = first
  return {
    load: Effect.sync(() => token),
    save: (next) =>
      Effect.sync(() => {
        token = next
      })
  }
}
