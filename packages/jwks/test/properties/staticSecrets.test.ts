import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Redacted } from "effect"
import fc from "fast-check"
import { isKeyMaterial } from "../../src/internal/static/publicKeyAsSecret.ts"
import * as StaticKeys from "../../src/StaticKeys.ts"
import * as Keys from "../fixtures/keys/generated.ts"

const encodings = ["utf8", "base64", "base64url"] as const
const armors = {
  base64: (bytes: Buffer) => bytes.toString("base64"),
  base64url: (bytes: Buffer) => bytes.toString("base64url"),
  hex: (bytes: Buffer) => bytes.toString("hex"),
  HEX: (bytes: Buffer) => bytes.toString("hex").toUpperCase(),
  percent: (bytes: Buffer) => encodeURIComponent(bytes.toString())
}

const make = (secret: string, encoding: StaticKeys.SecretKey["encoding"]) =>
  StaticKeys.make({
    issuers: ["https://issuer.example"],
    keys: [{ algorithm: "HS256", secret: Redacted.make(secret), encoding }]
  })

/** Even, as those of a generator of keys: without the small numbers and repetitions that are tried first. */
const evenBytes = (minLength: number, maxLength: number) => fc.noBias(fc.uint8Array({ minLength, maxLength }))

/** Checked together with the text that it was decoded from. */
const isRefused = (bytes: Buffer) => isKeyMaterial(bytes.toString("base64url"), bytes)

const keys = [Keys.rsa, Keys.p256, Keys.ed25519].flatMap((pair) => [
  Keys.spki(pair),
  JSON.stringify(Keys.jwk(pair)),
  Keys.certificate(pair)
])

describe("StaticKeys", () => {
  it("[S4-35] random secrets of 32 to 64 bytes are never refused, however they are written", (t) =>
    forAllEffect(t, 500, evenBytes(32, 64), (secret) =>
      Effect.gen(function*() {
        const bytes = Buffer.from(secret)
        // Bytes that points, DER and OpenSSH keys begin with are as good as others.
        for (const start of [bytes[0] ?? 0, 0x00, 0x04, 0x30]) {
          bytes[0] = start
          assert.isFalse(yield* isRefused(bytes))
          for (const armor of [armors.base64, armors.base64url, armors.hex, armors.HEX]) {
            assert.isFalse(yield* isRefused(Buffer.from(armor(bytes))))
          }
        }
        yield* make(armors.hex(bytes), "utf8")
        yield* make(armors.base64(bytes), "base64")
      })))

  it("[S4-35] random secrets of the sizes of points are never refused", (t) =>
    forAllEffect(
      t,
      500,
      fc.tuple(fc.constantFrom(65, 97, 133), evenBytes(133, 133)),
      ([size, secret]) =>
        Effect.gen(function*() {
          const bytes = Buffer.concat([Buffer.of(4), secret]).subarray(0, size)
          yield* make(bytes.toString("base64"), "base64")
          yield* make(bytes.toString("hex"), "utf8")
        })
    ))

  it("[S4-36] a public key in up to four nested encodings is rejected as a secret", (t) =>
    forAllEffect(
      t,
      300,
      fc.tuple(
        fc.constantFrom(...keys),
        fc.array(fc.constantFrom(...Object.values(armors)), { maxLength: 4 }),
        fc.constantFrom(...encodings)
      ),
      ([key, layers, encoding]) =>
        Effect.gen(function*() {
          const written = layers.reduce((text, armor) => armor(Buffer.from(text)), key)
          const error = yield* Effect.flip(make(written, encoding))
          assert.strictEqual(error.code, "KEY_INVALID")
        })
    ))
})
