/**
 * How a client authenticates to an authorization server.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as OAuth from "oauth4webapi"
import { makeThumbprint, type Thumbprint } from "./internal/oauth/certificate.ts"
import { importPrivateKey, invalidKey, makeCurrentKey } from "./internal/oauth/importPrivateKey.ts"
import { increasingSeconds } from "./internal/oauth/increasingSeconds.ts"
import { readSecret, type SecretError, withCurrent } from "./internal/oauth/readSecret.ts"
import type { signingAlgorithms } from "./internal/oauth/signingAlgorithms.ts"

export type { Thumbprint } from "./internal/oauth/certificate.ts"

/** An algorithm that a client's key signs with (RFC 7518, 3.1; RFC 9864). */
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

/**
 * A method of client authentication: one that is registered for token endpoints (RFC 7591, 2; RFC 8705, 2), or
 * `client_assertion`, an assertion that another party signed (RFC 7521, 4.2).
 */
export type Method =
  | "client_secret_basic"
  | "client_secret_post"
  | "client_secret_jwt"
  | "private_key_jwt"
  | "client_assertion"
  | "tls_client_auth"
  | "none"

/** A client's authentication, for the options of `OAuthClient`. */
export interface ClientAuth {
  readonly method: Method
  /** The authentication of one request. */
  readonly prepare: (
    request: {
      /** The issuer, or the URL of the token endpoint if no issuer is configured. Required. */
      readonly audience: string
    }
  ) => Effect.Effect<OAuth.ClientAuth, SecretError>
}

/** A secret, or an effect that reads it for each request, so that it can be rotated. */
export type Secret = Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown>

/** An empty secret throws in `authenticate`. */
const withSecret = (secret: Secret, authenticate: (secret: string) => OAuth.ClientAuth) =>
  withCurrent(
    secret,
    "clientSecret",
    "a Redacted text that is not empty",
    (current) => authenticate(Redacted.value(current))
  )

const bySecret = (
  method: "client_secret_basic" | "client_secret_post",
  secret: Secret,
  authenticate: (secret: string) => OAuth.ClientAuth
): ClientAuth => ({
  method,
  prepare: () => withSecret(secret, authenticate)
})

/**
 * Sends the client's secret in the `Authorization` header (RFC 6749, 2.3.1).
 *
 * **Example** (A secret that is read for each request)
 *
 * ```ts import.meta.vitest
 * import { ClientAuth } from "@keelson/token"
 * import { Effect, Redacted } from "effect"
 *
 * const readSecret = Effect.sync(() => Redacted.make("from a file that is rotated"))
 * const auth = ClientAuth.secretBasic(readSecret)
 *
 * auth.method // => "client_secret_basic"
 * ```
 */
export const secretBasic = (secret: Secret): ClientAuth =>
  bySecret("client_secret_basic", secret, OAuth.ClientSecretBasic)

/** Sends the client's secret in the request body, for servers that accept it nowhere else (RFC 6749, 2.3.1). */
export const secretPost = (secret: Secret): ClientAuth => bySecret("client_secret_post", secret, OAuth.ClientSecretPost)

/** What names a private key. */
export interface KeyNames {
  /** The id that the server knows the key by. Without it, that of a JWK. Default none. */
  readonly kid?: string | undefined
  /**
   * The certificate of the key in PEM, for servers that know the key by the thumbprint of its certificate, such as Microsoft Entra
   * ID. Of several certificates the first one counts. Default none.
   */
  readonly certificate?: string | undefined
}

/** A private key that signs, and what names it. */
export interface ClientKey extends KeyNames {
  /** The private key. Required. */
  readonly key: CryptoKey
}

/** A private key as text. */
export interface KeyText extends KeyNames {
  /**
   * The key in PEM, or as a JWK. PEM may be PKCS #8, PKCS #1 (`RSA PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or encrypted, and its
   * line breaks may be written as `\n`. Required.
   */
  readonly text: Redacted.Redacted
  /** The passphrase of an encrypted key. It is decrypted with node:crypto; other platforms cannot. Default none. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** The algorithm that the key signs with. Default: that of the JWK. */
  readonly alg?: string | undefined
}

/** A private key, or an effect that returns the current one, so that it can be rotated. */
export type Keys = ClientKey | KeyText | Effect.Effect<ClientKey | KeyText, unknown>

/** Options of `privateKeyJwt`. */
export interface AssertionOptions {
  /**
   * The `aud` of the assertions, for servers that require another, such as the URL of their token endpoint. Default: the issuer, as
   * draft-ietf-oauth-rfc7523bis requires; without an issuer, the token endpoint.
   */
  readonly audience?: string | undefined
  /**
   * The `typ` of the assertions' header, such as `client-authentication+jwt` for servers that enforce draft-ietf-oauth-rfc7523bis.
   * Default: `JWT` for a key with a certificate, none for others.
   */
  readonly typ?: string | undefined
  /** Which thumbprint of the key's certificate the header contains: of SHA-256, or of SHA-1. Default x5t#S256. */
  readonly thumbprint?: Thumbprint | undefined
}

/** Lifetime of an assertion, in seconds. */
const assertionLifetime = 60

/** Sets the times of an assertion by Effect's clock, and its audience. */
const makeStamp = () => {
  const nextIssuedAt = increasingSeconds()
  return (payload: Record<string, OAuth.JsonValue | undefined>, audience: string, millis: number): void => {
    const iat = nextIssuedAt(millis)
    payload["aud"] = audience
    payload["iat"] = iat
    // The real time, since an `iat` that had to increase may be ahead of it.
    payload["nbf"] = Math.floor(millis / 1_000)
    payload["exp"] = iat + assertionLifetime
  }
}

