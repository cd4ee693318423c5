import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Identity } from "../../TokenSource.ts"
import type { SharedToken } from "../fleet/sharedToken.ts"
import { SharedTokens } from "../fleet/sharedTokensTag.ts"

/** The token of an identity in the `SharedTokens` of the context; `undefined` without either. */
export const contextSharedToken = (
  identity: Identity | undefined,
  server: string
): Effect.Effect<SharedToken | undefined, never, Scope.Scope> =>
  identity === undefined ? Effect.undefined : Effect.flatMap(
    Effect.serviceOption(SharedTokens),
    Option.match({ onNone: () => Effect.undefined, onSome: ({ token }) => token(identity, server) })
  )
