/**
 * An HTTP client that carries a valid token to its own origins, and nowhere else.
 *
 * Every request first sees that there is a valid token; a 401 has it replaced once, and the request sent again if it can
 * be. A guard is a service of its own and never the `HttpClient`: requests for tokens and keys can't get its token by
 * accident, and one application has as many guards as it calls services.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "./AcquiredToken.ts"
import * as GuardOptions from "./GuardOptions.ts"
import { type GuardError, makeClient, makeRaw } from "./internal/guard/client.ts"
import { type Dispatch, makeDispatch } from "./internal/guard/dispatch.ts"
import { type Grant, makeGrants } from "./internal/guard/grants.ts"
import type { Scopes } from "./internal/guard/target.ts"
import { breakerStore } from "./internal/provider/breakerStore.ts"
import * as TokenProvider from "./TokenProvider.ts"
import type { TokenProviderError } from "./TokenProviderError.ts"
import type * as TokenSource from "./TokenSource.ts"
import * as UrlScope from "./UrlScope.ts"

export type { GuardError } from "./internal/guard/client.ts"
export type { Dispatch, Kind, Outcome } from "./internal/guard/dispatch.ts"
export type { Grant } from "./internal/guard/grants.ts"

/**
 * A guarded client: `get`, `post`, `execute` and all that an `HttpClient` has.
 *
 * A path alone is below the first origin. A request elsewhere is not sent: it fails with `NetworkError` (`EGRESS_REFUSED`,
 * its `reason` being `origin` where the URL is good but not one of the guard's). Where there is no token it fails with
 * `TokenProviderError`. Answers of any status are handed on, a 401 after its replay too; `HttpClient.filterStatusOk` and all other
 * combinators work on it.
 */
export interface TokenGuard extends HttpClient.HttpClient.With<GuardError> {
  /** What the called service is named in metrics, logs and errors. */
  readonly server: string
  /** Where the token may go. */
  readonly scopes: ReadonlyArray<UrlScope.UrlScope>
  /** The tokens: their state, events, and a refresh by hand. */
  readonly provider: TokenProvider.Shape
  /**
   * The same client with tokens for another scope or audience, which are acquired and kept apart. Asking twice for the same
   * gives the same tokens.
   *
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) where the `source` is not a function of the grant, and above 100.
   */
  readonly scoped: (grant: Grant) => Effect.Effect<TokenGuard, KeelsonError.ConfigurationError>
  /** Sends named operations. It exists only with a valid token: without one this fails with `TokenProviderError`. */
  readonly dispatch: Effect.Effect<Dispatch, TokenProviderError>
}

/** What `make` takes: where the token may go, and where tokens come from. */
export interface Options<R = never> extends GuardOptions.Options {
  /** What the called service is named in metrics, logs and errors. Default: the name of the tag. */
  readonly name?: string | undefined
  /** Where tokens come from: `OAuthClient`, any effect, or a function that gives one for a scope or audience. */
  readonly source: TokenSource.Input<R> | ((grant: Grant) => TokenSource.Input<R>)
  /** Checks a token before it is used; where this fails, so does the attempt to get it. */
  readonly validate?: ((envelope: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
}

/** Everything a guard is made of but the grant of its tokens. */
interface Parts extends GuardOptions.GuardOptions {
  readonly server: string
  readonly client: HttpClient.HttpClient
  readonly scopes: Scopes
  readonly requests: Resilience.Resilience | undefined
}

/** A client is an object of its own, so that what a guard has besides does not go along with what is made of it. */
const clientOf = (
  parts: Parts,
  provider: TokenProvider.Shape,
  scoped: TokenGuard["scoped"]
): TokenGuard => {
  const wiring = { ...parts, provider, resilience: parts.requests }
  const raw = makeRaw(wiring)
  const dispatch = makeDispatch(parts.server, raw)
  return Object.assign(makeClient(wiring, raw), {
    server: parts.server,
    scopes: parts.scopes.list,
    provider,
    scoped,
    dispatch: Effect.as(provider.get, dispatch)
  })
}

/** The scopes of options that were checked. */
const scopesOf = ({ allowLocalhost, origins }: GuardOptions.GuardOptions): Scopes => {
  const list = origins.map((origin) => Result.getOrThrow(UrlScope.parse(origin, { allowLocalhost })))
  return { list, base: list.slice(0, 1).map(UrlScope.format).join(), allowLocalhost }
}

const partsOf = Effect.fnUntraced(function*(server: string, options: GuardOptions.GuardOptions) {
  const requests = options.resilience === undefined ? undefined : yield* Effect.provideService(
    // Circuits go by name: that of the requests is not the one of the acquisitions.
    Resilience.make(`${server}/requests`, options.resilience),
    BreakerStore.BreakerStore,
    yield* breakerStore
  )
  const client = yield* HttpClient.HttpClient
  return { ...options, server, client, scopes: scopesOf(options), requests }
})

const isGranted = <R>(source: Options<R>["source"]): source is (grant: Grant) => TokenSource.Input<R> =>
  !Effect.isEffect(source) && typeof source === "function"

/** What makes a source checks its options, and throws what is wrong with them. */
const sourceFor = <R>(
  source: Options<R>["source"],
  grant: Grant
): Effect.Effect<TokenSource.Input<R>, KeelsonError.ConfigurationError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(isGranted(source) ? source(grant) : source)
    } catch (cause) {
      return cause instanceof KeelsonError.ConfigurationError ? Effect.fail(cause) : Effect.die(cause)
    }
  })

