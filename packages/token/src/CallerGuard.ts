/**
 * An HTTP client that calls an API on behalf of the callers of a service. Each caller's token is exchanged for one that the API accepts
 * (RFC 8693, RFC 7523), and kept for that caller alone.
 *
 * It has no token of its own: a request is only sent for a caller, so that code that forgets the caller does not compile.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "./AcquiredToken.ts"
import * as CallerGuardOptions from "./CallerGuardOptions.ts"
import type * as Claims from "./Claims.ts"
import { type CallerGrant, keyOf } from "./internal/delegation/callerKey.ts"
import { type CallerTokens, makeCallerTokens } from "./internal/delegation/callerTokens.ts"
import { type GuardError, makeClient, makeMarkedClient } from "./internal/guard/client.ts"
import { canonicalGrant } from "./internal/guard/grants.ts"
import { makeRequestPolicies, type RequestPolicies } from "./internal/guard/requestPolicies.ts"
import { makeSendOperation, type SendOperation } from "./internal/guard/sendOperation.ts"
import type { GuardScopes } from "./internal/guard/target.ts"
import * as UrlScope from "./internal/guard/urlScope.ts"
import { contextBreakerStore } from "./internal/provider/contextBreakerStore.ts"
import type { TokenProviderError } from "./TokenProviderError.ts"
import type { Deviation, Grant, SubjectSource } from "./TokenSource.ts"

/** The caller of a service: the validated claims of its token. A `Principal` is one, and so is the result of `validate`. */
export interface Caller {
  readonly registered: Pick<Claims.Registered, "exp" | "iss" | "sub">
}

/** A client that sends requests on behalf of one caller: `get`, `post`, `execute` and everything else that an `HttpClient` has. */
export interface CallerClient extends HttpClient.HttpClient.With<GuardError> {
  /** The caller's token for the API, for requests that are not HTTP. Fails with `TokenProviderError`. */
  readonly token: Effect.Effect<AcquiredToken, TokenProviderError>
  /** As `send` of `TokenGuard`. */
  readonly send: SendOperation
}

/** The tokens of a guard at a moment. */
export interface Status {
  /** Callers whose token, or whose rejection, is kept. */
  readonly callers: number
  /** Lookups that memory answered, and others. */
  readonly hits: number
  readonly misses: number
  /** Tokens that were dropped because `capacity` callers were kept. */
  readonly evictions: number
}

/** Calls an API on behalf of callers. */
export interface CallerGuard {
  /** The called service's name in metrics, logs and errors. */
  readonly server: string
  /** The URLs that tokens may be sent to. */
  readonly scopes: ReadonlyArray<UrlScope.UrlScope>
  /**
   * A client that acts for one caller, with the rules of `TokenGuard` for URLs, redirects and a 401. `token` is the caller's token as the
   * service received and validated it, and `caller` its claims. `grant` narrows scope and audience of this client's token.
   *
   * A token is kept for its issuer, subject, the SHA-256 of the caller's token, scope and audience, and ends with the caller's own
   * token at the latest. Requests of one caller share one exchange. A caller that the authorization server rejects fails with
   * `SUBJECT_TOKEN_REJECTED`, for 10 seconds from memory; one whose own token is expired fails with `TOKEN_EXPIRED`.
   */
  readonly onBehalfOf: (token: Redacted.Redacted, caller: Caller, grant?: Grant) => CallerClient
  /** Drops all tokens of a subject, for example when it logs out. Returns how many there were. */
  readonly forget: (issuer: string, subject: string | undefined) => Effect.Effect<number>
  readonly status: Effect.Effect<Status>
}

/** Options of `make`, beside `name`. */
export interface Options<R = never> extends CallerGuardOptions.Options {
  /** The called service's name in metrics, logs and errors. Default: the id of the `Service`. */
  readonly name?: string | undefined
  /** How a caller's token is exchanged: `OAuthClient.tokenExchange` or `OAuthClient.jwtBearer`. Required. */
  readonly source: SubjectSource<R>
}

/** Adds a deadline if there is no time limit: all requests of a caller wait for one exchange. */
const withDeadline = (options: ResiliencePolicy.Options = {}): ResiliencePolicy.Options =>
  options.deadline === undefined && options.attemptTimeout === undefined
    ? { ...options, deadline: "1 minute" }
    : options

/** The scopes of checked options. */
const scopesOf = ({ allowLocalhost, origins }: CallerGuardOptions.CallerGuardOptions): GuardScopes => {
  const list = origins.map((origin) => Result.getOrThrow(UrlScope.parse(origin, { allowLocalhost })))
  return { list, base: list.slice(0, 1).map(UrlScope.format).join(), allowLocalhost }
}

/** What the clients of a guard share. */
interface GuardContext {
  readonly server: string
  readonly client: HttpClient.HttpClient
  readonly scopes: GuardScopes
  readonly maxRedirects: number
  readonly policies: RequestPolicies | undefined
  readonly tokens: CallerTokens
}

