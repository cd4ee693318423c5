/**
 * How a client authenticates to an authorization server.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { JWK } from "jose"
import { importJWK, importPKCS8 } from "jose/key/import"
import * as OAuth from "oauth4webapi"
import { increasingSeconds } from "./internal/oauth/increasingSeconds.ts"
import { convertible } from "./internal/oauth/keyForm.ts"
import type { signingAlgorithms } from "./internal/oauth/signingAlgorithms.ts"

/** An algorithm that a client's key signs with (RFC 7518, 3.1; RFC 9864). */
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

/** A client's authentication, for the options of `OAuthClient`. */
export interface ClientAuth {
  readonly method: "client_secret_basic" | "client_secret_post" | "private_key_jwt" | "tls_client_auth"
  /** The authentication of one request. */
  readonly prepare: (
    request: {
      /** The issuer, or the URL of the token endpoint if no issuer is configured. Required. */
      readonly audience: string
    }
  ) => Effect.Effect<OAuth.ClientAuth, KeelsonError.ConfigurationError>
}

/** A secret, or an effect that reads it for each request, so that it can be rotated. */
export type Secret = Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown>

const invalidKey = (path: string, expected: string, advice?: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: ${path} must be ${expected}${advice === undefined ? "" : `; ${advice}`}`,
    details: { path, expected }
  })

/**
 * Applies `use` to the current secret or key. Drops the error of the program's effect, which may contain secrets, and the
 * exception of a value that cannot be used.
 */
const withCurrent = <A, B>(
  value: A | Effect.Effect<A, unknown>,
  path: string,
  expected: string,
  use: (value: A) => B
): Effect.Effect<B, KeelsonError.ConfigurationError> =>
  Effect.flatMap(
    Effect.isEffect(value) ? Effect.mapError(value, () => invalidKey(path, "readable")) : Effect.succeed(value),
    (current) => Effect.try({ try: () => use(current), catch: () => invalidKey(path, expected) })
  )

/** An empty secret throws in `authenticate`. */
const bySecret = (
  method: "client_secret_basic" | "client_secret_post",
  secret: Secret,
  authenticate: (secret: string) => OAuth.ClientAuth
): ClientAuth => ({
  method,
  prepare: () =>
    withCurrent(
      secret,
      "clientSecret",
      "a Redacted text that is not empty",
      (current) => authenticate(Redacted.value(current))
    )
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

/** A private key that signs, and its id. */
export interface ClientKey {
  /** The private key. Required. */
  readonly key: CryptoKey
  /** The id that the server knows the key by. Default none. */
  readonly kid?: string | undefined
}

/** Options of `privateKeyJwt`. */
export interface AssertionOptions {
  /** The `aud` of the assertions, for servers that require another. Default: the issuer, or the token endpoint without an issuer. */
  readonly audience?: string | undefined
}

/** Lifetime of an assertion, in seconds. */
const assertionLifetime = 60

/**
 * Authenticates with an assertion that the client signs, a new one for each request (OpenID Connect Core 1.0, 9; RFC 7523). An
 * assertion expires after one minute by Effect's clock. `iat` increases strictly from one assertion to the next, up to 11 in one
 * second.
 *
 * - `keys`: the key, or an effect that runs for each assertion, so that the key can be rotated: once it returns another
 *   key, that key signs.
 *
 * An attempt fails with `ConfigurationError` (`KEY_INVALID`) if the key cannot be read or cannot sign.
 */
export const privateKeyJwt = (
  keys: ClientKey | Effect.Effect<ClientKey, unknown>,
  options: AssertionOptions = {}
): ClientAuth => {
  const nextIssuedAt = increasingSeconds()
  return {
    method: "private_key_jwt",
    prepare: ({ audience }) =>
      Effect.clockWith((clock) =>
        withCurrent(keys, "privateKey", "a private key that may sign", ({ key, kid }) => {
          if (!key.usages.includes("sign")) throw new TypeError("not for signatures")
          return OAuth.PrivateKeyJwt(kid === undefined ? { key } : { key, kid }, {
            [OAuth.modifyAssertion]: (_, payload) => {
              const millis = clock.currentTimeMillisUnsafe()
              const iat = nextIssuedAt(millis)
              payload["aud"] = options.audience ?? audience
              payload["iat"] = iat
              // The real time, since an `iat` that had to increase may be ahead of it.
              payload["nbf"] = Math.floor(millis / 1_000)
              payload["exp"] = iat + assertionLifetime
            }
          })
        })
      )
  }
}

/**
 * Authenticates with the client's TLS certificate, which the server knows by its authority or by itself: `tls_client_auth` and
 * `self_signed_tls_client_auth` (RFC 8705, 2). The client of token requests must have the certificate, as that of `NodeMutualTls`
 * has.
 */
export const certificate: ClientAuth = {
  method: "tls_client_auth",
  prepare: () => Effect.succeed(OAuth.TlsClientAuth())
}

/** A private key as text. */
export interface KeyText {
  /** PEM (PKCS #8) or a JWK. Required. */
  readonly text: Redacted.Redacted
  /** The algorithm that the key signs with. Default: that of the JWK. */
  readonly alg?: string | undefined
  /** The id that the server knows the key by. Default: that of the JWK. */
  readonly kid?: string | undefined
}

const parseJwk = (text: string): Effect.Effect<JWK, KeelsonError.ConfigurationError> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: () => invalidKey("privateKey", "PEM (PKCS #8) or a JWK")
  }).pipe(
    Effect.filterOrFail(
      (json): json is JWK => Predicate.isObject(json) && Predicate.hasProperty(json, "kty"),
      () => invalidKey("privateKey", "PEM (PKCS #8) or a JWK")
    )
  )

/**
 * Imports a private key from text. Fails with `ConfigurationError` (`KEY_INVALID`), which contains no part of the key, and
 * explains how to convert a key that is not PKCS #8.
 */
export const importKey = Effect.fnUntraced(function*(
  { alg, kid, text }: KeyText
): Effect.fn.Return<ClientKey, KeelsonError.ConfigurationError> {
  const material = Redacted.value(text).trim()
  const jwk = material.startsWith("{") ? yield* parseJwk(material) : undefined
  const advice = jwk === undefined ? convertible(material) : undefined
  if (advice !== undefined) return yield* invalidKey("privateKey", "PEM (PKCS #8) or a JWK", advice)
  const algorithm = alg ?? jwk?.alg
  if (algorithm === undefined) return yield* invalidKey("privateKeyAlgorithm", "given for a key that does not name it")
  const key = yield* Effect.tryPromise({
    try: () => jwk === undefined ? importPKCS8(material, algorithm) : importJWK(jwk, algorithm),
    catch: () => invalidKey("privateKey", `a private key for ${algorithm}`)
  })
  if (!(key instanceof CryptoKey) || key.type !== "private") {
    return yield* invalidKey("privateKey", `a private key for ${algorithm}`)
  }
  return { key, kid: kid ?? jwk?.kid }
})
