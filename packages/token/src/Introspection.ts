/**
 * Validation of opaque tokens: the authorization server says whether a token is active, and what its claims are.
 *
 * `client` describes the endpoint. The layers of `TokenValidator` use it: `layerIntrospected` for opaque tokens, `layerMixed` for
 * opaque tokens and JWTs. Answers are checked by the validator's policy and claims schema, and cached for a minute at most.
 *
 * Requests use `TokenHttpClient`, never the application's `HttpClient`, and follow no redirect. A server that does not answer is
 * a 503, never a 401.
 *
 * @see RFC 7662; RFC 9701
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClientAuth } from "./ClientAuth.ts"
import {
  makeIntrospection,
  type ValidatorIntrospection,
  type ValidatorParts
} from "./internal/introspection/introspection.ts"
import * as IntrospectionOptions from "./IntrospectionOptions.ts"
import type * as ValidationPolicy from "./ValidationPolicy.ts"

/**
 * The policy for introspected tokens: that for JWTs, without what only JWTs have. A profile requires no claims here, since servers
 * leave out most of them (RFC 7662, 2.2): name those that you need in `requiredClaims`.
 */
export interface Policy
  extends Omit<ValidationPolicy.PresetOptions, "algorithms" | "nonce" | "requireType" | "types">
{}

/** Options of signed answers (RFC 9701). They require the option `issuer`. */
export interface SignedOptions<R = never> {
  /**
   * The keys of the issuer: the tag `KeySource.KeySource`, which the validator's layer then requires, or any effect with a key
   * source. Required.
   */
  readonly keys: Effect.Effect<KeySource.KeySource["Service"], never, R>
  /** The accepted signature algorithms of answers. From 1 to 14 algorithms. Required. */
  readonly algorithms: ReadonlyArray<ValidationPolicy.Algorithm>
  /** Whether answers without a signature are rejected. With false they are accepted from servers that do not sign. Default true. */
  readonly required?: boolean | undefined
}

/** Options of `client`. */
export interface Options<R = never> extends IntrospectionOptions.Options {
  /** How the client authenticates at the endpoint. Required. */
  readonly auth: ClientAuth
  /** Requests signed answers, which prove what the server said, and when. Default none. */
  readonly signed?: SignedOptions<R> | undefined
  /**
   * Returns whether a text can be a token of this server, for example by its prefix or its checksum. Other texts are rejected without
   * a request. It is called with text that has the syntax of a bearer token, and must be quick. Default: any such text.
   */
  readonly accepts?: ((token: string) => boolean) | undefined
  /**
   * Retries, breaker and limits of requests; a part that is given replaces the default one. Hedges are not made. Default: a
   * deadline of 10 seconds; 2 attempts; a breaker that opens for 5 seconds after 5 failures, and up to a minute if they continue;
   * 32 requests at once and 256 that wait for up to 2 seconds.
   */
  readonly resilience?: Omit<ResiliencePolicy.Options, "hedge"> | undefined
}

/** How a validator introspects tokens. `R` is what the validator's layer requires in addition. */
export interface Introspection<R = never> {
  /** The checked options. Those that may change with `LocalDevelopment` are checked when a validator is made. */
  readonly options: IntrospectionOptions.Options
  /** Makes the introspection of one validator. The layers of `TokenValidator` call it. */
  readonly forValidator: <C>(
    validator: ValidatorParts<C>
  ) => Effect.Effect<ValidatorIntrospection<C>, KeelsonError.ConfigurationError, R | Scope.Scope>
}

const decodeOptions = Configuration.decode(IntrospectionOptions.IntrospectionOptions)

/**
 * Describes an introspection endpoint, and this API as a client of it.
 *
 * The validator's layer fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. A token fails with
 * `TOKEN_INACTIVE`, with `INTROSPECTION_UNAVAILABLE` (a 503), or as a JWT with the same claims does.
 *
 * **Example** (A validator of opaque tokens)
 *
 * ```ts import.meta.vitest
 * import { Claims, ClientAuth, Introspection, TokenHttpClient, TokenValidator } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.Introspected }) {}
 *
 * const endpoint = Introspection.client({
 *   issuer: "https://idp.example",
 *   endpoint: "https://idp.example/introspect",
 *   clientId: "api",
 *   auth: ClientAuth.secretBasic(Redacted.make("from a vault"))
 * })
 * const live = Tokens.layerIntrospected({ issuers: ["https://idp.example"], audiences: ["api"] }, endpoint)
 *
 * // An authorization server, for this example.
 * const answer = { active: true, aud: "api", sub: "ada", exp: 4000000000, scope: "read" }
 * const server = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(answer))))
 *
 * const subject = Tokens.use((tokens) => tokens.validate("2YotnFZFEjr1zCsicMWpAA")).pipe(
 *   Effect.map(({ claims }) => claims.sub),
 *   Effect.provide(Layer.provide(live, TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, server))))
 * )
 * await Effect.runPromise(subject) // => "ada"
 * ```
 */
export const client = <R = never>(
  { accepts, auth, resilience, signed, ...options }: Options<R>
): Introspection<R> => ({
  options,
  forValidator: (validator) =>
    makeIntrospection(validator, decodeOptions(options), { accepts, auth, resilience, signed })
})
