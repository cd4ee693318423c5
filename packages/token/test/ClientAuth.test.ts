import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { exportJWK, exportPKCS8, generateKeyPair } from "jose"
import { ClientAuth } from "../src/index.ts"
import { increasingSeconds } from "../src/internal/oauth/increasingSeconds.ts"

const keyPair = (alg: string) => Effect.promise(() => generateKeyPair(alg, { extractable: true }))

/** The code, path and bound of the error. */
const refusal = (key: ClientAuth.KeyText) =>
  Effect.map(
    Effect.flip(ClientAuth.importKey(key)),
    ({ code, details }) => [code, details["path"], details["expected"]]
  )

describe("ClientAuth", () => {
  describe("importKey", () => {
    for (const alg of ["RS256", "PS384", "ES512", "Ed25519"]) {
      it.live(`imports a key for ${alg} as PEM and as a JWK`, () =>
        Effect.gen(function*() {
          const { privateKey } = yield* keyPair(alg)
          const pem = yield* Effect.promise(() => exportPKCS8(privateKey))
          const jwk = { ...yield* Effect.promise(() => exportJWK(privateKey)), alg, kid: "of the jwk" }
          const fromPem = yield* ClientAuth.importKey({ text: Redacted.make(`\n${pem}\n`), alg, kid: "given" })
          const fromJwk = yield* ClientAuth.importKey({ text: Redacted.make(JSON.stringify(jwk)) })
          assert.deepStrictEqual([fromPem.kid, fromJwk.kid], ["given", "of the jwk"])
          for (const { key } of [fromPem, fromJwk]) {
            assert.strictEqual(key.type, "private")
            assert.deepStrictEqual(key.usages, ["sign"])
            assert.isFalse(key.extractable)
          }
        }))
    }

    it.live("fails with KEY_INVALID for anything but a private key for the algorithm", () =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* keyPair("ES256")
        const pem = Redacted.make(yield* Effect.promise(() => exportPKCS8(privateKey)))
        const jwk = (members: object) => Redacted.make(JSON.stringify(members))
        const exported = yield* Effect.promise(() => exportJWK(publicKey))
        const form = ["KEY_INVALID", "privateKey", "PEM (PKCS #8) or a JWK"]
        assert.deepStrictEqual(yield* refusal({ text: pem }), [
          "KEY_INVALID",
          "privateKeyAlgorithm",
          "given for a key that does not name it"
        ])
        assert.deepStrictEqual(yield* refusal({ text: pem, alg: "RS256" }), [
          "KEY_INVALID",
          "privateKey",
          "a private key for RS256"
        ])
        assert.deepStrictEqual(yield* refusal({ text: jwk(exported), alg: "ES256" }), [
          "KEY_INVALID",
          "privateKey",
          "a private key for ES256"
        ])
        assert.deepStrictEqual(yield* refusal({ text: Redacted.make("{") }), form)
        assert.deepStrictEqual(yield* refusal({ text: jwk({ alg: "ES256" }) }), form)
        assert.strictEqual(
          (yield* refusal({ text: jwk({ kty: "oct", k: "c2VjcmV0" }), alg: "HS256" }))[0],
          "KEY_INVALID"
        )
        assert.strictEqual((yield* refusal({ text: Redacted.make("no key"), alg: "ES256" }))[0], "KEY_INVALID")
      }))
  })

  describe("prepare", () => {
    it.live("fails with KEY_INVALID if the key cannot sign, or if key or secret cannot be read", () =>
      Effect.gen(function*() {
        const { publicKey } = yield* keyPair("ES256")
        const gone = Effect.fail("gone")
        const auths = [
          ClientAuth.privateKeyJwt({ key: publicKey }),
          ClientAuth.privateKeyJwt(gone),
          ClientAuth.secretBasic(gone),
          ClientAuth.secretPost(gone)
        ]
        for (const { prepare } of auths) {
          assert.strictEqual((yield* Effect.flip(prepare({ audience: "a" }))).code, "KEY_INVALID")
        }
      }))

    it.effect("reads the secret for each request, so that it can be rotated", () =>
      Effect.gen(function*() {
        let reads = 0
        const auth = ClientAuth.secretBasic(Effect.sync(() => Redacted.make(`secret-${++reads}`)))
        yield* auth.prepare({ audience: "a" })
        yield* auth.prepare({ audience: "a" })
        assert.strictEqual(reads, 2)
      }))
  })
})

describe("increasingSeconds", () => {
  it("[S2-27] returns strictly increasing seconds although the clock stands still", () => {
    const next = increasingSeconds()
    assert.deepStrictEqual([1_000, 1_999, 2_000, 2_000, 9_000].map(next), [1, 2, 3, 4, 9])
  })

  it("runs at most 10 seconds ahead, and restarts after the clock was set back", () => {
    const next = increasingSeconds()
    const seconds = Array.from({ length: 13 }, () => next(0))
    assert.deepStrictEqual(seconds, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1])
    assert.strictEqual(next(100_000), 100)
    assert.strictEqual(next(95_000), 101)
    assert.strictEqual(next(50_000), 50)
  })
})
