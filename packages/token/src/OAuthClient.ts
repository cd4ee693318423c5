/**
 * Token sources of an authorization server: client credentials, refresh token, token exchange and JWT bearer.
 *
 * Requests use `TokenHttpClient`, never the application's `HttpClient`. They follow no redirect and do not retry: the provider
 * retries a whole request, so that each attempt signs a new client assertion.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as ClientAuth from "./ClientAuth.ts"
import { clientAuthFrom, requestOptionsOf } from "./internal/oauth/clientAuthFrom.ts"
import { localOnly, undecidedUrl } from "./internal/oauth/localUrls.ts"
import { makeTokenEndpoint } from "./internal/oauth/metadata.ts"
import { makeRefreshGrant } from "./internal/oauth/refreshGrant.ts"
import { fatalErrors as knownFatalErrors } from "./internal/oauth/requestFailed.ts"
import * as RequestOptions from "./internal/oauth/requestOptions.ts"
import { makeSharedRefreshGrant } from "./internal/oauth/sharedRefreshGrant.ts"
import { accessTokenType, makeJwtBearer, makeTokenExchange, withGrant } from "./internal/oauth/subjectGrant.ts"
import { type TokenClient, tokenRequest } from "./internal/oauth/tokenRequest.ts"
import { isTransient } from "./internal/provider/isTransient.ts"
import type * as OAuthOptions from "./OAuthOptions.ts"
import type { RefreshTokenStore } from "./RefreshTokenStore.ts"
import { fromEffect, type Grant, type Identity, type SubjectSource, type TokenSource } from "./TokenSource.ts"

/** Options of `clientCredentials` and `jwtBearer`. */
export interface Options extends RequestOptions.Options {
  /** How the client authenticates. Required. */
  readonly auth: ClientAuth.ClientAuth
  /** Further parameters of the request, except those that the library sets or that have an option. Default none. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
}

/** Parameters that the library sets or that have an option. */
const reservedParameters = new Set([
  "grant_type",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
  "refresh_token",
  "scope",
  "audience",
  "resource",
  "assertion",
  "subject_token",
  "subject_token_type",
  "requested_token_type",
  "actor_token",
  "actor_token_type"
])

const Parameters = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((parameters: Readonly<Record<string, string>>) => {
    const reserved = Object.keys(parameters).find((name) => reservedParameters.has(name))
    return reserved === undefined || { path: [reserved], issue: "left out: it is set already, or has an option" }
  })
)

const decodeParameters = Decoders.decodeUnsafe(Parameters, ["parameters"])

const FatalErrors = Schema.Array(Field.text(1, 100)).check(
  Schema.isMaxLength(100, { expected: "a list of at most 100 codes" })
)

const decodeFatalErrors = Decoders.decodeUnsafe(FatalErrors, ["fatalErrors"])

const knownFatal: ReadonlySet<string> = new Set(knownFatalErrors)

const makeTokenClient = ({ auth, parameters = {}, ...input }: Options): TokenClient => {
  const local = undecidedUrl(input)
  const options = RequestOptions.makeRequestOptions(local === undefined ? input : { ...input, allowLocalhost: true })
  const endpoint = makeTokenEndpoint(options)
  return {
    options,
    auth,
    endpoint: local === undefined ? endpoint : localOnly(endpoint, local),
    parameters: decodeParameters(parameters),
    fatal: knownFatal
  }
}

/** Which tokens a client gets, for processes that share them. Names the refresh token, if there is one. */
const identityOf = ({ options, parameters }: TokenClient, refreshToken?: string): Identity => ({
  issuer: options.issuer ?? options.tokenEndpoint ?? "",
  clientId: options.clientId,
  scope: options.scope,
  audience: options.resource ?? options.audience,
  other: JSON.stringify([
    refreshToken ?? null,
    options.audience ?? null,
    Object.entries(parameters).toSorted(([a], [b]) => a < b ? -1 : 1)
  ])
})

