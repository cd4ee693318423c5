/** Keys, tokens and validators for tests. */
import type { KeelsonError } from "@keelson/core"
import { type KeySource, StaticKeys } from "@keelson/jwks"
import { Claims, type TokenError, TokenValidator, type ValidationPolicy } from "@keelson/token"
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose"
import { errorOf } from "./exits.ts"

export const issuer = "https://idp.example"
export const audience = "api"

/** A pair for an algorithm. */
export interface Pair {
  readonly alg: ValidationPolicy.Algorithm
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

const made = new Map<string, Promise<Pair>>()

const makePair = async (alg: ValidationPolicy.Algorithm, kid: string): Promise<Pair> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicJwk: { ...await exportJWK(publicKey), kid, alg } }
}

/** The pair of an algorithm and a name, made once: keys of RSA take long. */
export const pairOf = (alg: ValidationPolicy.Algorithm, kid = `${alg}-1`): Effect.Effect<Pair> =>
  Effect.promise(() => {
    const name = `${alg} ${kid}`
    const pair = made.get(name) ?? makePair(alg, kid)
    made.set(name, pair)
    return pair
  })

/** Seconds since 1970, by the clock in context. */
export const seconds = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

/** Claims that every policy of these tests accepts for the next hour. */
export const goodClaims = Effect.map(seconds, (now): JWTPayload => ({
  iss: issuer,
  aud: audience,
  sub: "user-1",
  client_id: "client-1",
  jti: "token-1",
  iat: now,
  exp: now + 3600
}))

/** A token that a pair signed, by default an access token as RFC 9068 has it. */
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

/** The public keys of pairs, as a source for one issuer. */
export const keysOf = (pairs: ReadonlyArray<Pair>, issuers: ReadonlyArray<string> = [issuer]) =>
  StaticKeys.layer({
    issuers,
    keys: pairs.map(({ alg, kid, publicJwk }) => ({ id: kid, algorithm: algorithmOf(alg), jwk: publicJwk }))
  })

/** Static keys of pairs are public ones. */
const algorithmOf = (
  alg: ValidationPolicy.Algorithm
): Exclude<ValidationPolicy.Algorithm, "HS256" | "HS384" | "HS512"> => {
  if (alg === "HS256" || alg === "HS384" || alg === "HS512") throw new Error("a secret is no pair")
  return alg
}

/** A validator of access tokens, with the claims of RFC 9068. */
export class Tokens extends TokenValidator.Service<Tokens>()("test/Tokens", { claims: Claims.AccessToken }) {}

/** A validator in the scope, over any source of keys. */
export const validatorOf = <E>(
  policy: TokenValidator.Policy,
  keys: Layer.Layer<KeySource.KeySource, E>
): Effect.Effect<Tokens["Service"], E | KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.map(Layer.build(Layer.provide(Tokens.layer(policy), keys)), (context) => Context.get(context, Tokens))

/** Why a token was refused. */
export const reasonOf = <A>(self: Effect.Effect<A, TokenError.TokenError>): Effect.Effect<TokenError.Reason> =>
  Effect.map(Effect.exit(self), (exit) => errorOf(exit).reason)
