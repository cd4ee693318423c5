/** Keys, tokens and validators for tests. */
import type { KeelsonError } from "@keelson/core"
import { type KeySource, StaticKeys } from "@keelson/jwks"
import { Claims, Revocation, type TokenError, TokenValidator, type ValidationPolicy } from "@keelson/token"
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose"
import { errorOf } from "./exits.ts"

export const issuer = "https://idp.example"
export const audience = "api"

/** A key pair for an algorithm. */
export interface Pair {
  readonly alg: ValidationPolicy.Algorithm
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

const pairs = new Map<string, Promise<Pair>>()

const makePair = async (alg: ValidationPolicy.Algorithm, kid: string): Promise<Pair> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicJwk: { ...await exportJWK(publicKey), kid, alg } }
}

/** The key pair of an algorithm and a name, generated once: RSA keys take long. */
export const pairOf = (alg: ValidationPolicy.Algorithm, kid = `${alg}-1`): Effect.Effect<Pair> =>
  Effect.promise(() => {
    const name = `${alg} ${kid}`
    const pair = pairs.get(name) ?? makePair(alg, kid)
    pairs.set(name, pair)
    return pair
  })

/** The current time in seconds since 1970. */
export const seconds = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

/** Claims that the policies of these tests accept for the next hour. */
export const goodClaims = Effect.map(seconds, (now): JWTPayload => ({
  iss: issuer,
  aud: audience,
  sub: "user-1",
  client_id: "client-1",
  jti: "token-1",
  iat: now,
  exp: now + 3600
}))

/** Signs a token with a key pair; by default an access token of RFC 9068. */
export const sign = (
  pair: Pair,
  claims: JWTPayload,
  header: Readonly<Record<string, unknown>> = {}
): Effect.Effect<string> =>
  Effect.promise(() =>
    new SignJWT(claims).setProtectedHeader({ typ: "at+jwt", kid: pair.kid, ...header, alg: pair.alg }).sign(
      pair.privateKey
    )
  )

/** A key source with the public keys of key pairs, for one issuer. */
export const keysOf = (pairs: ReadonlyArray<Pair>, issuers: ReadonlyArray<string> = [issuer]) =>
  StaticKeys.layer({
    issuers,
    keys: pairs.map(({ alg, kid, publicJwk }) => ({ id: kid, algorithm: algorithmOf(alg), jwk: publicJwk }))
  })

/** The algorithm of a key pair, which is never one of secrets. */
const algorithmOf = (
  alg: ValidationPolicy.Algorithm
): Exclude<ValidationPolicy.Algorithm, "HS256" | "HS384" | "HS512"> => {
  if (alg === "HS256" || alg === "HS384" || alg === "HS512") throw new Error("HS algorithms have no key pair")
  return alg
}

/** A validator of access tokens, with the claims of RFC 9068. */
export class Tokens extends TokenValidator.Service<Tokens>()("test/Tokens", { claims: Claims.AccessToken }) {}

/** The same, which checks on every use of a token that it is not revoked. */
export class RevocableTokens extends TokenValidator.Service<RevocableTokens>()("test/RevocableTokens", {
  claims: Claims.AccessToken,
  revocation: Revocation.Revocation
}) {}

/** A validator in the scope, over any key source. */
export const validatorOf = <E>(
  policy: ValidationPolicy.Options,
  keys: Layer.Layer<KeySource.KeySource, E>
): Effect.Effect<Tokens["Service"], E | KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.map(Layer.build(Layer.provide(Tokens.layer(policy), keys)), (context) => Context.get(context, Tokens))

/** The reason with which a validation fails. */
export const reasonOf = <A>(self: Effect.Effect<A, TokenError.TokenError>): Effect.Effect<TokenError.Reason> =>
  Effect.map(Effect.exit(self), (exit) => errorOf(exit).reason)
