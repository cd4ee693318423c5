/**
 * A client for a protected resource whose authorization server is found by the resource's metadata, and whose token gets more
 * scopes when the resource asks for them: for agents that call MCP servers.
 *
 * It is a `TokenGuard` with three additions: `ResourceDiscovery` finds the token endpoint, token requests name the `resource`, and a
 * challenge for scopes has the call sent again with a token for these scopes and all that were requested before.
 *
 * @see RFC 9728; RFC 8707; MCP 2026-07-28, Step-Up Authorization Flow
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import type { Egress } from "@keelson/jwks/Egress"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type { ClientAuth } from "./ClientAuth.ts"
import type * as GuardOptions from "./GuardOptions.ts"
import { ScopeText } from "./internal/http/scopeSchema.ts"
import { SteppedScopes, type StepUpError } from "./internal/resource/stepUp.ts"
import * as OAuthClient from "./OAuthClient.ts"
import * as ResourceDiscovery from "./ResourceDiscovery.ts"
import * as TokenGuard from "./TokenGuard.ts"
import * as TokenSource from "./TokenSource.ts"

export type { StepUpError } from "./internal/resource/stepUp.ts"

/** A client's registration at one authorization server. */
export interface Registration {
  /** The issuer, as the metadata of the resource name it, character by character. Required. */
  readonly issuer: string
  /** The client's id at this server. Required. */
  readonly clientId: string
  /** How the client authenticates to this server. Required. */
  readonly auth: ClientAuth
}

/** Options of step-ups. Each may be left out. */
export interface StepUpOptions {
  /**
   * The scopes of the first token. Without it: those of the resource's challenge, else `scopes_supported` of its metadata, each
   * only if `allowedScopes` has it. At most 64 scopes. Default none.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * The scopes that the resource may have this client request. A challenge for any other is returned to the caller. Without it, the
   * resource may ask for any. Default none.
   */
  readonly allowedScopes?: ReadonlyArray<string> | undefined
  /** How often one call is sent again with a token for more scopes. From 0 to 5. Default 2. */
  readonly maxStepUps?: number | undefined
}

const Scopes = Schema.Array(ScopeText)

/** Checked options of step-ups. */
export const StepUp = Schema.Struct({
  scopes: Schema.optionalKey(Scopes.check(Schema.isMaxLength(64, { expected: "a list of at most 64 scopes" }))),
  allowedScopes: Schema.optionalKey(Scopes),
  maxStepUps: Field.defaulted(Field.int(0, 5), 2)
})

/** Options of `make`, beside `name`. */
export interface Options extends StepUpOptions, GuardOptions.RequestOptions {
  /** The called service's name in metrics, logs and errors. Default: the id of the `Service`. */
  readonly name?: string | undefined
  /** The resource's identifier, as its metadata name it. Required. */
  readonly resource: string
  /** The client's registrations. Its secrets are sent to these servers only, whatever the metadata say. From 1 to 16. Required. */
  readonly clients: ReadonlyArray<Registration>
  /** Where the token may be sent; see `GuardOptions`. Default: the resource, and everything below it. */
  readonly origins?: ReadonlyArray<string> | undefined
  /** How the metadata are fetched. Default: the defaults of `ResourceDiscovery`. */
  readonly discovery?: Pick<ResourceDiscovery.Options, "lifetime" | "maxBytes" | "requestTimeout"> | undefined
}

/** A guarded client for one resource. */
export interface ResourceGuard extends HttpClient.HttpClient.With<StepUpError> {
  /** The guard of the first token: its provider, and `send`, which do not step up. */
  readonly guard: TokenGuard.TokenGuard
  /** Finds the authorization server. */
  readonly discovery: ResourceDiscovery.ResourceDiscovery
  /** The scopes that the next token is requested for. Empty before the first request. */
  readonly requestedScopes: Effect.Effect<ReadonlyArray<string>>
}

const stepUpNames = Struct.keys(StepUp.fields)

/** The scopes of the first token. */
const initialScopes = (
  { allowedScopes, scopes }: typeof StepUp.Type,
  found: ResourceDiscovery.DiscoveredResource | undefined
): ReadonlyArray<string> =>
  scopes ?? (found?.scopes ?? []).filter((scope) => allowedScopes === undefined || allowedScopes.includes(scope))

/** The statuses with which a server says that its token endpoint is not at this URL any more. */
const goneStatuses: ReadonlySet<unknown> = new Set([404, 405, 410])

/** Whether there is no token endpoint any more where the metadata said. */
const isGone = (error: unknown): boolean =>
  Predicate.hasProperty(error, "details") && Predicate.hasProperty(error.details, "status") &&
  goneStatuses.has(error.details.status)

