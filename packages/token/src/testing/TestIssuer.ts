/**
 * An issuer for tests of your own application: it mints the tokens that your validator accepts, and those that it must reject, and
 * serves its keys in memory or over HTTP.
 *
 * Times in tokens come from Effect's `Clock`: under `TestClock`, tokens expire when the test says so.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Egress from "@keelson/jwks/Egress"
import * as JwksCache from "@keelson/jwks/JwksCache"
import * as KeySource from "@keelson/jwks/KeySource"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { makeEgress, makeHttpClient } from "../internal/issuer/clients.ts"
import { makeIssuer } from "../internal/issuer/issuer.ts"
import { makeHandler } from "../internal/issuer/server.ts"
import { TokenHttpClient } from "../TokenHttpClient.ts"
import type * as ValidationPolicy from "../ValidationPolicy.ts"

/**
 * What is wrong with a token. A validator rejects each:
 *
 * - `expired`, `notYetValid` (`nbf`), `issuedInFuture` (`iat`): an hour off, more than any clock tolerance;
 * - `wrongIssuer`, `wrongAudience`, `wrongType`: another `iss`, audience or `typ`;
 * - `wrongKey`: signed with another key under the `kid` of the issuer's; `unknownKey`: another key and `kid`;
 * - `tampered`: another `sub` than the signed one; `unsigned`: `alg` is `none`;
 * - `publicKeyAsSecret`: signed by HS256 with the public key as the secret; `malformed`: no token at all.
 */
export type TokenFault =
  | "expired"
  | "notYetValid"
  | "issuedInFuture"
  | "wrongIssuer"
  | "wrongAudience"
  | "wrongType"
  | "wrongKey"
  | "unknownKey"
  | "tampered"
  | "unsigned"
  | "publicKeyAsSecret"
  | "malformed"

/** What is wrong with a logout token, in addition: no logout event, a `nonce`, neither `sub` nor `sid`. */
export type LogoutTokenFault = "withoutEvent" | "withNonce" | "withoutSubject"

/** A response that comes late. */
export interface Delay {
  /** How late, by Effect's clock. Required. */
  readonly delay: Duration.Input
}

/**
 * How the issuer's endpoints fail:
 *
 * - `down`: the connection breaks; `hang`: no response; `error`: a 500; `garbage`: a 200 with HTML;
 * - `noKeys`: a key set without keys, and no effect on other endpoints;
 * - `{ delay }`: the response comes later, by Effect's clock.
 */
export type ServerFault = "down" | "hang" | "error" | "garbage" | "noKeys" | Delay

/** An endpoint of the issuer: discovery documents, key set, token endpoint. */
export type Endpoint = "metadata" | "keys" | "token"

/** Claims that replace those of a valid token. `undefined` leaves a claim out. */
export interface TokenClaims {
  readonly [claim: string]: unknown
  readonly sub?: string | undefined
  readonly scope?: string | undefined
}

