/**
 * Keys that access tokens are bound to (DPoP, RFC 9449). A client proves with each request that it has the key of its token, so
 * that a stolen token is worthless.
 *
 * A guard with the option `dpop` makes a key itself and does the rest. Create a key here to keep it across restarts, or to prove
 * possession in requests that no guard sends.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { generateKeyPair } from "jose/key/generate/keypair"
import type { SigningAlgorithm } from "./ClientAuth.ts"
import { type CheckedKeys, checkKeys } from "./internal/dpop/clientKeys.ts"
import { makeNonces, type NonceIssuer } from "./internal/dpop/clientNonces.ts"
import { signProof } from "./internal/dpop/clientProof.ts"

export type { NonceIssuer } from "./internal/dpop/clientNonces.ts"

/** The request that a proof is for. */
export interface ProofRequest {
  /** The method, in upper case. Required. */
  readonly method: string
  /** The URL. The proof contains neither its query nor its fragment. Required. */
  readonly url: URL
  /** The access token that the request carries; none in a token request. Default none. */
  readonly accessToken?: Redacted.Redacted | undefined
}

/**
 * A key that access tokens are bound to, with the latest nonce of each server. The private key cannot be extracted, and is no
 * property of this object.
 */
export interface DpopKey {
  /** The algorithm that the key signs with. */
  readonly algorithm: SigningAlgorithm
  /** The thumbprint of the public key (RFC 7638), which is the `jkt` of the tokens that are bound to it. */
  readonly thumbprint: string
  /**
   * Signs a new proof, the value of a `DPoP` header (RFC 9449, 4.2), with the latest nonce of the server. A server accepts each
   * proof once: sign another one for every attempt. `iat` is the time of Effect's clock.
   *
   * Fails with `ConfigurationError` (`KEY_INVALID`) if the key can no longer sign, as after its scope was closed.
   */
  readonly proof: (request: ProofRequest) => Effect.Effect<Redacted.Redacted, KeelsonError.ConfigurationError>
  /**
   * Keeps the nonce of a response's `DPoP-Nonce` header (RFC 9449, 8.2). Returns whether the header has one. A key holds the
   * nonces of 100 servers and evicts the least recently used ones.
   */
  readonly keepNonce: (issuer: NonceIssuer, url: URL, header: string | undefined) => boolean
}

const invalidKey = (expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: dpopKey must be ${expected}`,
    details: { path: "dpopKey", expected }
  })

const makeKey = ({ alg, jwk, privateKey, thumbprint }: CheckedKeys) => {
  const nonces = makeNonces()
  const held: { key: CryptoKey | undefined } = { key: privateKey }
  const key: DpopKey = {
    algorithm: alg,
    thumbprint,
    proof: ({ accessToken, method, url }) =>
      Effect.clockWith((clock) => {
        if (held.key === undefined) return Effect.fail(invalidKey("used before its scope is closed"))
        const { key } = held
        const issuer = accessToken === undefined ? "authorizationServer" : "resourceServer"
        const now = clock.currentTimeMillisUnsafe()
        return Effect.tryPromise({
          try: () => signProof(key, { alg, jwk }, { accessToken, method, nonce: nonces.get(issuer, url), now, url }),
          catch: () => invalidKey("a private key that may sign")
        }).pipe(Effect.map((proof) => Redacted.make(proof, { label: "proof" })))
      }),
    keepNonce: nonces.keep
  }
  return { key, forget: () => void (held.key = undefined) }
}

const checked = (keys: () => Promise<CryptoKeyPair>, expected: string) =>
  Effect.map(
    Effect.tryPromise({ try: async () => checkKeys(await keys()), catch: () => invalidKey(expected) }),
    makeKey
  )

/** Options of `generate`. */
export interface Options {
  /** The algorithm that the key signs with, which the servers must support. Default ES256. */
  readonly algorithm?: SigningAlgorithm | undefined
}

/**
 * Generates a key that cannot be extracted and lives in the scope: once that is closed, the key signs no more.
 *
 * Fails with `ConfigurationError` (`KEY_INVALID`) if the platform does not support the algorithm.
 *
 * **Example** (A guard whose tokens are bound to its key)
 *
 * ```ts import.meta.vitest
 * import { DpopKey, TokenGuard } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
 * const billing = Billing.layer({
 *   origins: ["https://billing.example"],
 *   dpopKey: DpopKey.generate({ algorithm: "ES256" }),
 *   // A fixed token instead of `OAuthClient.clientCredentials({ issuer, clientId, auth })`.
 *   source: Effect.succeed({ accessToken: Redacted.make("abc"), tokenType: "DPoP" })
 * })
 *
 * // An API in memory instead of `FetchHttpClient.layer` or `NodeHttpClient.layerUndici`.
 * const api = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(
 *     request,
 *     Response.json([request.headers["authorization"], request.headers["dpop"]?.split(".").length])
 *   ))
 * )
 * const program = Effect.flatMap(Billing.use((guard) => guard.get("/invoices")), ({ json }) => json)
 * const live = Layer.provide(billing, Layer.succeed(HttpClient.HttpClient, api))
 *
 * await Effect.runPromise(Effect.provide(program, live)) // => ["DPoP abc", 3]
 * ```
 */
export const generate = (
  { algorithm = "ES256" }: Options = {}
): Effect.Effect<DpopKey, KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      checked(() => generateKeyPair(algorithm, { extractable: false }), `of an algorithm that the platform supports`),
      ({ forget }) => Effect.sync(forget)
    ),
    ({ key }) => key
  )

/**
 * A given key pair, for a key that outlives the process: a server binds the refresh tokens of a public client to its key
 * (RFC 9449, 5), so that a stored refresh token is of use with that key only. The private key must not be extractable.
 *
 * Fails with `ConfigurationError` (`KEY_INVALID`) if the pair cannot sign, its keys do not belong together, or the private key
 * can be extracted.
 */
export const fromKeyPair = (pair: CryptoKeyPair): Effect.Effect<DpopKey, KeelsonError.ConfigurationError> =>
  Effect.map(
    checked(() => Promise.resolve(pair), "a pair of keys for signatures, whose private key cannot be extracted"),
    ({ key }) => key
  )

/**
 * The key that token requests of `OAuthClient` ask to bind tokens to. A guard provides its own key to its source. Provide one for a
 * `TokenProvider` without a guard: its tokens then have the `tokenType` `DPoP`. Default none.
 */
export const CurrentDpopKey = Context.Reference<DpopKey | undefined>("@keelson/token/CurrentDpopKey", {
  defaultValue: () => undefined
})
