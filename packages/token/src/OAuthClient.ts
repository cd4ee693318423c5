/**
 * Tokens of an authorization server, for a provider: the client credentials and refresh token grants of OAuth 2.0.
 *
 * Requests go by a client of their own (`TokenHttpClient`), never the application's; they follow no redirect and are not repeated.
 * Retries and the breaker are the provider's, around the whole of a request, so that each attempt signs a new assertion.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as ClientAuth from "./ClientAuth.ts"
import { endpointOf } from "./internal/oauth/metadata.ts"
import { makeRefreshGrant } from "./internal/oauth/refreshGrant.ts"
import { type Requester, tokenRequest } from "./internal/oauth/tokenRequest.ts"
import * as OAuthOptions from "./OAuthOptions.ts"
import type { RefreshTokenStore } from "./RefreshTokenStore.ts"
import { fromEffect, isTransient, type TokenSource } from "./TokenSource.ts"

/** What both grants take. */
export interface Options extends OAuthOptions.RequestInput {
  /** How the client proves who it is. */
  readonly auth: ClientAuth.ClientAuth
  /** More parameters of the request; none that OAuth itself sets. Default none. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
}

/** Parameters that are the library's to set, or have an option. */
const reserved = new Set([
  "grant_type",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
  "refresh_token",
  "scope",
  "audience",
  "resource"
])

const Parameters = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((parameters: Readonly<Record<string, string>>) => {
    const found = Object.keys(parameters).find((name) => reserved.has(name))
    return found === undefined || { path: [found], issue: "left out: it is set already, or has an option" }
  })
)

const decodeRequest = Configuration.decodeUnsafe(OAuthOptions.RequestOptions)
const decodeParameters = Configuration.decodeUnsafe(Parameters, ["parameters"])

const requesterOf = ({ auth, parameters = {}, ...input }: Options): Requester => {
  const options = decodeRequest(input)
  return { options, auth, endpoint: endpointOf(options), parameters: decodeParameters(parameters) }
}

const clientCredentialsOf = (requester: Requester): TokenSource =>
  fromEffect(
    Effect.map(
      Effect.mapError(tokenRequest(requester, { type: "client_credentials" }), ({ error }) => error),
      // A refresh token has no place here (RFC 6749, 4.4.3).
      ({ accessToken, expiresIn, scope }) => ({ accessToken, expiresIn, scope })
    )
  )

/**
 * The client's own token (RFC 6749, 4.4). Retried, where the provider has a retry policy, after a time-out, a connection that
 * failed, and 429, 502, 503 and 504; never after an OAuth error.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const clientCredentials = (options: Options): TokenSource => clientCredentialsOf(requesterOf(options))

/** What `refreshToken` takes. */
export interface RefreshOptions extends Options {
  /** Where the refresh token is kept. */
  readonly store: RefreshTokenStore
  /**
   * Whether the server gives a new refresh token with each access token, the one before being good for that one request. Only
   * say no if it is certain. Default true.
   */
  readonly rotates?: boolean | undefined
}

/** Tokens for a refresh token. */
export interface RefreshSource extends TokenSource {
  /**
   * Has a refresh token sent again of which it is not known whether it was used, after a request that timed out or broke off:
   * a person's decision, since a server that sees one twice may revoke all that came of it.
   */
  readonly resend: Effect.Effect<void>
}

/**
 * Access tokens for a refresh token (RFC 6749, 6). One that rotates is sent once, is never retried, and the new one is stored
 * before the access token is handed out. After a time-out or a broken connection all further attempts fail with
 * `TOKEN_REFRESH_FAILED`, reason `ambiguous`, until the store has another one, or `resend` is run.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const refreshToken = ({ rotates = true, store, ...options }: RefreshOptions): RefreshSource => {
  const { acquire, resend } = makeRefreshGrant(requesterOf(options), store, rotates)
  return { ...fromEffect(acquire, rotates ? () => false : isTransient), resend }
}

/** What a token is for, in place of what the options say. */
export interface Narrowed {
  /** Space-separated (RFC 6749, 3.3). */
  readonly scope?: string | undefined
  /** The API that it is for: the `resource` where the options have one, else the `audience`. */
  readonly audience?: string | undefined
}

const narrow = (options: OAuthOptions.RequestOptions, { audience, scope }: Narrowed): OAuthOptions.RequestOptions => ({
  ...options,
  ...(scope === undefined ? undefined : { scope }),
  ...(audience === undefined ? undefined : { [options.resource === undefined ? "audience" : "resource"]: audience })
})

const authOf = Effect.fnUntraced(function*(
  { authMethod, clientSecret, privateKey, privateKeyAlgorithm, privateKeyId }: OAuthOptions.OAuthOptions
): Effect.fn.Return<ClientAuth.ClientAuth, KeelsonError.ConfigurationError> {
  if (Predicate.isNotUndefined(privateKey)) {
    const key = yield* ClientAuth.importKey({ text: privateKey, alg: privateKeyAlgorithm, kid: privateKeyId })
    return ClientAuth.privateKeyJwt(key)
  }
  // The options have one of the two.
  if (clientSecret === undefined) return yield* Effect.die(new Error("OAuthOptions without a secret"))
  return authMethod === "client_secret_post"
    ? ClientAuth.secretPost(clientSecret)
    : ClientAuth.secretBasic(clientSecret)
})

/**
 * `clientCredentials` from checked options, as they are read from a file or the environment (`OAuthOptions`), for any scope
 * and audience: they share the key and the metadata, and each is a source of its own.
 *
 * Fails with `ConfigurationError` (`KEY_INVALID`) where the private key is of no use.
 */
export const sourcesFromOptions = (
  input: OAuthOptions.OAuthOptions
): Effect.Effect<(narrowed: Narrowed) => TokenSource, KeelsonError.ConfigurationError> =>
  Effect.map(authOf(input), (auth) => {
    const options = Struct.omit(input, Struct.keys(OAuthOptions.authFields))
    const endpoint = endpointOf(options)
    return (narrowed) => clientCredentialsOf({ auth, endpoint, parameters: {}, options: narrow(options, narrowed) })
  })

/** One of these sources, for the scope and audience of the options. Fails as `sourcesFromOptions` does. */
export const fromOptions = (
  options: OAuthOptions.OAuthOptions
): Effect.Effect<TokenSource, KeelsonError.ConfigurationError> =>
  Effect.map(sourcesFromOptions(options), (sourceOf) => sourceOf({}))
