import type * as KeelsonError from "@keelson/core/KeelsonError"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import type { Principal } from "../../Principal.ts"
import { type Authenticator, makeAuthenticator, type Settings } from "./authenticator.ts"
import { setCacheHeaders, setNonceHeaders } from "./cacheHeaders.ts"
import type { Rejector } from "./rejector.ts"
import { findToken } from "./requestToken.ts"
import type { Scopes } from "./scopes.ts"

type Response<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Protects a handler: it runs for callers with a valid token that has all of the scopes, and gets their principal. */
export type Protect<P> = <E, R>(
  handler: Response<E, R>,
  scopes?: Scopes
) => Response<E | HttpSecurityError, Exclude<R, P> | HttpServerRequest.HttpServerRequest>

/** The name of a caller: `sub`, else the `username` of an introspected token. */
const userOf = (principal: Principal<unknown>): string | undefined => {
  const { claims, subject } = principal
  if (subject !== undefined) return subject
  return Predicate.hasProperty(claims, "username") && typeof claims.username === "string" ? claims.username : undefined
}

/** Authenticates the request, and calls a function with its principal. */
const withPrincipal = <C, A, E, R>(
  { authenticate, options, rejector }: Authenticator<C>,
  use: (principal: Principal<C>, rejector: Rejector) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | HttpSecurityError, R | HttpServerRequest.HttpServerRequest> =>
  Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
    const request = Context.get(context, HttpServerRequest.HttpServerRequest)
    const token = findToken(request, options)
    setCacheHeaders(context, request, options, token)
    return Effect.flatMap(
      authenticate(token, request, (nonce) => setNonceHeaders(context, nonce)),
      (principal) => {
        Context.get(context, RequestObserver)?.authenticated(userOf(principal), context)
        return use(principal, rejector(token))
      }
    )
  })

/** Makes the function that protects handlers. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeProtect = Effect.fnUntraced(function*<V, P, C, R = never>(
  settings: Settings<V, P, C, R>
): Effect.fn.Return<Protect<P>, KeelsonError.ConfigurationError, V | R> {
  const authenticator = yield* makeAuthenticator(settings)
  const protect: Protect<P> = <E, R>(handler: Response<E, R>, scopes?: Scopes) =>
    withPrincipal(
      authenticator,
      (principal, rejector): Response<E | HttpSecurityError, Exclude<R, P>> =>
        scopes === undefined || scopes.every((scope) => principal.hasScope(scope))
          ? Effect.provideService(handler, settings.principal, principal)
          : rejector.scopesMissing(scopes)
    )
  return protect
})