const clientCredentialsOf = (client: TokenClient): TokenSource =>
  fromEffect(
    Effect.flatMap(
      Effect.mapError(tokenRequest(client, { type: "client_credentials" }), ({ error }) => error),
      // Drops a refresh token, which this grant must not return (RFC 6749, 4.4.3).
      ({ token }) => Effect.fromResult(token)
    ),
    isTransient,
    identityOf(client)
  )

/**
 * Tokens by the client credentials grant (RFC 6749, 4.4). If the provider has a retry policy, it retries after a timeout, a
 * failed connection, and statuses 429, 502, 503 and 504; never after an OAuth error.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A guard with the client credentials grant)
 *
 * ```ts import.meta.vitest
 * import { ClientAuth, OAuthClient, TokenGuard } from "@keelson/token"
 * import { Layer, Redacted } from "effect"
 *
 * class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
 *
 * const live = Billing.layer({
 *   origins: ["https://billing.example"],
 *   source: OAuthClient.clientCredentials({
 *     issuer: "https://idp.example",
 *     clientId: "app",
 *     auth: ClientAuth.secretBasic(Redacted.make("from a vault")),
 *     scope: "invoices"
 *   })
 * })
 *
 * Layer.isLayer(live) // => true
 * ```
 */
export const clientCredentials = (options: Options): TokenSource => clientCredentialsOf(makeTokenClient(options))

/** Options of `refreshToken`. */
export interface RefreshOptions extends Options {
  /** Where the refresh token is kept. Required. */
  readonly store: RefreshTokenStore
  /**
   * Whether the server returns a new refresh token with each access token and accepts each refresh token once. Set it to false
   * only if that is certain. Default true.
   */
  readonly rotates?: boolean | undefined
  /**
   * More OAuth errors of this server that mean that the refresh token is no longer valid, so that it is not sent again. Always:
   * `invalid_grant`, `bad_refresh_token` and `invalid_refresh_token`. At most 100, each from 1 to 100 characters. Default none.
   */
  readonly fatalErrors?: ReadonlyArray<string> | undefined
}

/** A source of tokens for a refresh token. */
export interface RefreshSource extends TokenSource {
  /**
   * Allows a refresh token to be sent again although it may have been used already, after a request timed out or its connection
   * broke. Let an operator decide: a server that receives a refresh token twice may revoke all tokens issued from it. Fails with
   * `AuthenticationError` (`TOKEN_STORE_UNAVAILABLE`) if processes share the refresh token and the store does not respond.
   */
  readonly resend: Effect.Effect<void, KeelsonError.AuthenticationError>
}

/**
 * Tokens by the refresh token grant (RFC 6749, 6). A rotating refresh token is sent once and never retried; the new one is saved
 * before the access token is returned. After a timeout or a broken connection all further attempts fail with
 * `TOKEN_REFRESH_FAILED`, reason `ambiguous`, until the store has another refresh token or `resend` runs. With a store of
 * `SharedTokens.refreshTokenStore` this holds for all processes together.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const refreshToken = (
  { fatalErrors = [], rotates = true, store, ...options }: RefreshOptions
): RefreshSource => {
  const fatal = new Set([...knownFatalErrors, ...decodeFatalErrors(fatalErrors)])
  const client = { ...makeTokenClient(options), fatal }
  const { shared } = store
  const { acquire, resend } = shared === undefined
    ? makeRefreshGrant(client, store, rotates)
    : makeSharedRefreshGrant(client, shared, rotates)
  const identity = shared === undefined ? undefined : identityOf(client, shared.name)
  return { ...fromEffect(acquire, rotates ? () => false : isTransient, identity), resend }
}

const TokenTypeUri = Field.text(1, 2048)

const ExchangeTypes = Schema.Struct({
  subjectTokenType: Field.defaulted(TokenTypeUri, accessTokenType),
  requestedTokenType: Schema.optionalKey(TokenTypeUri),
  actorTokenType: Field.defaulted(TokenTypeUri, accessTokenType)
})

const decodeTypes = Decoders.decodeUnsafe(ExchangeTypes)

/** Options of `tokenExchange`. Types are URIs, such as `urn:ietf:params:oauth:token-type:jwt` (RFC 8693, 3). */
export interface ExchangeOptions extends Options {
  /** The type of the subjects' tokens. From 1 to 2048 characters. Default urn:ietf:params:oauth:token-type:access_token. */
  readonly subjectTokenType?: string | undefined
  /**
   * The type of the token to issue; a response with another one is an error. Without it, an access token or a JWT. From 1 to 2048
   * characters. Default none.
   */
  readonly requestedTokenType?: string | undefined
  /** The token of the party that acts for the subject, read for each request. Default none: the client itself acts. */
  readonly actorToken?: ClientAuth.Secret | undefined
  /** The type of `actorToken`. From 1 to 2048 characters. Default urn:ietf:params:oauth:token-type:access_token. */
  readonly actorTokenType?: string | undefined
}

