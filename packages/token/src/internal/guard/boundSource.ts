import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { CurrentDpopKey, type DpopKey } from "../../DpopKey.ts"
import * as TokenSource from "../../TokenSource.ts"
import { keyMissing } from "../dpop/clientKeyMissing.ts"

/** How a guard uses a key: it sends only tokens that are bound to the key, or also others. */
export interface Binding {
  readonly key: DpopKey
  readonly isRequired: boolean
}

const notBound = () =>
  new KeelsonError.AuthenticationError({
    code: "TOKEN_NOT_BOUND",
    message: "The token is not bound to the guard's key: its token_type is Bearer, not DPoP",
    details: { reason: "token_type", expected: "DPoP", received: "Bearer" }
  })

/**
 * The source of a guard, which gets the guard's key. A token that the guard cannot send as it should fails the attempt. With a
 * key, its tokens are those of this guard alone: one that another process shares is not bound to the key.
 *
 * @see RFC 9449, 5: a client that needs bound tokens discards others
 */
export const boundSource = <R>(
  input: TokenSource.Input<R>,
  binding: Binding | undefined
): TokenSource.TokenSource<R> => {
  const source = Effect.isEffect(input) ? TokenSource.fromEffect(input) : input
  const check = (response: TokenSource.TokenResponse) => {
    if (response.tokenType === "DPoP") {
      return binding === undefined
        ? Effect.fail(keyMissing("set its option dpop"))
        : Effect.succeed(response)
    }
    return binding?.isRequired === true ? Effect.fail(notBound()) : Effect.succeed(response)
  }
  return {
    ...source,
    identity: binding === undefined ? source.identity : undefined,
    acquire: Effect.provideService(Effect.flatMap(source.acquire, check), CurrentDpopKey, binding?.key)
  }
}
