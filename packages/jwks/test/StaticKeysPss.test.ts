import { assert, describe, it } from "@effect/vitest"
import { type PssLimits, pssPair } from "@keelson/testing/pssKeys"
import { Effect } from "effect"
import { CompactSign, compactVerify, importJWK } from "jose"
import * as Crypto from "node:crypto"
import { type Algorithm, StaticKeys } from "../src/index.ts"
import * as KeyForms from "../src/unstable/KeyForms.ts"

const sha256: PssLimits = { hashAlgorithm: "sha256", mgf1HashAlgorithm: "sha256", saltLength: 32 }
const sha384: PssLimits = { hashAlgorithm: "sha384", mgf1HashAlgorithm: "sha384", saltLength: 20 }

const spkiPem = (key: Crypto.KeyObject): string => String(key.export({ type: "spki", format: "pem" }))

/** Signs with node:crypto, whose OpenSSL obeys the parameters of the key. */
const signPss = (alg: "PS256" | "PS384" | "PS512", key: Crypto.KeyObject): string => {
  const input = [{ alg }, { sub: "ada" }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(
    "."
  )
  const signature = Crypto.sign(`sha${alg.slice(2)}`, Buffer.from(input), {
    key,
    padding: Crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: Number(alg.slice(2)) / 8
  })
  return `${input}.${signature.toString("base64url")}`
}

const keyFor = (algorithm: Algorithm.PublicAlgorithm, pem: string) =>
  Effect.gen(function*() {
    const keys = yield* StaticKeys.make({ issuers: ["i"], keys: [{ algorithm, pem }] })
    const [candidate] = yield* keys.find("i", { alg: algorithm })
    return candidate
  })

describe("StaticKeys with RSASSA-PSS keys (RFC 4055)", () => {
  for (
    const [what, limits, algorithms] of [
      ["without parameters", {}, ["PS256", "PS384", "PS512"]],
      ["for SHA-256", sha256, ["PS256"]],
      ["for SHA-384 with a shorter salt", sha384, ["PS384"]]
    ] as const
  ) {
    it.live(`[K-28 I3] a key ${what} verifies ${algorithms.join(", ")}, and is not extractable`, () =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = pssPair(limits)
        for (const algorithm of algorithms) {
          const candidate = yield* keyFor(algorithm, spkiPem(publicKey))
          assert.isDefined(candidate)
          assert.isFalse(candidate.key.extractable)
          const token = signPss(algorithm, privateKey)
          yield* Effect.promise(() => compactVerify(token, candidate.key))
          // The public members are those of the same key.
          const jwk = yield* Effect.promise(() => importJWK({ ...candidate.jwk }, algorithm))
          yield* Effect.promise(() => compactVerify(token, jwk))
        }
      }))
  }

  for (
    const [what, limits, algorithm, says] of [
      ["for SHA-384 as PS256", sha384, "PS256", "this is an RSASSA-PSS key (RFC 4055) for PS384 only"],
      ["without parameters as RS256", {}, "RS256", "this is an RSASSA-PSS key (RFC 4055) for PS256, PS384, PS512 only"],
      [
        "for SHA-1 as PS256",
        { hashAlgorithm: "sha1", mgf1HashAlgorithm: "sha1" },
        "PS256",
        "for a hash or salt that JWS"
      ],
      ["with another mask hash", { ...sha256, mgf1HashAlgorithm: "sha512" }, "PS256", "for a hash or salt that JWS"],
      ["with a longer salt", { ...sha256, saltLength: 48 }, "PS256", "for a hash or salt that JWS"]
    ] as const
  ) {
    it.effect(`[K-28 I3] a key ${what} is KEY_INVALID, and the message says what the key is for`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(keyFor(algorithm, spkiPem(pssPair(limits).publicKey)))
        assert.deepInclude(error, { code: "KEY_INVALID" })
        assert.include(error.message, says)
        assert.notInclude(error.message, "MII")
      }))
  }

  it.effect("[K-28 I3] a private RSASSA-PSS key is refused like every private key", () =>
    Effect.gen(function*() {
      const pem = String(pssPair().privateKey.export({ type: "pkcs8", format: "pem" }))
      assert.include((yield* Effect.flip(keyFor("PS256", pem))).message, "a private one verifies nothing")
    }))

  it.live("[K-28 I3] a private key in PKCS #8 becomes one that WebCrypto signs with", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = pssPair(sha256)
      const pss = KeyForms.fromPss(privateKey.export({ type: "pkcs8", format: "der" }))
      assert.deepStrictEqual(pss?.algorithms, ["PS256"])
      const key = yield* Effect.promise(() =>
        crypto.subtle.importKey("pkcs8", new Uint8Array(pss?.der ?? []), { name: "RSA-PSS", hash: "SHA-256" }, false, [
          "sign"
        ])
      )
      const token = yield* Effect.promise(() =>
        new CompactSign(new TextEncoder().encode("{}")).setProtectedHeader({ alg: "PS256" }).sign(key)
      )
      const [header = "", payload = "", signature = ""] = token.split(".")
      assert.isTrue(Crypto.verify(
        "sha256",
        Buffer.from(`${header}.${payload}`),
        { key: publicKey, padding: Crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
        Buffer.from(signature, "base64url")
      ))
    }))

  it("bytes that are no RSASSA-PSS key, or end early, are not read as one", () => {
    const der = pssPair(sha256).publicKey.export({ type: "spki", format: "der" })
    for (let length = 0; length < der.length; length++) {
      assert.isUndefined(KeyForms.fromPss(der.subarray(0, length)))
      assert.isUndefined(KeyForms.spkiFromCertificate(der.subarray(0, length)))
      assert.isUndefined(KeyForms.pkcs8FromSec1(der.subarray(0, length)))
    }
    const rsa = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey
    assert.isUndefined(KeyForms.fromPss(rsa.export({ type: "spki", format: "der" })))
  })
})
