/**
 * Protects an API with bearer tokens, and with tokens that are bound to a key of the caller (`dpop`, `mtls`): an `HttpApi` by a middleware that its OpenAPI document shows, and routes of an
 * `HttpRouter`.
 *
 * Both provide the `Principal` to the handlers that they protect, and reject all other callers with one of four errors: 400,
 * 401 and 403 with a challenge, or 503 where the token cannot be validated now.
 *
 * @see RFC 6750
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Types from "effect/Types"
import { type HttpSecurityError, isHttpSecurityError } from "./HttpSecurityError.ts"
import type { Settings } from "./internal/http/authenticator.ts"
import { scopesOf, withScopes } from "./internal/http/endpointScopes.ts"
import { errors } from "./internal/http/problemSchemas.ts"
import { makeProtect } from "./internal/http/protect.ts"
import type { Scopes } from "./internal/http/scopes.ts"

export type { Settings } from "./internal/http/authenticator.ts"
export { layerRedaction } from "./internal/http/redaction.ts"

const security = { bearer: HttpApiSecurity.bearer }

interface Config<P> {
  readonly requires: never
  readonly provides: P
  readonly error: typeof errors
  readonly clientError: never
  readonly requiredForClient: false
  readonly security: typeof security
}

/** The tag of a middleware that protects endpoints, and provides the principal `P` to them. */
export type ServiceClass<Self, Id extends string, P> = HttpApiMiddleware.ServiceClass<Self, Id, Config<P>>

/** The service of such a middleware. */
export type Security<P> = HttpApiMiddleware.HttpApiMiddlewareSecurity<typeof security, P, typeof errors, never>

/**
 * Creates the tag of a middleware. An API, a group or an endpoint uses it with `.middleware(Authenticated)`. Its document then
 * shows the bearer scheme and the four errors, which clients decode and handlers may fail with. `layer` makes the middleware.
 *
 * **Example** (Protecting an API)
 *
 * ```ts import.meta.vitest
 * import { Claims, HttpSecurity, Principal, TokenValidator } from "@keelson/token"
 * import { Layer, Schema } from "effect"
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 * class Caller extends Principal.Service<Caller, Claims.AccessToken>()("app/Caller") {}
 * class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("app/Authenticated") {}
 *
 * const Reports = HttpApiGroup.make("reports").add(
 *   HttpApiEndpoint.get("mine", "/reports", { success: Schema.String }).pipe(
 *     HttpSecurity.requireScopes(Authenticated, "reports:read")
 *   )
 * )
 * const Api = HttpApi.make("api").add(Reports)
 * OpenApi.fromApi(Api).paths["/reports"]?.get?.security // => [{ bearer: ["reports:read"] }]
 *
 * // Provide it to the layer of the API; the handlers then have the principal: `yield* Caller`.
 * const security = HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, realm: "reports" })
 * Layer.isLayer(security) // => true
 * ```
 */
export const Service = <Self, P>() => <const Id extends string>(id: Id): ServiceClass<Self, Id, P> =>
  HttpApiMiddleware.Service<Self, { requires: never; provides: P; clientError: never }>()(id, {
    error: errors,
    security
  })

/**
 * Adds a middleware to an endpoint that only accepts tokens with all of these scopes, which the document shows:
 * `endpoint.pipe(HttpSecurity.requireScopes(Authenticated, "invoices:write"))`. Applied twice, it requires the scopes of both.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) for text that is not a scope (RFC 6749, 3.3), and for more than 64 scopes.
 */
export const requireScopes = <I extends HttpApiMiddleware.AnyId, P>(
  middleware: Context.Key<I, Security<P>>,
  ...scopes: Scopes
) => withScopes(middleware, scopes)

/** A 503 stays a failure, so that error reporters see it. */
const isRefusal = (error: unknown): error is HttpSecurityError =>
  isHttpSecurityError(error) && error._tag !== "Unavailable"

/**
 * Makes the middleware of an API: `HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller })`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layer = <I, P, V, C, R = never>(
  middleware: Context.Service<I, Security<P>>,
  settings: Settings<V, P, C, R>
): Layer.Layer<I, KeelsonError.ConfigurationError, V | R> =>
  Layer.effect(
    middleware,
    Effect.map(makeProtect(settings), (protect) => ({
      // Ignores the credential that Effect decoded: it does not distinguish missing, malformed and repeated ones. Answers a
      // refused caller itself: encoding the error by its schema costs more than all of the handling of a good request.
      bearer: (handler, { endpoint }) =>
        Effect.catchIf(protect(handler, scopesOf(endpoint)), isRefusal, (error) =>
          HttpServerRespondable.toResponse(error))
    }))
  )

/** Turns the four errors of a route into responses. */
const respond = <R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, HttpSecurityError | Types.unhandled, R>
) => Effect.catchIf(handler, isHttpSecurityError, (error) => HttpServerRespondable.toResponse(error))

/**
 * Makes a middleware for routes of an `HttpRouter`, with the same settings: provide its `.layer` to the routes to protect. Their
 * handlers have the principal, and may fail with the four errors.
 */
export const middleware = <P, V, C, R = never>(settings: Settings<V, P, C, R>) =>
  HttpRouter.middleware<{ provides: P; handles: HttpSecurityError }>()(
    Effect.map(makeProtect(settings), (protect) => (handler) => respond(protect(handler)))
  )