/**
 * Authenticates with an assertion that the client's secret signs with HS256, a new one for each request (OpenID Connect Core 1.0,
 * 9). The secret itself is not sent. Times and audience are those of `privateKeyJwt`.
 */
export const secretJwt = (secret: Secret, options: Pick<AssertionOptions, "audience"> = {}): ClientAuth => {
  const stamp = makeStamp()
  return {
    method: "client_secret_jwt",
    prepare: ({ audience }) =>
      Effect.clockWith((clock) =>
        withSecret(secret, (current) =>
          OAuth.ClientSecretJwt(current, {
            [OAuth.modifyAssertion]: (_, payload) =>
              stamp(payload, options.audience ?? audience, clock.currentTimeMillisUnsafe())
          }))
      )
  }
}

const unreadableKey = () => invalidKey("privateKey", "readable")

/**
 * Authenticates with an assertion that the client signs, a new one for each request (OpenID Connect Core 1.0, 9; RFC 7523). An
 * assertion expires after one minute by Effect's clock. `iat` increases strictly from one assertion to the next, up to 11 in one
 * second.
 *
 * - `keys`: the key, or an effect that runs for each assertion, so that the key can be rotated: once it returns another
 *   key, that key signs. Text is imported once, and again when it changes.
 *
 * An attempt fails with `ConfigurationError` (`KEY_INVALID`) if the key cannot be read or cannot sign, or if its certificate does
 * not belong to it.
 */
export const privateKeyJwt = (keys: Keys, options: AssertionOptions = {}): ClientAuth => {
  const stamp = makeStamp()
  const current = makeCurrentKey(keys, unreadableKey)
  const { audience: given, thumbprint = "x5t#S256" } = options
  const thumbprintOf = makeThumbprint(thumbprint)
  const headerOf = ({ certificate, key }: ClientKey) =>
    certificate === undefined
      ? Effect.succeed(options.typ === undefined ? {} : { typ: options.typ })
      : thumbprintOf(certificate, key).pipe(
        Effect.mapBoth({
          onFailure: (expected) => invalidKey("certificate", expected),
          onSuccess: (value) => ({ typ: options.typ ?? "JWT", [thumbprint]: value })
        })
      )
  const signWith = ({ key, kid }: ClientKey, members: Record<string, string>, audience: string, millis: () => number) =>
    OAuth.PrivateKeyJwt(kid === undefined ? { key } : { key, kid }, {
      [OAuth.modifyAssertion]: (header, payload) => {
        Object.assign(header, members)
        stamp(payload, given ?? audience, millis())
      }
    })
  const checked = (clientKey: ClientKey) =>
    withCurrent(clientKey, "privateKey", "a private key that may sign", (usable) => {
      if (!usable.key.usages.includes("sign")) throw new TypeError("not for signatures")
      // Throws for a key or id that cannot be used.
      signWith(usable, {}, "", () => 0)
      return usable
    })
  return {
    method: "private_key_jwt",
    prepare: Effect.fnUntraced(function*({ audience }) {
      const clock = yield* Clock.Clock
      const clientKey = yield* Effect.flatMap(current, checked)
      return signWith(clientKey, yield* headerOf(clientKey), audience, () => clock.currentTimeMillisUnsafe())
    })
  }
}

/** Options of `clientAssertion`. */
export interface ClientAssertionOptions {
  /**
   * The type of the assertion (RFC 7521, 4.2), such as `urn:ietf:params:oauth:client-assertion-type:jwt-spiffe`. Default: that of
   * a JWT, `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
   */
  readonly type?: string | undefined
}

/**
 * Authenticates with an assertion that another party signed: the token of a Kubernetes service account, of a cloud or of another
 * identity provider that the authorization server trusts (RFC 7521, 4.2; RFC 7523, 2.2). The effect runs for each request, so
 * that a file that is rotated is read again. White space around the assertion is dropped.
 *
 * An attempt fails with the error of a `WorkloadIdentity`, or with `ConfigurationError` (`KEY_INVALID`) if the assertion cannot be
 * read otherwise or is empty.
 */
export const clientAssertion = (
  assertion: Secret,
  { type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" }: ClientAssertionOptions = {}
): ClientAuth => ({
  method: "client_assertion",
  prepare: () =>
    Effect.map(readSecret(assertion, "clientAssertion"), (current): OAuth.ClientAuth => (_, client, body) => {
      body.set("client_id", client.client_id)
      body.set("client_assertion_type", type)
      body.set("client_assertion", Redacted.value(current))
    })
})

/**
 * Authenticates with the client's TLS certificate, with which the client of token requests (`TokenHttpClient`) must connect: the
 * request itself has the `client_id` alone. It is also the method for `self_signed_tls_client_auth`, whose requests are the same.
 *
 * @see RFC 8705, 2
 */
export const certificate: ClientAuth = {
  method: "tls_client_auth",
  prepare: () => Effect.succeed(OAuth.TlsClientAuth())
}

/** No authentication, for public clients: the request has the `client_id` alone (RFC 6749, 2.1). */
export const none: ClientAuth = { method: "none", prepare: () => Effect.succeed(OAuth.None()) }

/**
 * Imports a private key from text. Fails with `ConfigurationError` (`KEY_INVALID`), which contains no part of the key, and
 * explains what the text is and how to convert it.
 */
export const importKey: (key: KeyText) => Effect.Effect<ClientKey, KeelsonError.ConfigurationError> = importPrivateKey