/** How a logout token is minted. */
export interface LogoutTokenOptions {
  /** What is wrong with the token. Default none. */
  readonly fault?: TokenFault | LogoutTokenFault | undefined
  /** From `iat` to `exp`. Default 2 minutes. */
  readonly lifetime?: Duration.Input | undefined
  /** Members that replace those of the header. Default none. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
}

/** How a token is minted. */
export interface TokenOptions extends Omit<LogoutTokenOptions, "fault"> {
  /** What is wrong with the token. Default none. */
  readonly fault?: TokenFault | undefined
  /** From `iat` to `exp`. Default 5 minutes. */
  readonly lifetime?: Duration.Input | undefined
  /** The access token whose hash is the `at_hash` of an ID token. Default none. */
  readonly accessToken?: string | undefined
  /** The authorization code whose hash is the `c_hash` of an ID token. Default none. */
  readonly code?: string | undefined
}

/** A client of the token endpoint. */
export interface Client {
  /** Its `client_id`. Required. */
  readonly id: string
  /** Its `client_secret`. Required. */
  readonly secret: string
}

/** Options of an issuer. */
export interface Options {
  /**
   * The policy of the validator under test: tokens have its issuer, audience, algorithm, type and required claims. Of lists, the
   * first is used. Without `issuers`, the issuer is `https://issuer.example`, or the URL of the server. Required.
   */
  readonly policy: Omit<ValidationPolicy.Options, "issuers"> & Partial<Pick<ValidationPolicy.Options, "issuers">>
  /** Claims of every token, such as those that your claims schema requires. Default none. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** The client that gets tokens from the token endpoint. Default: `test-client`, with the secret `test-secret`. */
  readonly client?: Client | undefined
  /** How all endpoints fail from the start. Default none. */
  readonly fault?: ServerFault | undefined
}

/** An issuer for tests. */
export class TestIssuer extends Context.Service<TestIssuer, {
  /** The `iss` of its tokens. */
  readonly issuer: string
  /** A policy that accepts its tokens: the one given, with the issuer. */
  readonly policy: ValidationPolicy.Options
  /** Mints a token that the policy accepts, or that has one fault. */
  readonly token: (claims?: TokenClaims, options?: TokenOptions) => Effect.Effect<string>
  /** Mints a logout token for `BackChannelLogout`; by default for the subject of `token`. */
  readonly logoutToken: (
    claims?: TokenClaims & { readonly sid?: string | undefined },
    options?: LogoutTokenOptions
  ) => Effect.Effect<string>
  /**
   * Signs with a new key from now on, and publishes it. `withdraw` removes the old keys from the key set; a cache trusts them until
   * it fetches the set again, as in production. Default: old keys stay published.
   */
  readonly rotateKey: (options?: { readonly withdraw?: boolean | undefined }) => Effect.Effect<void>
  /** The published key set, for a server of your own. */
  readonly keySet: Effect.Effect<{ readonly keys: ReadonlyArray<Readonly<Record<string, unknown>>> }>
  /** Sets how one endpoint fails from now on, or all of them; `undefined` ends it. */
  readonly setFault: (fault: ServerFault | undefined, endpoint?: Endpoint) => Effect.Effect<void>
  /** How many requests each endpoint received. */
  readonly requests: Effect.Effect<Readonly<Record<Endpoint, number>>>
}>()("@keelson/token/testing/TestIssuer") {}

/**
 * An issuer in memory, with all that reaches it: a `KeySource` for validators, an `Egress` for key sets and discovery of your own,
 * and the client of token requests. Nothing is sent over a network.
 *
 * The `KeySource` caches keys as in production, and fetches them at the first token: a fault that is set before then is a 503. The
 * `Egress` serves the key set at any URL that is not one of metadata; the client of token requests, tokens at any URL.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (Tokens that are accepted, and one that is not)
 *
 * ```ts import.meta.vitest
 * import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
 * import { TestIssuer } from "@keelson/token/testing"
 * import { Effect, Layer } from "effect"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 * const policy = ValidationPolicy.accessToken({
 *   issuers: ["https://idp.example"],
 *   audiences: ["api"],
 *   algorithms: ["ES256"]
 * })
 * const TestLayer = Layer.provideMerge(Tokens.layer(policy), TestIssuer.layer({ policy }))
 *
 * const program = Effect.gen(function*() {
 *   const { token } = yield* TestIssuer.TestIssuer
 *   const { validate } = yield* Tokens
 *   const { claims } = yield* validate(yield* token({ sub: "ada", scope: "reports:read" }))
 *   const error = yield* Effect.flip(validate(yield* token({}, { fault: "expired" })))
 *   return [claims.sub, error.code]
 * })
 * await Effect.runPromise(Effect.provide(program, TestLayer)) // => ["ada", "TOKEN_EXPIRED"]
 * ```
 */
export const layer = (
  options: Options
): Layer.Layer<TestIssuer | KeySource.KeySource | Egress.Egress, KeelsonError.ConfigurationError> =>
  Layer.effectContext(inMemory(options))

const inMemory = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  Context.Context<TestIssuer | KeySource.KeySource | Egress.Egress>,
  KeelsonError.ConfigurationError,
  Scope.Scope
> {
  const { service, sourceName, state } = yield* makeIssuer(options)
  const egress = makeEgress(state)
  const cache = yield* JwksCache.make({ issuer: sourceName, url: "https://issuer.example/jwks", prefetch: false }).pipe(
    Effect.provideService(Egress.Egress, egress),
    // The egress refuses no URL.
    Effect.catchTag("NetworkError", Effect.die)
  )
  return Context.make(TestIssuer, service).pipe(
    Context.add(KeySource.KeySource, cache.keySource),
    Context.add(Egress.Egress, egress),
    Context.add(TokenHttpClient, makeHttpClient(state))
  )
})

/**
 * An issuer on the `HttpServer` of this layer: discovery documents, key set and token endpoint, at the URL of the server, for tests
 * over real connections. Give the application under test `issuer` and `policy` of the service, and `LocalDevelopment.layer`, since
 * the server speaks http.
 *
 * `down` breaks connections after the head of a response: a server cannot refuse what it listens for. To refuse connections, close
 * the scope of the server.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerHttp = (
  options: Options
): Layer.Layer<TestIssuer, KeelsonError.ConfigurationError, HttpServer.HttpServer> =>
  Layer.effect(TestIssuer, onServer(options))

const onServer = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  TestIssuer["Service"],
  KeelsonError.ConfigurationError,
  HttpServer.HttpServer | Scope.Scope
> {
  const server = yield* HttpServer.HttpServer
  // A server that listens at all addresses is reached at this one.
  const url = HttpServer.formatAddress(server.address).replace("//0.0.0.0:", "//127.0.0.1:").replace(
    "//[::]:",
    "//[::1]:"
  )
  const { service, state } = yield* makeIssuer(options, url)
  yield* server.serve(makeHandler(state))
  return service
})
