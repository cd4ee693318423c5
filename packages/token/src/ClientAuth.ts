/**
 * How a client proves to an authorization server who it is.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { importJWK, importPKCS8, type JWK } from "jose"
import * as OAuth from "oauth4webapi"
import { increasing } from "./internal/oauth/increasing.ts"

/** A client's authentication, as `OAuthClient` takes it. */
export interface ClientAuth {
  readonly method: "client_secret_basic" | "client_secret_post" | "private_key_jwt"
  /** For one request; `audience` is the issuer, or the token endpoint where there is none. */
  readonly prepare: (
    request: { readonly audience: string }
  ) => Effect.Effect<OAuth.ClientAuth, KeelsonError.ConfigurationError>
}

/** A secret, or where it is read for each request, so that it may be rotated. */
export type Secret = Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown>

const invalidKey = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: ${path} must be ${expected}`,
    details: { path, expected }
  })

/** What fails here is the program's own reading of a key or secret, of whose error nothing is shown. */
const current = <A>(
  value: A | Effect.Effect<A, unknown>,
  path: string
): Effect.Effect<A, KeelsonError.ConfigurationError> =>
  Effect.isEffect(value) ? Effect.mapError(value, () => invalidKey(path, "readable")) : Effect.succeed(value)

const bySecret = (
  method: "client_secret_basic" | "client_secret_post",
  secret: Secret,
  authenticate: (secret: string) => OAuth.ClientAuth
): ClientAuth => ({
  method,
  prepare: () => Effect.map(current(secret, "clientSecret"), (read) => authenticate(Redacted.value(read)))
})

/** The client's secret in the `Authorization` header (RFC 6749, 2.3.1). */
export const secretBasic = (secret: Secret): ClientAuth =>
  bySecret("client_secret_basic", secret, OAuth.ClientSecretBasic)

/** The client's secret in the body, for servers that take it nowhere else (RFC 6749, 2.3.1). */
export const secretPost = (secret: Secret): ClientAuth => bySecret("client_secret_post", secret, OAuth.ClientSecretPost)

/** A private key that signs, and the id under which the server knows it. */
export interface ClientKey {
  readonly key: CryptoKey
  readonly kid?: string | undefined
}

/** Options of `privateKeyJwt`. */
export interface AssertionOptions {
  /** `aud` of the assertions, for servers that want another. Default: the issuer, or the token endpoint without one. */
  readonly audience?: string | undefined
}

/** How long an assertion is good for, in seconds. */
const lifetime = 60

/**
 * An assertion that the client signs, a new one for each request (OpenID Connect Core 1.0, 9; RFC 7523). Its `iat` increases
 * strictly from one to the next, up to 11 in one second, and it lives a minute by Effect's clock.
 *
 * - `keys`: the key, or an effect that is run for each assertion, so that the client's key may be rotated: from the moment
 *   it gives another key, that one signs.
 *
 * An attempt fails with `ConfigurationError` (`KEY_INVALID`) where the key is not readable or cannot sign.
 */
export const privateKeyJwt = (
  keys: ClientKey | Effect.Effect<ClientKey, unknown>,
  options: AssertionOptions = {}
): ClientAuth => {
  const next = increasing()
  return {
    method: "private_key_jwt",
    prepare: Effect.fnUntraced(function*({ audience }) {
      const clock = yield* Clock.Clock
      const { key, kid } = yield* current(keys, "privateKey")
      if (key.type !== "private" || !key.usages.includes("sign")) {
        return yield* invalidKey("privateKey", "a private key that may sign")
      }
      return OAuth.PrivateKeyJwt(kid === undefined ? { key } : { key, kid }, {
        [OAuth.modifyAssertion]: (_, payload) => {
          const millis = clock.currentTimeMillisUnsafe()
          const iat = next(millis)
          payload["aud"] = options.audience ?? audience
          payload["iat"] = iat
          // Not before the real time, since an `iat` that had to increase may be ahead of it.
          payload["nbf"] = Math.floor(millis / 1_000)
          payload["exp"] = iat + lifetime
        }
      })
    })
  }
}

/** A private key as text. */
export interface KeyText {
  /** PEM (PKCS #8) or a JWK. */
  readonly text: Redacted.Redacted
  /** Default: that of the JWK. */
  readonly alg?: string | undefined
  /** Default: that of the JWK. */
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
 * A private key from text. Fails with `ConfigurationError` (`KEY_INVALID`), which tells nothing of the key.
 */
export const importKey = Effect.fnUntraced(function*(
  { alg, kid, text }: KeyText
): Effect.fn.Return<ClientKey, KeelsonError.ConfigurationError> {
  const material = Redacted.value(text).trim()
  const jwk = material.startsWith("{") ? yield* parseJwk(material) : undefined
  const algorithm = alg ?? jwk?.alg
  if (algorithm === undefined) return yield* invalidKey("privateKeyAlgorithm", "given for a key that does not say it")
  const key = yield* Effect.tryPromise({
    try: () => jwk === undefined ? importPKCS8(material, algorithm) : importJWK(jwk, algorithm),
    catch: () => invalidKey("privateKey", `a private key for ${algorithm}`)
  })
  if (!(key instanceof CryptoKey) || key.type !== "private") {
    return yield* invalidKey("privateKey", `a private key for ${algorithm}`)
  }
  return { key, kid: kid ?? jwk?.kid }
})