const notGranted = new KeelsonError.ConfigurationError({
  code: "INVALID_CONFIG",
  message: "The source of the guard has one scope only: give a function of the scope and audience",
  details: { path: "source", expected: "a function of the scope and audience" }
})

/**
 * A guard that lives in the scope. Nothing is acquired before a request needs it.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*<R = never>(
  { name, source, validate, ...data }: Options<R> & { readonly name: string }
): Effect.fn.Return<TokenGuard, KeelsonError.ConfigurationError, HttpClient.HttpClient | R | Scope.Scope> {
  const options = yield* GuardOptions.decode(data)
  const parts = yield* partsOf(name, options)
  const context = yield* Effect.context<R | Scope.Scope>()
  const scoped = makeGrants((grant) =>
    Effect.flatMap(sourceFor(source, grant), (own) => {
      const { acquisition: resilience, policy } = options
      const provider = TokenProvider.make({ name, source: own, policy, resilience, validate })
      return Effect.map(Effect.provideContext(provider, context), (made) => clientOf(parts, made, narrowed))
    })
  )
  const narrowed: TokenGuard["scoped"] = (grant) => isGranted(source) ? scoped(grant) : Effect.fail(notGranted)
  return yield* scoped({})
})

/** A guard's tag, with its layer. */
export interface ServiceClass<Self, Id extends string, R> extends Context.ServiceClass<Self, Id, TokenGuard> {
  /** The guard, by the options of the tag. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
  readonly layer: Layer.Layer<Self, KeelsonError.ConfigurationError, HttpClient.HttpClient | Exclude<R, Scope.Scope>>
  /** The guard, by other options, which may be read from somewhere. */
  readonly layerWith: <R2 = never, E = never, R3 = never>(
    options: Options<R2> | Effect.Effect<Options<R2>, E, R3>
  ) => Layer.Layer<
    Self,
    E | KeelsonError.ConfigurationError,
    HttpClient.HttpClient | Exclude<R2 | R3, Scope.Scope>
  >
}

/**
 * A guard as a service of its own:
 *
 * `class Billing extends TokenGuard.Service<Billing>()("app/Billing", { origins, source }) {}`
 *
 * `Billing.layer` is built over the application's `HttpClient`, and does not provide one.
 */
export const Service =
  <Self>() => <const Id extends string, R = never>(id: Id, options: Options<R>): ServiceClass<Self, Id, R> => {
    const tag = Context.Service<Self, TokenGuard>()(id)
    const layerWith: ServiceClass<Self, Id, R>["layerWith"] = (given) =>
      Layer.effect(
        tag,
        Effect.flatMap(Effect.isEffect(given) ? given : Effect.succeed(given), (own) =>
          make({ ...own, name: own.name ?? id }))
      )
    return Object.assign(tag, { layer: layerWith(options), layerWith })
  }
