import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { pssPair } from "@keelson/testing/pssKeys"
import fc from "fast-check"
import * as Crypto from "node:crypto"
import * as KeyForms from "../../src/unstable/KeyForms.ts"
import * as Keys from "../fixtures/keys/generated.ts"

const pss = pssPair({ hashAlgorithm: "sha256", mgf1HashAlgorithm: "sha256", saltLength: 32 })
const ec = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
const seeds: ReadonlyArray<Uint8Array> = [
  pss.publicKey.export({ type: "spki", format: "der" }),
  pss.privateKey.export({ type: "pkcs8", format: "der" }),
  ec.privateKey.export({ type: "sec1", format: "der" }),
  new Crypto.X509Certificate(Keys.certificate(Keys.rsa)).raw
]

const readers = [KeyForms.fromPss, KeyForms.pkcs8FromSec1, KeyForms.spkiFromCertificate]

/** A key of which some bytes, mostly of its head, are changed, cut or inserted. */
const mutated = fc.tuple(
  fc.constantFrom(...seeds),
  fc.array(
    fc.tuple(
      fc.oneof(fc.nat(80), fc.nat(1200)),
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom("set", "cut", "add")
    ),
    {
      minLength: 1,
      maxLength: 6
    }
  )
).map(([seed, edits]) => {
  const bytes = [...seed]
  for (const [at, byte, edit] of edits) {
    if (edit === "set") bytes[at % bytes.length] = byte
    else bytes.splice(at % bytes.length, edit === "cut" ? 1 : 0, ...(edit === "add" ? [byte] : []))
  }
  return Uint8Array.from(bytes)
})

describe("KeyForms", () => {
  it("[K-28 I3] never throw, whatever the bytes", (context) =>
    forAll(context, 2_000, fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      for (const read of readers) assert.doesNotThrow(() => read(bytes))
    }))

  it("[K-28 I3] an RSASSA-PSS key allows an algorithm only if its parameters name the hash twice, and a salt that fits", (context) =>
    forAll(
      context,
      20,
      fc.record({
        hash: fc.constantFrom("sha1", "sha256", "sha384", "sha512"),
        mask: fc.constantFrom("sha1", "sha256", "sha384", "sha512"),
        salt: fc.constantFrom(0, 20, 32, 33, 48, 64)
      }),
      ({ hash, mask, salt }) => {
        const { publicKey } = pssPair({ hashAlgorithm: hash, mgf1HashAlgorithm: mask, saltLength: salt })
        const key = KeyForms.fromPss(publicKey.export({ type: "spki", format: "der" }))
        const isAllowed = hash === mask && hash !== "sha1" && salt <= Number(hash.slice(3)) / 8
        assert.strictEqual(key?.algorithms.join(), isAllowed ? `PS${hash.slice(3)}` : "")
      }
    ))
})
