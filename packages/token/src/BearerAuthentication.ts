/**
 * Bearer tokens in requests of servers that are not Effect's, as those of Express, Fastify or the web platform: who calls, or
 * why not, by the same rules as `HttpSecurity`. Writing answers is the application's.
 *
 * @see RFC 6750, 2 and 3
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "./HttpSecurityError.ts"
import { makeAdmission, type Settings } from "./internal/http/admission.ts"
import { type Answered, cacheHeadersFor } from "./internal/http/cacheHeaders.ts"
import { findToken } from "./internal/http/findToken.ts"
import { headOf, type Request } from "./internal/http/requestHead.ts"
import type { Principal } from "./Principal.ts"

export type { Settings } from "./internal/http/admission.ts"
export type { Answered } from "./internal/http/cacheHeaders.ts"
export type { Request } from "./internal/http/requestHead.ts"

/** Finds out who calls with claims `C`. */
export interface BearerAuthentication<C> {
  /**
   * Who sent a request. Call it once for each, before the body is read.
   *
   * Fails with one of the four errors of `HttpSecurityError`: the answer is its `status` and `headers`, with
   * `Problem.toProblemDetails` of it for a body.
   */
  readonly authenticate: (request: Request) => Effect.Effect<Principal<C>, HttpSecurityError>
  /**
   * Headers for the answer to a request, a refusal included, so that no cache hands it to others: none but with the options
   * `queryParameter` and `cookie`. They are for the last step before the answer is sent, since they depend on the headers
   * that it has (by their names in lower case), and take the place of those.
   */
  readonly cacheHeaders: (request: Request, answered: Answered) => Readonly<Record<string, string>>
}

/**
 * An authentication by settings, which are those of `HttpSecurity.layer`:
 * `BearerAuthentication.make({ validator: Tokens, principal: Caller })`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`); with `queryParameter` also where it is not made under
 * `HttpSecurity.layerRedaction`. That layer reaches Effect's spans alone: what other servers and tracers write of URLs is
 * for the application to keep clean.
 */
export const make = Effect.fnUntraced(function*<V, P, C>(
  settings: Settings<V, P, C>
): Effect.fn.Return<BearerAuthentication<C>, KeelsonError.ConfigurationError, V> {
  const { admit, options } = yield* makeAdmission(settings)
  return {
    authenticate: (request) => Effect.suspend(() => admit(findToken(headOf(request), options))),
    cacheHeaders: (request, answered) => {
      const head = headOf(request)
      return cacheHeadersFor(head, options, findToken(head, options))?.(answered) ?? {}
    }
  }
})
