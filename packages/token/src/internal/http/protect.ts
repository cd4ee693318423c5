import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import type { Principal } from "../../Principal.ts"
import { type Authenticator, makeAuthenticator, type Settings } from "./authenticator.ts"
import { setCacheHeaders } from "./cacheHeaders.ts"
import { findToken } from "./requestToken.ts"
import type { Scopes } from "./scopes.ts"

type Response<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Protects a handler: it runs for callers with a valid token that has all of the scopes, and gets their principal. */
export type Protect<P> = <E, R>(
  handler: Response<E, R>,
  scopes?: Scopes
) => Response<E | HttpSecurityError, Exclude<R, P> | HttpServerRequest.HttpServerRequest>

const authenticateRequest = <C>(
  { authenticate, options }: Authenticator<C>
): Effect.Effect<Principal<C>, HttpSecurityError, HttpServerRequest.HttpServerRequest> =>
  Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
    const request = Context.get(context, HttpServerRequest.HttpServerRequest)
    const token = findToken(request, options)
    setCacheHeaders(context, request, options, token)
    return authenticate(token)
  })

/** Makes the function that protects handlers. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeProtect = Effect.fnUntraced(function*<V, P, C>(
  settings: Settings<V, P, C>
): Effect.fn.Return<Protect<P>, KeelsonError.ConfigurationError, V> {
  const authenticator = yield* makeAuthenticator(settings)
  const authenticated = authenticateRequest(authenticator)
  const protect: Protect<P> = <E, R>(handler: Response<E, R>, scopes?: Scopes) =>
    Effect.flatMap(
      authenticated,
      (principal): Response<E | HttpSecurityError, Exclude<R, P>> =>
        scopes === undefined || scopes.every((scope) => principal.hasScope(scope))
          ? Effect.provideService(handler, settings.principal, principal)
          : authenticator.rejector.scopesMissing(scopes)
    )
  return protect
})
