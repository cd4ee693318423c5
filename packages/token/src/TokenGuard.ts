/**
 * An HTTP client that attaches a valid token to requests to its origins, and sends no other requests.
 *
 * Each request first obtains a valid token; a 401 replaces it once, and the request is sent again if its body allows it. A guard
 * is a separate service and never provides an `HttpClient`: requests for tokens and keys cannot carry its token by accident, and
 * an application has one guard for each API that it calls.
 */
import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "./AcquiredToken.ts"
import * as DpopKey from "./DpopKey.ts"
import * as GuardOptions from "./GuardOptions.ts"
import { type Binding, boundSource } from "./internal/guard/boundSource.ts"
import { type GuardError, makeClient, makeMarkedClient } from "./internal/guard/client.ts"
import { canonicalGrant, makeGrants } from "./internal/guard/grants.ts"
import { makeRequestPolicies, type RequestPolicies } from "./internal/guard/requestPolicies.ts"
import { makeSendOperation, type SendOperation } from "./internal/guard/sendOperation.ts"
import type { GuardScopes } from "./internal/guard/target.ts"
import * as UrlScope from "./internal/guard/urlScope.ts"
import { contextBreakerStore } from "./internal/provider/contextBreakerStore.ts"
import * as TokenProvider from "./TokenProvider.ts"
import type * as TokenSource from "./TokenSource.ts"

export type { GuardError } from "./internal/guard/client.ts"
export type { SendOutcome, SendOutcomeKind } from "./internal/guard/sendOperation.ts"

/**
 * A guarded client: `get`, `post`, `execute` and everything else that an `HttpClient` has.
 *
 * A request with a path alone goes to the first origin. A request to a URL outside the origins is not sent: it fails with
 * `NetworkError` (`EGRESS_REFUSED`), whose `reason` is `origin`. Without a token a request fails with `TokenProviderError`.
 * Responses of any status are returned, also a second 401; use `HttpClient.filterStatusOk` and the other combinators of
 * `HttpClient` on it.
 */
export interface TokenGuard extends HttpClient.HttpClient.With<GuardError> {
  /** The called service's name in metrics, logs and errors. */
  readonly server: string
  /** The URLs that the token may be sent to. */
  readonly scopes: ReadonlyArray<UrlScope.UrlScope>
  /** The provider of the tokens: status, events, and a forced refresh. */
  readonly provider: TokenProvider.TokenProvider["Service"]
  /**
   * The same client with tokens for another scope or audience, which are acquired and cached separately. The same grant always has
   * the same tokens. A guard holds the tokens of 100 grants and evicts the least recently used ones.
   *
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) if `source` is not a function of the grant, and while tokens of 100 other
   * grants are being acquired.
   */
  readonly scoped: (grant: TokenSource.Grant) => Effect.Effect<TokenGuard, KeelsonError.ConfigurationError>
  /**
   * Sends a request as a named operation and returns its outcome: attempts, time, and the response or the error. Fails only if
   * there is no valid token to start with (`TokenProviderError`); then nothing is sent.
   */
  readonly send: SendOperation
}

/** Options of `make`, beside `name`. */
export interface Options<R = never> extends GuardOptions.Options {
  /** The called service's name in metrics, logs and errors. Default: the id of the `Service`. */
  readonly name?: string | undefined
  /** Where tokens come from: `OAuthClient`, any effect, or a function from scope and audience to one. Required. */
  readonly source: TokenSource.Input<R> | ((grant: TokenSource.Grant) => TokenSource.Input<R>)
  /**
   * The key that tokens are bound to (DPoP, RFC 9449), for instance one of `DpopKey.fromKeyPair` that outlives the process. With a
   * key, `dpop` is `required` unless it is set. Default: with `dpop`, a new ES256 key that lives as long as the guard.
   */
  readonly dpopKey?:
    | DpopKey.DpopKey
    | Effect.Effect<DpopKey.DpopKey, KeelsonError.ConfigurationError, Scope.Scope>
    | undefined
  /** Checks a new token before it is used. If it fails, the attempt to acquire the token fails. Default none. */
  readonly validate?: ((token: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
}

/** What all grants of a guard share. */
interface GuardContext extends GuardOptions.GuardOptions {
  readonly server: string
  readonly client: HttpClient.HttpClient
  readonly scopes: GuardScopes
  readonly policies: RequestPolicies | undefined
  readonly binding: Binding | undefined
}

/** A new client object for each grant, so that combinators of `HttpClient` do not copy the guard's members. */
const makeGuard = (
  guard: GuardContext,
  provider: TokenProvider.TokenProvider["Service"],
  scoped: TokenGuard["scoped"]
): TokenGuard => {
  const context = { ...guard, provider, dpopKey: guard.binding?.key }
  const marked = makeMarkedClient(context)
  return Object.assign(makeClient(context, marked), {
    server: guard.server,
    scopes: guard.scopes.list,
    provider,
    scoped,
    send: makeSendOperation(guard.server, marked, provider)
  })
}

/** The scopes of checked options. */
const scopesOf = ({ allowLocalhost, origins }: GuardOptions.GuardOptions): GuardScopes => {
  const list = origins.map((origin) => Result.getOrThrow(UrlScope.parse(origin, { allowLocalhost })))
  return { list, base: list.slice(0, 1).map(UrlScope.format).join(), allowLocalhost }
}

const contradiction = () =>
  InvalidConfig.option("dpop", "required or preferred beside dpopKey, or left out", {
    message: "Invalid configuration: dpop is off, but there is a dpopKey: leave out one of them"
  })

/** The key of a guard, which lives in its scope. */
const makeBinding = Effect.fnUntraced(function*(
  { dpop }: GuardOptions.GuardOptions,
  dpopKey: Options["dpopKey"] = DpopKey.generate()
) {
  if (dpop === "off") return undefined
  return { key: Effect.isEffect(dpopKey) ? yield* dpopKey : dpopKey, isRequired: dpop === "required" }
})

const makeContext = Effect.fnUntraced(function*(
  server: string,
  options: GuardOptions.GuardOptions,
  dpopKey: Options["dpopKey"]
) {
  const scopes = scopesOf(options)
  const policies = options.resilience === undefined
    ? undefined
    : yield* makeRequestPolicies(server, options.resilience, scopes, yield* contextBreakerStore)
  return {
    ...options,
    server,
    client: yield* HttpClient.HttpClient,
    scopes,
    policies,
    binding: yield* makeBinding(options, dpopKey)
  }
})

const isFunction = <R>(
  source: Options<R>["source"]
): source is (grant: TokenSource.Grant) => TokenSource.Input<R> =>
  !Effect.isEffect(source) && typeof source === "function"

/** The source of a grant. Constructors of sources throw if an option is wrong. */
const sourceFor = <R>(
  source: Options<R>["source"],
  grant: TokenSource.Grant
): Effect.Effect<TokenSource.Input<R>, KeelsonError.ConfigurationError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(isFunction(source) ? source(grant) : source)
    } catch (cause) {
      return cause instanceof KeelsonError.ConfigurationError ? Effect.fail(cause) : Effect.die(cause)
    }
  })

