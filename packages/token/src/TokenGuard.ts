/**
 * An HTTP client that carries a valid token to its own origins, and nowhere else.
 *
 * Every request first sees that there is a valid token; a 401 has it replaced once, and the request sent again if it can
 * be. A guard is a service of its own and never the `HttpClient`: requests for tokens and keys can't get its token by
 * accident, and one application has as many guards as it calls services.
 */
import { BreakerStore, Configuration, type KeelsonError, Resilience } from "@keelson/core"
import { Context, Effect, Layer, Option, Result, type Scope } from "effect"
import { HttpClient } from "effect/http"
import * as GuardOptions from "./GuardOptions.ts"
import { type GuardError, guarded } from "./internal/guard/client.ts"
import { makeDispatch } from "./internal/guard/dispatch.ts"
import { type Grant, makeEnvelopes, normalized } from "./internal/guard/envelopes.ts"
import type { Scopes } from "./internal/guard/target.ts"
import type { TokenEnvelope } from "./TokenEnvelope.ts"
import type { TokenError } from "./TokenError.ts"
import * as TokenProvider from "./TokenProvider.ts"
import * as TokenSource from "./TokenSource.ts"
import * as UrlScope from "./UrlScope.ts"

export type { GuardError } from "./internal/guard/client.ts"
export type { Dispatch, Outcome } from "./internal/guard/dispatch.ts"
export type { Grant } from "./internal/guard/envelopes.ts"

/**
 * A guarded client: `get`, `post`, `execute` and all that an `HttpClient` has.
 *
 * A path alone is below the first origin. A request elsewhere is not sent: it fails with `NetworkError` (`EGRESS_REFUSED`,
 * its `reason` being `origin` where the URL is good but not one of the guard's). Where there is no token it fails with
 * `TokenError`. Answers of any status are handed on, a 401 after its replay too; `HttpClient.filterStatusOk` and all other
 * combinators work on it.
 */
export interface TokenGuard extends HttpClient.HttpClient.With<GuardError> {
  /** What the called service is named in metrics, logs and errors. */
  readonly server: string
  /** Where the token may go. */
  readonly scopes: ReadonlyArray<UrlScope.UrlScope>
  /** The tokens: their state, events, and a refresh by hand. */
  readonly provider: TokenProvider.Shape
  /**
   * The same client with tokens for another scope or audience, which are acquired and kept apart. Asking twice for the same
   * gives the same tokens.
   *
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) where the `source` is not a function of the grant, and above 100.
   */
  readonly scoped: (grant: Grant) => Effect.Effect<TokenGuard, KeelsonError.ConfigurationError>
  /** The client for named operations. It exists only with a valid token: without one this fails with `TokenError`. */
  readonly dispatch: Effect.Effect<Dispatch, TokenError>
}

/** What `make` takes: where the token may go, and where tokens come from. */
export interface Options<R = never> extends GuardOptions.Options {
  /** What the called service is named in metrics, logs and errors. Default: the name of the tag. */
  readonly name?: string | undefined
  /** Where tokens come from: `OAuthClient`, any effect, or a function that gives one for a scope or audience. */
  readonly source: TokenSource.Input<R> | ((grant: Grant) => TokenSource.Input<R>)
  /** Checks a token before it is used; where this fails, so does the attempt to get it. */
  readonly validate?: ((envelope: TokenEnvelope) => Effect.Effect<unknown, unknown, R>) | undefined
}
