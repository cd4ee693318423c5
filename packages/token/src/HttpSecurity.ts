/**
 * Protects an API with bearer tokens: an `HttpApi` with a middleware that its document shows, and plain routes of an
 * `HttpRouter` in the same way.
 *
 * Both put the `Principal` into the context of what they protect, and refuse everybody else with one of four errors: 400, 401
 * and 403 with a challenge, 503 where the token can't be judged now.
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
import type { Settings } from "./internal/http/admission.ts"
import { scopesOf, withScopes } from "./internal/http/endpointScopes.ts"
import { makeGate } from "./internal/http/gate.ts"
import { errors } from "./internal/http/problemSchemas.ts"
import type { NonEmpty } from "./Principal.ts"

export type { Settings } from "./internal/http/admission.ts"
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

/** What a middleware is, whatever its name. */
export type Security<P> = HttpApiMiddleware.HttpApiMiddlewareSecurity<typeof security, P, typeof errors, never>

/**
 * The tag of a middleware: `class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("app/Authenticated") {}`.
 *
 * An API, a group or an endpoint takes it with `.middleware(Authenticated)`. Its document then shows the scheme and the
 * four errors, which its client decodes and its handlers may fail with. `layer` makes it.
 */
export const Service = <Self, P>() => <const Id extends string>(id: Id): ServiceClass<Self, Id, P> =>
  HttpApiMiddleware.Service<Self, { requires: never; provides: P; clientError: never }>()(id, {
    error: errors,
    security
  })

/**
 * Puts a middleware on an endpoint, and lets in only tokens with all of these scopes, which the document shows:
 * `endpoint.pipe(HttpSecurity.requireScopes(Authenticated, "invoices:write"))`. Applied twice it asks for all of them.
 *
 * Throws a `TypeError` for what can't be a scope (RFC 6749, 3.3).
 */
export const requireScopes = <I extends HttpApiMiddleware.AnyId, P>(
  middleware: Context.Key<I, Security<P>>,
  ...scopes: NonEmpty
) => withScopes(middleware, scopes)

/**
 * The middleware of an API, by settings: `HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller })`.
 *
 * - `validator`: the tag of who validates tokens; `principal`: the tag of who calls.
 * - the rest are the options of `HttpSecurityOptions`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layer = <I, P, V, C>(
  middleware: Context.Service<I, Security<P>>,
  settings: Settings<V, P, C>
): Layer.Layer<I, KeelsonError.ConfigurationError, V> =>
  Layer.effect(
    middleware,
    Effect.map(makeGate(settings), ({ protect }) => ({
      // The credential that Effect found is left alone: it can't tell a missing one from a malformed or a second one.
      bearer: (httpEffect, { endpoint }) => protect(httpEffect, scopesOf(endpoint))
    }))
  )

/** A route that fails with one of the four errors answers with it. */
const answer = <R>(
  httpEffect: Effect.Effect<HttpServerResponse.HttpServerResponse, HttpSecurityError | Types.unhandled, R>
) => Effect.catchIf(httpEffect, isHttpSecurityError, (error) => HttpServerRespondable.toResponse(error))

/**
 * The same for routes of an `HttpRouter`, by the same settings: what the middleware's `.layer` is provided to is
 * protected, has the principal, and may fail with the four errors.
 */
export const middleware = <P, V, C>(settings: Settings<V, P, C>) =>
  HttpRouter.middleware<{ provides: P; handles: HttpSecurityError }>()(
    Effect.map(makeGate(settings), ({ protect }) => (httpEffect) => answer(protect(httpEffect)))
  )
