/**
 * How a client authenticates to an authorization server.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { importJWK, importPKCS8, type JWK } from "jose"
import * as OAuth from "oauth4webapi"
import { increasingSeconds } from "./internal/oauth/increasingSeconds.ts"

/** A client's authentication, for the options of `OAuthClient`. */
export interface ClientAuth {
  readonly method: "client_secret_basic" | "client_secret_post" | "private_key_jwt"
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

const invalidKey = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: ${path} must be ${expected}`,
    details: { path, expected }
  })

/** The current secret or key. Drops the error of the program's effect, which may contain secrets. */
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
  prepare: () => Effect.map(current(secret, "clientSecret"), (value) => authenticate(Redacted.value(value)))
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
    prepare: Effect.fnUntraced(function*({ audience }) {
      const clock = yield* Clock.Clock
      const { key, kid } = yield* current(keys, "privateKey")
      if (key.type !== "private" || !key.usages.includes("sign")) {
        return yield* invalidKey("privateKey", "a private key that may sign")
      }
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
  }
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

/** Imports a private key from text. Fails with `ConfigurationError` (`KEY_INVALID`), which contains nothing of the key. */
export const importKey = Effect.fnUntraced(function*(
  { alg, kid, text }: KeyText
): Effect.fn.Return<ClientKey, KeelsonError.ConfigurationError> {
  const material = Redacted.value(text).trim()
  const jwk = material.startsWith("{") ? yield* parseJwk(material) : undefined
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