const fixedSource = () =>
  InvalidConfig.option("source", "a function of the scope and audience", {
    message: "This source cannot narrow scopes; pass `(grant) => source`"
  })

/**
 * Creates a guard that lives in the scope. It acquires its first token when a request needs one.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*<R = never>(
  { dpopKey, name, source, validate, ...data }: Options<R> & { readonly name: string }
): Effect.fn.Return<TokenGuard, KeelsonError.ConfigurationError, HttpClient.HttpClient | R | Scope.Scope> {
  if (data.dpop === "off" && dpopKey !== undefined) return yield* Effect.fail(contradiction())
  const options = yield* Configuration.decode(GuardOptions.GuardOptions)(
    dpopKey === undefined ? data : { ...data, dpop: data.dpop ?? "required" }
  )
  const guard = yield* makeContext(name, options, dpopKey)
  const context = yield* Effect.context<R | Scope.Scope>()
  const providerOf = (grant: TokenSource.Grant) =>
    Effect.flatMap(sourceFor(source, grant), (grantSource) => {
      const { acquisition: resilience, policy } = options
      return Effect.updateContext(
        TokenProvider.make({ name, source: boundSource(grantSource, guard.binding), policy, resilience, validate }),
        // The scope of the grant, within that of the guard.
        (own: Context.Context<Scope.Scope>) => Context.merge(context, own)
      )
    })
  const heldProvider = yield* makeGrants(providerOf)
  const scoped: TokenGuard["scoped"] = (input) => {
    if (!isFunction(source)) return Effect.fail(fixedSource())
    const grant = canonicalGrant(input)
    return grant.scope === undefined && grant.audience === undefined
      ? Effect.sync(() => own)
      : Effect.map(heldProvider(grant), (provider) => makeGuard(guard, provider, scoped))
  }
  const own: TokenGuard = makeGuard(guard, yield* providerOf({}), scoped)
  return own
})

/** The service class of a guard, with its layer. */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, TokenGuard> {
  /**
   * The guard as a layer over the application's `HttpClient`, which it does not provide. Options can be an effect that reads them.
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
   */
  readonly layer: <R = never, E = never, R2 = never>(
    options: Options<R> | Effect.Effect<Options<R>, E, R2>
  ) => Layer.Layer<
    Self,
    E | KeelsonError.ConfigurationError,
    HttpClient.HttpClient | Exclude<R | R2, Scope.Scope>
  >
}

/**
 * Defines a guard as a service, one for each API that the application calls.
 *
 * **Example** (Calling an API with a token)
 *
 * ```ts import.meta.vitest
 * import { TokenGuard } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
 *
 * const billing = Billing.layer({
 *   origins: ["https://billing.example"],
 *   // A fixed token instead of `OAuthClient.clientCredentials({ issuer, clientId, auth })`.
 *   source: Effect.succeed({ accessToken: Redacted.make("abc") })
 * })
 *
 * // An API in memory instead of `FetchHttpClient.layer` or `NodeHttpClient.layerUndici`.
 * const api = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"])))
 * )
 * const program = Effect.flatMap(Billing.use((guard) => guard.get("/invoices")), ({ text }) => text)
 * const live = Layer.provide(billing, Layer.succeed(HttpClient.HttpClient, api))
 *
 * await Effect.runPromise(Effect.provide(program, live)) // => "Bearer abc"
 * ```
 */
export const Service = <Self>() => <const Id extends string>(id: Id): ServiceClass<Self, Id> => {
  const tag = Context.Service<Self, TokenGuard>()(id)
  const layer: ServiceClass<Self, Id>["layer"] = (options) =>
    Layer.effect(
      tag,
      Effect.flatMap(Effect.isEffect(options) ? options : Effect.succeed(options), (given) =>
        make({ ...given, name: given.name ?? id }))
    )
  return Object.assign(tag, { layer })
}
