import { assert, describe, it } from "@effect/vitest"
import { KeySource } from "@keelson/jwks"
import { audience, goodClaims, issuer, reasonOf, validatorOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { ValidationPolicy } from "../src/index.ts"

const encode = (value: string | Uint8Array): string => Buffer.from(value).toString("base64url")

/** A faulty key source, which claims that its key is for every algorithm. */
const claiming = (key: CryptoKey, jwk?: KeySource.Candidate["jwk"]) =>
  Layer.succeed(KeySource.KeySource, {
    find: (_, { alg, kid }) =>
      Effect.succeed([{
        alg,
        kid,
        key,
        jwk,
        issuer: undefined,
        trust: { generation: 1, holds: () => true, staleDeadline: () => undefined }
      }])
  })

type Algorithm = ValidationPolicy.Algorithm
type Generate = EcKeyGenParams | HmacKeyGenParams | RsaHashedKeyGenParams

const rsa = (name: string, hash: string): RsaHashedKeyGenParams => ({
  name,
  hash,
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1])
})

/** Keys that WebCrypto accepts for an algorithm, although they were imported for another one. */
const cases: ReadonlyArray<
  readonly [alg: Algorithm, what: string, generate: Generate, how: AlgorithmIdentifier | EcdsaParams | RsaPssParams]
> = [
  ["ES256", "a key on P-384", { name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-256" }],
  ["ES384", "a key on P-256", { name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-384" }],
  ["RS256", "a key for RS512", rsa("RSASSA-PKCS1-v1_5", "SHA-512"), "RSASSA-PKCS1-v1_5"],
  ["PS256", "a key for PS384", rsa("RSA-PSS", "SHA-384"), { name: "RSA-PSS", saltLength: 32 }],
  ["RS256", "a key for PS256", rsa("RSA-PSS", "SHA-256"), { name: "RSA-PSS", saltLength: 32 }],
  ["HS256", "a secret for HS512", { name: "HMAC", hash: "SHA-512" }, "HMAC"]
]

/** A token that names an algorithm, signed by a key of another one. */
const signed = Effect.fnUntraced(function*(alg: Algorithm, privateKey: CryptoKey, how: (typeof cases)[number][3]) {
  const text = `${encode(JSON.stringify({ alg, kid: "key", typ: "at+jwt" }))}.${
    encode(JSON.stringify(yield* goodClaims))
  }`
  const signature = yield* Effect.promise(() => crypto.subtle.sign(how, privateKey, Buffer.from(text)))
  return `${text}.${encode(new Uint8Array(signature))}`
})

describe("A signature", () => {
  it.effect.each(cases)("[S4-36] [T1] of %s is not verified by %s, whatever the key source says", ([
    alg,
    ,
    generate,
    how
  ]) =>
    Effect.gen(function*() {
      const made = yield* Effect.promise(() => crypto.subtle.generateKey(generate, true, ["sign", "verify"]))
      const [privateKey, key] = "publicKey" in made ? [made.privateKey, made.publicKey] : [made, made]
      const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: [alg] })
      const token = yield* signed(alg, privateKey, how)
      const { crv, e, kty, n, x, y } = yield* Effect.promise(() => crypto.subtle.exportKey("jwk", key))
      // oxlint-disable-next-line no-unsafe-type-assertion -- the members of the key, whatever its type
      const jwk = { kty, ...(kty === "RSA" ? { n, e } : { crv, x, y }) } as KeySource.Candidate["jwk"]
      for (const source of [claiming(key), claiming(key, jwk)]) {
        const tokens = yield* validatorOf(policy, source)
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "SignatureInvalid" })
      }
    }))
})