/** The client of one caller. Its key is computed with its first request. */
const makeCallerClient = ({ server, tokens, ...guard }: GuardContext, caller: CallerGrant): CallerClient => {
  let known: string | undefined
  const withKey = <A>(use: (key: string) => Effect.Effect<A, TokenProviderError>) =>
    Effect.suspend(() =>
      known === undefined
        ? Effect.flatMap(keyOf(caller), (key) => {
          known = key
          return use(key)
        })
        : use(known)
    )
  const provider = {
    get: withKey((key) => tokens.get(key, caller)),
    replace: (rejected: AcquiredToken) => withKey((key) => tokens.replace(key, caller, rejected))
  }
  // Tokens of callers are bearer tokens.
  const context = { ...guard, provider, dpopKey: undefined }
  const marked = makeMarkedClient(context)
  return Object.assign(makeClient(context, marked), {
    token: provider.get,
    send: makeSendOperation(server, marked, provider)
  })
}

/** Retries, breaker and time limits of the exchanges. All callers share them: an outage concerns all. */
const makeExchangeResilience = Effect.fnUntraced(function*(
  server: string,
  options: ResiliencePolicy.Options | undefined,
  store: BreakerStore.BreakerStore["Service"]
) {
  const policy = yield* Configuration.decode(ResiliencePolicy.ResiliencePolicy)(withDeadline(options))
  return yield* Effect.provideService(Resilience.make(server, policy), BreakerStore.BreakerStore, store)
})

/**
 * Creates a guard that lives in the scope.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*<R = never>(
  { name: server, source, ...data }: Options<R> & { readonly name: string }
): Effect.fn.Return<CallerGuard, KeelsonError.ConfigurationError, HttpClient.HttpClient | R | Scope.Scope> {
  const options = yield* Configuration.decode(CallerGuardOptions.CallerGuardOptions)(data)
  const { acquisition, capacity, defaultLifetime, maxRedirects } = options
  const scopes = scopesOf(options)
  const store = yield* contextBreakerStore
  // First, so that the series are removed last.
  yield* MetricSeries.removeWithServer(server)
  const resilience = yield* makeExchangeResilience(server, acquisition, store)
  const exchanges = { server, source, resilience, defaultLifetime, deviations: new Set<Deviation["member"]>() }
  const tokens = yield* makeCallerTokens(exchanges, capacity)
  const { counts } = tokens
  yield* MetricSeries.register("cacheHits", { server }, () => counts.hits)
  yield* MetricSeries.register("cacheMisses", { server }, () => counts.misses)
  yield* MetricSeries.register("callerTokenEvictions", { server }, () => counts.evictions)
  const policies = options.resilience === undefined
    ? undefined
    : yield* makeRequestPolicies(server, options.resilience, scopes, store)
  const guard = { server, scopes, maxRedirects, policies, tokens, client: yield* HttpClient.HttpClient }
  return {
    server,
    scopes: scopes.list,
    onBehalfOf: (token, { registered: { exp, iss, sub } }, grant = {}) =>
      makeCallerClient(guard, { token, issuer: iss, subject: sub, expiresAt: exp, grant: canonicalGrant(grant) }),
    forget: (issuer, subject) => Effect.sync(() => tokens.forget({ issuer, subject })),
    status: Effect.sync(() => ({ callers: tokens.size(), ...counts }))
  }
})

/** The service class of a guard, with its layer. */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, CallerGuard> {
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
 * Defines a guard as a service, one for each API that the application calls on behalf of its callers.
 *
 * **Example** (Calling an API on behalf of the caller)
 *
 * ```ts import.meta.vitest
 * import { CallerGuard } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Billing extends CallerGuard.Service<Billing>()("app/Billing") {}
 *
 * const billing = Billing.layer({
 *   origins: ["https://billing.example"],
 *   // Instead of `OAuthClient.tokenExchange({ issuer, clientId, auth, audience: "billing" })`.
 *   source: {
 *     acquireFor: (token) => Effect.succeed({ accessToken: Redacted.make(`billing-${Redacted.value(token)}`) }),
 *     isRetryable: () => false
 *   }
 * })
 *
 * // An API in memory instead of `FetchHttpClient.layer` or `NodeHttpClient.layerUndici`.
 * const api = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"])))
 * )
 * const live = Layer.provide(billing, Layer.succeed(HttpClient.HttpClient, api))
 *
 * // In a handler `caller` is the principal, and `token` the token of the request.
 * const caller = { registered: { iss: "https://idp.example", sub: "ada", exp: 4000000000 } }
 * const token = Redacted.make("of-ada")
 * const program = Billing.use((guard) => guard.onBehalfOf(token, caller).get("/invoices"))
 *
 * await Effect.runPromise(Effect.provide(Effect.flatMap(program, ({ text }) => text), live)) // => "Bearer billing-of-ada"
 * ```
 */
export const Service = <Self>() => <const Id extends string>(id: Id): ServiceClass<Self, Id> => {
  const tag = Context.Service<Self, CallerGuard>()(id)
  const layer: ServiceClass<Self, Id>["layer"] = (options) =>
    Layer.effect(
      tag,
      Effect.flatMap(Effect.isEffect(options) ? options : Effect.succeed(options), (given) =>
        make({ ...given, name: given.name ?? id }))
    )
  return Object.assign(tag, { layer })
}
