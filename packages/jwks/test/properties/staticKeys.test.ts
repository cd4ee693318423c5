import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Redacted, Result } from "effect"
import fc from "fast-check"
import { isBound } from "../../src/internal/keys/keySelection.ts"
import * as StaticKeys from "../../src/StaticKeys.ts"
import * as Keys from "../fixtures/keys/generated.ts"

const issuer = "https://issuer.example"
const ids = ["a", "b", "__proto__", undefined]

type Key = StaticKeys.Options["keys"][number]

const publicKey = (pair: Keys.Pair, ...algorithms: ReadonlyArray<StaticKeys.PemKey["algorithm"]>): fc.Arbitrary<Key> =>
  fc.record({
    id: fc.constantFrom(...ids),
    algorithm: fc.constantFrom(...algorithms),
    source: fc.constantFrom({ pem: Keys.spki(pair) }, { jwk: Keys.jwk(pair) })
  }).map(({ algorithm, id, source }) => ({ id, algorithm, ...source }))

const key: fc.Arbitrary<Key> = fc.oneof(
  publicKey(Keys.rsa, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
  publicKey(Keys.p256, "ES256"),
  publicKey(Keys.p384, "ES384"),
  publicKey(Keys.ed25519, "EdDSA", "Ed25519"),
  fc.record({
    id: fc.constantFrom(...ids),
    algorithm: fc.constantFrom("HS256", "HS384", "HS512"),
    secret: fc.string({ minLength: 64, maxLength: 80 }).map((text) => Redacted.make(text))
  })
)

const known = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"]
const header = fc.record({
  alg: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...known, "HS256", "HS384", "HS512") },
    { weight: 1, arbitrary: fc.oneof(fc.constantFrom("none", "NONE", "hs256", "toString"), fc.string()) }
  ),
  kid: fc.oneof(fc.constantFrom(...ids, "c"), fc.string())
})

/** What WebCrypto holds, in the words of JOSE: the name of its family and hash, or its curve. */
const kindOf = ({ algorithm }: CryptoKey) => {
  const hash = "hash" in algorithm ? String(Object(algorithm.hash).name).replace("SHA-", "") : ""
  const curve = "namedCurve" in algorithm ? String(algorithm.namedCurve) : undefined
  switch (algorithm.name) {
    case "RSASSA-PKCS1-v1_5":
      return { kty: "RSA", crv: undefined, name: `RS${hash}` }
    case "RSA-PSS":
      return { kty: "RSA", crv: undefined, name: `PS${hash}` }
    case "ECDSA":
      return { kty: "EC", crv: curve, name: curve === "P-256" ? "ES256" : "ES384" }
    case "HMAC":
      return { kty: "oct", crv: undefined, name: `HS${hash}` }
    default:
      return { kty: "OKP", crv: algorithm.name, name: "EdDSA" }
  }
}

const canonical = (alg: string) => alg === "Ed25519" ? "EdDSA" : alg

/** The ids of the keys that fit a header, in order, computed from the options only. */
const fitting = (
  keys: ReadonlyArray<Key>,
  { alg, kid }: { readonly alg: string; readonly kid?: string | undefined }
): ReadonlyArray<string | undefined> => {
  const own = keys.filter((key) => canonical(key.algorithm) === canonical(alg)).map(({ id }) => id)
  if (kid === undefined) return own
  const named = own.filter((id) => id === kid)
  const all = [...named, ...own.filter((id) => id === undefined)]
  return all.length > 4 && named.length > 0 ? named : all
}

describe("StaticKeys", () => {
  it("[S4-36] [R4] each candidate is bound to the header's algorithm, four at most, none symmetric for another", (t) =>
    forAllEffect(
      t,
      300,
      fc.tuple(fc.array(key, { minLength: 1, maxLength: 12 }), fc.array(header, { minLength: 20 })),
      ([keys, headers]) =>
        Effect.gen(function*() {
          const source = yield* StaticKeys.make({ issuers: [issuer], keys })
          for (const header of headers) {
            const result = yield* Effect.result(source.find(issuer, header))
            const expected = fitting(keys, header)
            const count = expected.length
            if (Result.isFailure(result)) {
              assert.isTrue(count === 0 || count > 4)
              continue
            }
            assert.isTrue(count >= 1 && count <= 4)
            assert.deepStrictEqual(result.success.map(({ kid }) => kid), expected)
            for (const { alg, key } of result.success) {
              const kind = kindOf(key)
              assert.strictEqual(alg, header.alg)
              assert.isTrue(isBound(header.alg, kind))
              assert.strictEqual(kind.name, canonical(header.alg))
              assert.strictEqual(key.type, header.alg.startsWith("HS") ? "secret" : "public")
            }
          }
        })
    ))
})
