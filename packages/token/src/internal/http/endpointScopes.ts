import * as Context from "effect/Context"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as OpenApi from "effect/http-api/OpenApi"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { checkScopes, type Scopes } from "./scopes.ts"

/** The annotation of an endpoint with the scopes that it requires. */
class RequiredScopes extends Context.Service<RequiredScopes, Scopes>()("@keelson/token/RequiredScopes") {}

/** The scopes that an endpoint requires. */
export const scopesOf = ({ annotations }: Pick<HttpApiEndpoint.Top, "annotations">): Scopes | undefined =>
  Context.getOrUndefined(annotations, RequiredScopes)

type Spec = Readonly<Record<string, unknown>>

/** Adds scopes to the bearer scheme of an operation, which OpenAPI 3.1 allows for any scheme. */
const addScopes = (scopes: Scopes) => (operation: Spec): Spec => ({
  ...operation,
  security: Array.isArray(operation["security"])
    ? operation["security"].map((one: unknown) =>
      Predicate.hasProperty(one, "bearer") ? { ...one, bearer: scopes } : one
    )
    : operation["security"]
})

/** Annotations of an endpoint for scopes in addition to those that it already requires. */
const annotationsFor = (existing: Context.Context<never>, more: Scopes) => {
  const [first, ...rest] = new Set([...(Context.getOrUndefined(existing, RequiredScopes) ?? []), ...more])
  const scopes = checkScopes([first ?? more[0], ...rest])
  const own = Context.getOrUndefined(existing, OpenApi.Transform)
  const transform = addScopes(scopes)
  return Context.make(RequiredScopes, scopes).pipe(
    Context.add(OpenApi.Transform, own === undefined ? transform : (operation) => transform(own(operation)))
  )
}

/** Adds a middleware to an endpoint, together with the scopes that it requires there. */
export const withScopes = <I extends HttpApiMiddleware.AnyId, S>(security: Context.Key<I, S>, scopes: Scopes) =>
<
  Identifier extends string,
  Method extends HttpMethod.HttpMethod,
  Path extends string,
  Params extends Schema.Top,
  Query extends Schema.Top,
  Payload extends Schema.Top,
  Headers extends Schema.Top,
  Success extends Schema.Top,
  Error extends Schema.Top,
  Middleware,
  Services
>(
  endpoint: HttpApiEndpoint.HttpApiEndpoint<
    Identifier,
    Method,
    Path,
    Params,
    Query,
    Payload,
    Headers,
    Success,
    Error,
    Middleware,
    Services
  >
) => endpoint.middleware(security).annotateMerge(annotationsFor(endpoint.annotations, scopes))
