import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { CurrentDpopKey } from "../../DpopKey.ts"
import type { Identity } from "../../TokenSource.ts"
import type { SharedToken } from "../fleet/sharedToken.ts"
import { SharedTokens } from "../fleet/sharedTokensTag.ts"

/**
 * The token of an identity in the `SharedTokens` of the context; `undefined` without either, and for a provider with a key: a
 * token that another process shares is not bound to it.
 */
export const contextSharedToken = (
  identity: Identity | undefined,
  server: string
): Effect.Effect<SharedToken | undefined, never, Scope.Scope> =>
  Effect.flatMap(
    CurrentDpopKey,
    (key) =>
      identity === undefined || key !== undefined ? Effect.undefined : Effect.flatMap(
        Effect.serviceOption(SharedTokens),
        Option.match({ onNone: () => Effect.undefined, onSome: ({ token }) => token(identity, server) })
      )
  )
