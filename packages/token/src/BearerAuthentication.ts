/**
 * Authenticates requests of servers other than Effect's, such as Express, Fastify or the web platform, by the same rules as
 * `HttpSecurity`. The application writes the responses.
 *
 * @see RFC 6750, 2 and 3
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "./HttpSecurityError.ts"
import { makeAuthenticator, type Settings } from "./internal/http/authenticator.ts"
import { cacheHeadersFor, nonceHeaders, type ResponseHeaders } from "./internal/http/cacheHeaders.ts"
import { readHead, type Request } from "./internal/http/requestHead.ts"
import { findToken, unreadable } from "./internal/http/requestToken.ts"
import type { Principal } from "./Principal.ts"

export type { Settings } from "./internal/http/authenticator.ts"
export type { ResponseHeaders } from "./internal/http/cacheHeaders.ts"
export type { Request } from "./internal/http/requestHead.ts"

/** For a request whose headers cannot be read: whether they have a token is unknown. */
const noStore = { "cache-control": "no-store" }

/** Authenticates callers with claims of type `C`. */
export interface BearerAuthentication<C> {
  /**
   * Returns the principal that sent a request. Call it once per request, before reading the body.
   *
   * Fails with one of the four errors of `HttpSecurityError`: respond with its `status` and `headers`, and with
   * `Problem.toProblemDetails(error)` as the body. Headers that cannot be read are an `InvalidRequest`.
   */
  readonly authenticate: (request: Request) => Effect.Effect<Principal<C>, HttpSecurityError>
  /**
   * Returns headers for the response to a request, also to a rejected one, so that no cache serves it to other callers: none
   * without the options `header`, `queryParameter`, `cookie` and `dpop`. With `dpop` they may have a nonce for the caller
   * (`DPoP-Nonce`), for which the request must be the same object as for `authenticate`. Call it right before the response is sent,
   * with the headers that the response has (names in lower case), and replace those of the same name.
   */
  readonly cacheHeaders: (request: Request, headers: ResponseHeaders) => Readonly<Record<string, string>>
}

/**
 * Makes an authentication, with the settings of `HttpSecurity.layer`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`); with `queryParameter` and `header` also where `HttpSecurity.layerRedaction` was
 * not provided. That layer redacts Effect's spans only: the application has to redact the logs and spans of other servers.
 *
 * **Example** (Authenticating a request of `node:http`)
 *
 * ```ts import.meta.vitest
 * import { StaticKeys } from "@keelson/jwks"
 * import { BearerAuthentication, Claims, Principal, TokenValidator, ValidationPolicy } from "@keelson/token"
 * import { Effect, Layer } from "effect"
 * import { exportJWK, generateKeyPair } from "jose"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 * class Caller extends Principal.Service<Caller, Claims.AccessToken>()("app/Caller") {}
 *
 * const { publicKey } = await generateKeyPair("ES256")
 * const issuers = ["https://idp.example"]
 * const keys = StaticKeys.layer({ issuers, keys: [{ algorithm: "ES256", jwk: await exportJWK(publicKey) }] })
 * const validators = Tokens.layer(ValidationPolicy.accessToken({ issuers, audiences: ["api"], algorithms: ["ES256"] }))
 *
 * const request = { method: "GET", url: "/reports", rawHeaders: ["Host", "api.example"] }
 * const program = Effect.gen(function*() {
 *   const authentication = yield* BearerAuthentication.make({ validator: Tokens, principal: Caller })
 *   return yield* Effect.flip(authentication.authenticate(request))
 * })
 * const error = await Effect.runPromise(Effect.provide(program, Layer.provide(validators, keys)))
 * error.status // => 401
 * error.code // => "TOKEN_MISSING"
 * ```
 */
export const make = Effect.fnUntraced(function*<V, P, C, R = never>(
  settings: Settings<V, P, C, R>
): Effect.fn.Return<BearerAuthentication<C>, KeelsonError.ConfigurationError, V | R> {
  const { authenticate, headers: names, options } = yield* makeAuthenticator(settings)
  const nonces = new WeakMap<Request, string>()
  return {
    authenticate: (request) =>
      Effect.suspend(() => {
        const head = readHead(request, names)
        const token = head === undefined ? unreadable : findToken(head, options)
        return authenticate(token, head, (nonce) => nonces.set(request, nonce))
      }),
    cacheHeaders: (request, headers) => {
      const head = readHead(request, names)
      if (head === undefined) return noStore
      const nonce = nonces.get(request)
      return {
        ...cacheHeadersFor(head, options, findToken(head, options))?.(headers),
        ...(nonce === undefined ? undefined : nonceHeaders(nonce))
      }
    }
  }
})