/**
 * Tokens by token exchange (RFC 8693): the token of a subject is exchanged for one that the client calls an API with, on behalf of the
 * subject. Use it with `CallerGuard` for the callers of a service, and with `TokenSource.forSubject` for one subject.
 *
 * An attempt fails with `AuthenticationError`: `SUBJECT_TOKEN_REJECTED` for an OAuth error that concerns the subject, such as
 * `invalid_grant`; `TOKEN_RESPONSE_INVALID` for an `issued_token_type` other than the requested one. Other errors are those of
 * `clientCredentials`.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const tokenExchange = (
  { actorToken, actorTokenType, requestedTokenType, subjectTokenType, ...options }: ExchangeOptions
): SubjectSource => ({
  acquireFor: makeTokenExchange(makeTokenClient(options), {
    ...decodeTypes({ actorTokenType, requestedTokenType, subjectTokenType }),
    actorToken
  }),
  isRetryable: isTransient
})

/**
 * Tokens by the JWT bearer grant (RFC 7523, 2.1): the token of a subject, a JWT, is presented as an assertion. The On-Behalf-Of flow
 * of Microsoft Entra ID is this grant with `parameters: { requested_token_use: "on_behalf_of" }`. Use it and its errors like
 * `tokenExchange`.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const jwtBearer = (options: Options): SubjectSource => ({
  acquireFor: makeJwtBearer(makeTokenClient(options)),
  isRetryable: isTransient
})

/**
 * The options of a client from checked options (`OAuthOptions`), which can be read from a file or the environment, for the functions
 * of this module that take them: `OAuthClient.tokenExchange({ ...options, actorToken })`.
 *
 * Fails with `ConfigurationError`: `KEY_INVALID` if the private key cannot be used, `INVALID_CONFIG` for `clientAssertionFile`
 * without a `FileSystem` in context.
 */
export const optionsFrom = (
  options: OAuthOptions.OAuthOptions
): Effect.Effect<Options, KeelsonError.ConfigurationError> =>
  Effect.map(clientAuthFrom(options), (auth) => ({ ...requestOptionsOf(options), auth }))

/**
 * `clientCredentials` from checked options (`OAuthOptions`), which can be read from a file or the environment. The result is a
 * function from scope and audience to a source; all its sources share the key and the metadata.
 *
 * Fails with `ConfigurationError` as `optionsFrom` does.
 */
export const sourcesFromOptions = (
  input: OAuthOptions.OAuthOptions
): Effect.Effect<(grant: Grant) => TokenSource, KeelsonError.ConfigurationError> =>
  Effect.map(clientAuthFrom(input), (auth) => {
    const options = requestOptionsOf(input)
    const client = { auth, endpoint: makeTokenEndpoint(options), fatal: knownFatal, parameters: {}, options }
    return (grant) => clientCredentialsOf(withGrant(client, grant))
  })

/** `sourcesFromOptions` for the scope and audience of the options. */
export const fromOptions = (
  options: OAuthOptions.OAuthOptions
): Effect.Effect<TokenSource, KeelsonError.ConfigurationError> =>
  Effect.map(sourcesFromOptions(options), (sourceOf) => sourceOf({}))
