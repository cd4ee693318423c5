import * as Context from "effect/Context"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as OpenApi from "effect/http-api/OpenApi"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { checkedScopes, type NonEmpty } from "../../Principal.ts"

/** The scopes that an endpoint needs, as an annotation of it. */
class RequiredScopes extends Context.Service<RequiredScopes, NonEmpty>()("@keelson/token/RequiredScopes") {}

/** The scopes that were asked for an endpoint. */
export const scopesOf = ({ annotations }: Pick<HttpApiEndpoint.Top, "annotations">): NonEmpty | undefined =>
  Context.getOrUndefined(annotations, RequiredScopes)

type Spec = Readonly<Record<string, unknown>>

/** Names scopes where an operation asks for a bearer token, which OpenAPI 3.1 allows for any scheme. */
const showing = (scopes: NonEmpty) => (operation: Spec): Spec => ({
  ...operation,
  security: Array.isArray(operation["security"])
    ? operation["security"].map((one: unknown) =>
      Predicate.hasProperty(one, "bearer") ? { ...one, bearer: scopes } : one
    )
    : operation["security"]
})

/** Annotations of an endpoint that asks for these scopes, beside those that it asks for already. */
const annotationsFor = (known: Context.Context<never>, more: NonEmpty) => {
  const [first, ...rest] = new Set([...(Context.getOrUndefined(known, RequiredScopes) ?? []), ...more])
  const scopes = checkedScopes([first ?? more[0], ...rest])
  const own = Context.getOrUndefined(known, OpenApi.Transform)
  const show = showing(scopes)
  return Context.make(RequiredScopes, scopes).pipe(
    Context.add(OpenApi.Transform, own === undefined ? show : (operation) => show(own(operation)))
  )
}

/** Puts a middleware on an endpoint, and asks for scopes there: one is of no use without the other. */
export const withScopes = <I extends HttpApiMiddleware.AnyId, S>(security: Context.Key<I, S>, scopes: NonEmpty) =>
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
