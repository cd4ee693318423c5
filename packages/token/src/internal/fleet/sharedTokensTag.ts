import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { RefreshTokenStore } from "../../RefreshTokenStore.ts"
import type { Identity } from "../../TokenSource.ts"
import type { SharedToken } from "./sharedToken.ts"

/** Options of a refresh token that processes share. */
export interface RefreshTokenOptions {
  /** What the refresh token is for, the same in all processes, such as the user or the partner. From 1 to 200 characters. Required. */
  readonly name: string
  /**
   * The refresh token to begin with. It is used if the store has none, or if the stored one cannot be used any more and this one
   * was never used before. Default none.
   */
  readonly initial?: Redacted.Redacted | undefined
  /**
   * What happens when Redis does not respond: `refuse` fails with `TOKEN_STORE_UNAVAILABLE` and sends nothing; `alone` uses the
   * last refresh token that this process knows. Use `alone` only where one process alone refreshes: two of them would use
   * the same refresh token twice, for which servers revoke all tokens issued from it. Default refuse.
   */
  readonly onStoreFailure?: "refuse" | "alone" | undefined
}

/**
 * Tokens that processes share. A `TokenProvider` with this service in its context, and a source that has an `identity`, uses it;
 * so do the providers of `TokenGuard`, `TokenGuards` and `TokenSidecar`.
 */
export class SharedTokens extends Context.Service<SharedTokens, {
  /** For `TokenProvider`: one kind of token. `server` is the label of its metrics. */
  readonly token: (identity: Identity, server: string) => Effect.Effect<SharedToken, never, Scope.Scope>
  /**
   * The store of one refresh token, for `OAuthClient.refreshToken`. A rotating refresh token is sent once by all processes
   * together. Fails with `ConfigurationError` (`INVALID_CONFIG`).
   */
  readonly refreshTokenStore: (
    options: RefreshTokenOptions
  ) => Effect.Effect<RefreshTokenStore, KeelsonError.ConfigurationError>
}>()("@keelson/token/SharedTokens") {}
