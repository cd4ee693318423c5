/** The compared validators of one issuer's tokens, each with the same rules and in its best configuration. */
import { KeySource } from "@keelson/jwks"
import {
  Claims,
  ClientAuth,
  Introspection,
  Signatures,
  TokenHttpClient,
  TokenValidator,
  ValidationPolicy
} from "@keelson/token"
import { JwtVerifier } from "aws-jwt-verify"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { createVerifier } from "fast-jwt"
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify, type JWTVerifyOptions } from "jose"
import jsonwebtoken from "jsonwebtoken"
import { egress, type Origin } from "../jwks/origin.ts"
import { type Alg, audience, issuer, jwkOf, pemOf, type Signer } from "./issuer.ts"

/** Validates one token, as an effect, a promise or synchronously. Fails, rejects or throws for an invalid token. */
export type Validator =
  | { readonly kind: "effect"; readonly validate: (token: string) => Effect.Effect<unknown, unknown> }
  | { readonly kind: "promise"; readonly validate: (token: string) => Promise<unknown> }
  | { readonly kind: "sync"; readonly validate: (token: string) => unknown }

/** `make` returns a new validator; `algs` are the supported algorithms. */
export interface Contestant {
  readonly name: string
  readonly algs: ReadonlyArray<Alg>
  readonly make: (signer: Signer, origin: Origin) => Effect.Effect<Validator, unknown, Scope.Scope>
}

const every: ReadonlyArray<Alg> = ["RS256", "ES256", "EdDSA"]
const hour = 3_600_000
const type = "at+jwt"
const requiredClaims = ["iss", "aud", "exp", "sub", "client_id", "iat", "jti"]
/** The capacity of each contestant's token cache. */
export const cacheEntries = 20_000

/** Validates access tokens and decodes their claims, with keys from the origin. */
const keelsonWith = (
  name: string,
  options: Partial<ValidationPolicy.PresetOptions>,
  signatures: typeof Signatures.layerNodeCrypto = Layer.empty
): Contestant => ({
  name,
  algs: every,
  make: ({ alg }, { url }) => {
    const policy = ValidationPolicy.accessToken({
      issuers: [issuer],
      audiences: [audience],
      algorithms: [alg],
      ...options
    })
    const keys = Layer.provide(KeySource.layerJwks({ issuer, url, prefetch: false }), egress)
    return Effect.gen(function*() {
      const context = yield* Layer.build(Layer.merge(keys, signatures))
      const { validate } = yield* Effect.provide(
        TokenValidator.make("bench", { claims: Claims.AccessToken, policy }),
        context
      )
      return { kind: "effect", validate }
    })
  }
})

/** Without a token cache: every token is verified. */
export const uncached = keelsonWith("Keelson", { cacheEntries: 0 })
/** The same, with WebCrypto instead of node:crypto. */
export const withWebCrypto = keelsonWith("Keelson, WebCrypto", { cacheEntries: 0 }, Signatures.layerWebCrypto)
/** With a cache that is always too small: each token misses, is inserted, and evicts another. */
export const alwaysNew = keelsonWith("Keelson, caching", { cacheEntries: 128 })
export const cached = keelsonWith("Keelson", { cacheEntries })

/** An authorization server in memory, which introspects the same tokens. */
const introspectionBy = ({ alg, ...signer }: Signer) => {
  const keys = createLocalJWKSet({ keys: [jwkOf({ alg, ...signer })] })
  return HttpClient.make((request) =>
    Effect.promise(async () => {
      const { body } = request
      const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      const token = new URLSearchParams(text).get("token") ?? ""
      const answer = await jwtVerify(token, keys, joseOptions(alg)).then(
        ({ payload }) => ({ ...payload, active: true }),
        () => ({ active: false })
      )
      return HttpClientResponse.fromWeb(request, Response.json(answer))
    })
  )
}

class Introspected extends TokenValidator.Service<Introspected>()("bench/Introspected", {
  claims: Claims.AccessToken
}) {}

/** Asks an authorization server once about each token, and caches its answer. */
export const introspected: Contestant = {
  name: "Keelson, introspected",
  algs: every,
  make: (signer) => {
    const validator = Introspected.layerIntrospected(
      { issuers: [issuer], audiences: [audience], cacheEntries },
      Introspection.client({
        issuer,
        endpoint: "https://idp.example/introspect",
        clientId: "api",
        auth: ClientAuth.secretBasic(Redacted.make("secret")),
        newTokensPerSecond: 100_000,
        newTokensBurst: 1_000_000,
        resilience: { bulkhead: { maxConcurrent: 1024 } }
      })
    )
    const server = TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, introspectionBy(signer)))
    return Effect.map(
      Layer.build(Layer.provide(validator, server)),
      (context) => ({ kind: "effect", validate: Context.get(context, Introspected).validate })
    )
  }
}

const joseOptions = (alg: Alg): JWTVerifyOptions => ({
  issuer,
  audience,
  algorithms: [alg],
  typ: type,
  requiredClaims,
  clockTolerance: 30
})

export const joseRemote: Contestant = {
  name: "jose, remote set",
  algs: every,
  make: ({ alg }, { url }) =>
    Effect.sync(() => {
      const options = joseOptions(alg)
      const keys = createRemoteJWKSet(new URL(url), { cacheMaxAge: hour })
      return { kind: "promise", validate: (token) => jwtVerify(token, keys, options) }
    })
}

const joseLocal: Contestant = {
  name: "jose, local key",
  algs: every,
  make: (signer) =>
    Effect.promise(async () => {
      const options = joseOptions(signer.alg)
      const key = await crypto.subtle.importKey("jwk", jwkOf(signer), importedAs[signer.alg], false, ["verify"])
      return { kind: "promise", validate: (token) => jwtVerify(token, key, options) }
    })
}

const importedAs = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  EdDSA: { name: "Ed25519" }
} as const

const fastJwtWith = (name: string, cache: number | false): Contestant => ({
  name,
  algs: every,
  make: (signer) =>
    Effect.sync(() => {
      const verify = createVerifier({
        key: pemOf(signer),
        algorithms: [signer.alg],
        allowedIss: issuer,
        allowedAud: audience,
        requiredClaims,
        checkTyp: type,
        clockTolerance: 30_000,
        cache
      })
      return { kind: "sync", validate: (token): unknown => verify(token) }
    })
})

const fastJwt = fastJwtWith("fast-jwt", false)
export const fastJwtCached = fastJwtWith("fast-jwt, caching", cacheEntries)

/** aws-jwt-verify fetches only from https, so the key set is passed in. */
const aws: Contestant = {
  name: "aws-jwt-verify",
  algs: every,
  make: (signer, { url }) =>
    Effect.sync(() => {
      const verifier = JwtVerifier.create({ issuer, audience, jwksUri: url, graceSeconds: 30 })
      verifier.cacheJwks({ keys: [jwkOf(signer)] })
      return { kind: "promise", validate: (token) => verifier.verify(token) }
    })
}

const jsonWebToken: Contestant = {
  name: "jsonwebtoken",
  algs: ["RS256", "ES256"],
  make: ({ alg, publicKey }) =>
    Effect.sync(() => {
      if (alg === "EdDSA") throw new Error("jsonwebtoken does not support EdDSA")
      const options = { issuer, audience, algorithms: [alg], clockTolerance: 30 }
      return { kind: "sync", validate: (token): unknown => jsonwebtoken.verify(token, publicKey, options) }
    })
}

/** The other libraries, which verify every token. */
export const peers: ReadonlyArray<Contestant> = [joseRemote, joseLocal, fastJwt, aws, jsonWebToken]
