import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import type { NonEmpty, Principal } from "../../Principal.ts"
import { type Admission, makeAdmission, refuse, type Settings } from "./admission.ts"
import { setCacheHeaders } from "./cacheHeaders.ts"
import { findToken } from "./findToken.ts"
import { scopesLacking } from "./refusals.ts"

type Response<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Lets in who has a good token, and the scopes. */
export interface Gate<P> {
  readonly protect: <E, R>(
    httpEffect: Response<E, R>,
    scopes?: NonEmpty
  ) => Response<E | HttpSecurityError, Exclude<R, P> | HttpServerRequest.HttpServerRequest>
}

const authenticate = <C>(
  { admit, options }: Admission<C>
): Effect.Effect<Principal<C>, HttpSecurityError, HttpServerRequest.HttpServerRequest> =>
  Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
    const request = Context.get(context, HttpServerRequest.HttpServerRequest)
    const found = findToken(request, options)
    setCacheHeaders(context, request, options, found)
    return admit(found)
  })

/** A gate by settings. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeGate = Effect.fnUntraced(function*<V, P, C>(
  settings: Settings<V, P, C>
): Effect.fn.Return<Gate<P>, KeelsonError.ConfigurationError, V> {
  const admission = yield* makeAdmission(settings)
  const caller = authenticate(admission)
  const gate: Gate<P> = {
    protect: <E, R>(httpEffect: Response<E, R>, scopes?: NonEmpty) =>
      Effect.flatMap(
        caller,
        (who): Response<E | HttpSecurityError, Exclude<R, P>> =>
          scopes === undefined || scopes.every((scope) => who.hasScope(scope))
            ? Effect.provideService(httpEffect, settings.principal, who)
            : refuse(scopesLacking(admission.options, scopes))
      )
  }
  return gate
})
