import { ErrorCode, type KeelsonError } from "@keelson/core"
import { Context, Effect } from "effect"
import { HttpServerRequest, type HttpServerResponse } from "effect/http"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import * as HttpSecurityOptions from "../../HttpSecurityOptions.ts"
import type { NonEmpty, Principal, ServiceClass } from "../../Principal.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import { setCacheHeaders } from "./cacheHeaders.ts"
import { findToken } from "./findToken.ts"
import { checkRedaction } from "./redaction.ts"
import { otherOrigin, requestInvalid, scopesLacking, tokenMissing, tokenRefused } from "./refusals.ts"

/** What a gate is made of. */
export interface Settings<V, P, C> extends HttpSecurityOptions.Options {
  /** Who validates the tokens. */
  readonly validator: Context.Key<V, TokenValidator<C>>
  /** Who calls, which is provided to what is protected. */
  readonly principal: ServiceClass<P, string, C>
}

type Response<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Lets in who has a good token, and the scopes. */
export interface Gate<P> {
  readonly protect: <E, R>(
    httpEffect: Response<E, R>,
    scopes?: NonEmpty
  ) => Response<E | HttpSecurityError, Exclude<R, P> | HttpServerRequest.HttpServerRequest>
}

/**
 * Refuses, and leaves the code where operators look: the callers are told less. It is logged as `Debug`, since everybody
 * can cause it.
 */
const refuse = (
  error: HttpSecurityError,
  code: ErrorCode.ErrorCode = error.code
): Effect.Effect<never, HttpSecurityError> => {
  const { id } = ErrorCode.codeInfo[code]
  return Effect.logDebug("A request was refused").pipe(
    Effect.annotateLogs({ error_code: id }),
    Effect.andThen(Effect.annotateCurrentSpan("keelson.error_code", id)),
    Effect.andThen(Effect.fail(error))
  )
}

const authenticate = <C, P>(
  validator: TokenValidator<C>,
  principal: ServiceClass<P, string, C>,
  options: HttpSecurityOptions.HttpSecurityOptions
): Effect.Effect<Principal<C>, HttpSecurityError, HttpServerRequest.HttpServerRequest> =>
  Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
    const request = Context.get(context, HttpServerRequest.HttpServerRequest)
    const found = findToken(request, options)
    setCacheHeaders(context, request, options, found)
    switch (found._tag) {
      case "None":
        return refuse(tokenMissing(options))
      case "Invalid":
        return refuse(requestInvalid(options, found.problem))
      case "OtherOrigin":
        return refuse(otherOrigin(options))
      case "Token":
        return Effect.matchEffect(validator.validate(found.text), {
          onFailure: (error) => refuse(tokenRefused(options, error), error.code),
          onSuccess: (validated) => Effect.succeed(principal.fromValidated(validated, options))
        })
    }
  })

/** A gate by settings. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeGate = Effect.fnUntraced(function*<V, P, C>(
  { principal, validator: tag, ...input }: Settings<V, P, C>
): Effect.fn.Return<Gate<P>, KeelsonError.ConfigurationError, V> {
  const options = yield* HttpSecurityOptions.decode(input)
  yield* checkRedaction(options.queryParameter)
  const caller = authenticate(yield* tag, principal, options)
  const gate: Gate<P> = {
    protect: <E, R>(httpEffect: Response<E, R>, scopes?: NonEmpty) =>
      Effect.flatMap(
        caller,
        (who): Response<E | HttpSecurityError, Exclude<R, P>> =>
          scopes === undefined || scopes.every((scope) => who.hasScope(scope))
            ? Effect.provideService(httpEffect, principal, who)
            : refuse(scopesLacking(options, scopes))
      )
  }
  return gate
})