/**
 * Creates a guard for a resource in the scope. It sends nothing before the first request.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*(
  { clients, discovery: discoveryOptions, name, origins, resource, ...options }: Options & { readonly name: string }
): Effect.fn.Return<
  ResourceGuard,
  KeelsonError.ConfigurationError,
  Egress | HttpClient.HttpClient | Scope.Scope
> {
  const stepUp = yield* Configuration.decode(StepUp)(Struct.pick(options, stepUpNames))
  const { allowLocalhost } = options
  const discovery = yield* ResourceDiscovery.make({
    ...discoveryOptions,
    resource,
    issuers: clients.map(({ issuer }) => issuer),
    ...(allowLocalhost === undefined ? undefined : { allowLocalhost })
  })
  let found: ResourceDiscovery.DiscoveredResource | undefined
  const acquire = (grant: TokenSource.Grant) =>
    Effect.flatMap(discovery.discover, (current) => {
      found = current
      const client = clients.find(({ issuer }) => issuer === current.issuer)
      // The discovery returns an issuer of the clients.
      if (client === undefined) return Effect.die(new Error("ResourceGuard without a client"))
      const scope = grant.scope ?? initialScopes(stepUp, current).join(" ")
      return OAuthClient.clientCredentials({
        issuer: client.issuer,
        tokenEndpoint: current.tokenEndpoint,
        clientId: client.clientId,
        auth: client.auth,
        resource,
        ...(scope === "" ? undefined : { scope }),
        ...(allowLocalhost === undefined ? undefined : { allowLocalhost })
      }).acquire
    }).pipe(Effect.tapError((error) => Effect.sync(() => isGone(error) && discovery.expire())))
  const guard = yield* TokenGuard.make({
    ...Struct.omit(options, stepUpNames),
    name,
    origins: origins ?? [resource],
    source: (grant) => TokenSource.fromEffect(acquire(grant))
  })
  const scopes = new SteppedScopes(
    guard,
    {
      maxStepUps: stepUp.maxStepUps,
      allowedScopes: stepUp.allowedScopes === undefined ? undefined : new Set(stepUp.allowedScopes)
    },
    () => initialScopes(stepUp, found)
  )
  const client = HttpClient.makeWith<never, never, StepUpError, never>(
    Effect.flatMap((request) => scopes.execute(request)),
    Effect.succeed
  )
  return Object.assign(client, { guard, discovery, requestedScopes: Effect.sync(() => scopes.requested) })
})

/**
 * The guard as an `HttpClient`, for libraries that require one, such as `McpClient.layerHttp`. All failures are an
 * `HttpClientError`, whose cause is the guard's error. Provide it to these libraries only: it carries a token.
 */
export const toHttpClient = (guard: ResourceGuard): HttpClient.HttpClient =>
  HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) =>
      Effect.mapError(
        guard.execute(request),
        (cause) =>
          HttpClientError.isHttpClientError(cause) ? cause : new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause, description: cause.message })
          })
      )
    ),
    Effect.succeed
  )

/** The service class of a guard for a resource, with its layer. */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, ResourceGuard> {
  /**
   * The guard as a layer over the application's `HttpClient`, and an `Egress` for the metadata. Options can be an effect that reads
   * them. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
   */
  readonly layer: <E = never, R = never>(
    options: Options | Effect.Effect<Options, E, R>
  ) => Layer.Layer<
    Self,
    E | KeelsonError.ConfigurationError,
    Egress | HttpClient.HttpClient | Exclude<R, Scope.Scope>
  >
}

/**
 * Defines a guard for a protected resource as a service.
 *
 * **Example** (An agent that calls an MCP server)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress } from "@keelson/jwks"
 * import { ClientAuth, ResourceGuard } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { McpClient, McpProtocol } from "effect/ai"
 * import { FetchHttpClient, HttpClient } from "effect/http"
 *
 * class Files extends ResourceGuard.Service<Files>()("agent/Files") {}
 *
 * const url = "https://files.example/mcp"
 * const files = Files.layer({
 *   resource: url,
 *   clients: [{ issuer: "https://idp.example", clientId: "agent", auth: ClientAuth.secretBasic(Redacted.make("secret")) }],
 *   allowedScopes: ["files:read", "files:write"]
 * })
 * const mcp = McpClient.layerHttp({ name: "agent", version: "1.0.0", protocol: McpProtocol.v2026_07_28, url }).pipe(
 *   Layer.provide(Layer.effect(HttpClient.HttpClient, Effect.map(Files, ResourceGuard.toHttpClient))),
 *   Layer.provide(files),
 *   Layer.provide([FetchHttpClient.layer, FetchEgress.layer({ allowedHosts: ["files.example", "idp.example"] })])
 * )
 * Layer.isLayer(mcp) // => true
 * ```
 */
export const Service = <Self>() => <const Id extends string>(id: Id): ServiceClass<Self, Id> => {
  const tag = Context.Service<Self, ResourceGuard>()(id)
  const layer: ServiceClass<Self, Id>["layer"] = (options) =>
    Layer.effect(
      tag,
      Effect.flatMap(Effect.isEffect(options) ? options : Effect.succeed(options), (given) =>
        make({ ...given, name: given.name ?? id }))
    )
  return Object.assign(tag, { layer })
}
