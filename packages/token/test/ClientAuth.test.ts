import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { metric, quiet } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { exportJWK, exportPKCS8, generateKeyPair } from "jose"
import { createPrivateKey, generateKeyPairSync } from "node:crypto"
import { ClientAuth, OAuthClient, SelfSignedJwt, TokenHttpClient, TokenProvider } from "../src/index.ts"
import { increasingSeconds } from "../src/internal/oauth/increasingSeconds.ts"

const keyPair = (alg: string) => Effect.promise(() => generateKeyPair(alg, { extractable: true }))

/** What a vault returns, which types do not check. */
const unchecked = (value: unknown): Effect.Effect<any> => Effect.succeed(value)

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
        const form = ["KEY_INVALID", "privateKey", "a private key in PEM, or a JWK"]
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

  describe("importKey of other forms", () => {
    const pem = (label: string, body = "AAAA") => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`
    const pkcs1 = createPrivateKey(
      generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
        type: "pkcs1",
        format: "pem"
      })
    )
    const cipher = { cipher: "aes-128-cbc", passphrase: "x" } as const
    const texts: ReadonlyArray<readonly [what: string, text: string, form: string, advice: string]> = [
      [
        "encrypted PKCS #8",
        String(pkcs1.export({ type: "pkcs8", format: "pem", ...cipher })),
        "an encrypted key",
        "give its passphrase in privateKeyPassphrase, or convert it with `openssl pkey"
      ],
      [
        "encrypted PKCS #1",
        String(pkcs1.export({ type: "pkcs1", format: "pem", ...cipher })),
        "an encrypted key",
        "openssl pkey"
      ],
      ["two private keys", pem("PRIVATE KEY").repeat(2), "more than one private key", "give the one that signs"],
      ["OpenSSH", pem("OPENSSH PRIVATE KEY"), "an OpenSSH key", "ssh-keygen"],
      ["a public key", pem("PUBLIC KEY"), "a public key", "the private key"],
      ["a certificate", pem("CERTIFICATE"), "a certificate", "the private key"],
      [
        "a PEM in base64",
        Buffer.from(pem("PRIVATE KEY")).toString("base64").replaceAll(/(.{40})/g, "$1\n"),
        "a PEM in base64",
        "decode it"
      ],
      ["a PEM in quotes", `"${pem("PRIVATE KEY")}"`, "a PEM in quotes", "remove them"]
    ]
    for (const [what, text, form, advice] of texts) {
      it.live(`[K-28 E] KEY_INVALID for ${what} says what the text is and what to do`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(ClientAuth.importKey({ text: Redacted.make(text), alg: "RS256" }))
          assert.deepStrictEqual([error.code, error.details["path"]], ["KEY_INVALID", "privateKey"])
          assert.include(error.message, form)
          assert.include(error.message, advice)
          const [, line = "-"] = text.split(/\n|\\n/)
          assert.notInclude(JSON.stringify(error) + error.message, line.slice(0, 24))
        }))
    }
  })

  describe("prepare", () => {
    const unusable = [undefined, null, "plain text", Redacted.make(""), Redacted.make(undefined)] as const
    for (const [index, value] of unusable.entries()) {
      it.effect(`[K-28 C5] an unusable secret (${index}) is KEY_INVALID, not a defect`, () =>
        Effect.gen(function*() {
          const secret = unchecked(value)
          for (const auth of [ClientAuth.secretBasic(secret), ClientAuth.secretPost(secret)]) {
            const error = yield* Effect.flip(auth.prepare({ audience: "a" }))
            assert.deepStrictEqual([error.code, error.details["path"]], ["KEY_INVALID", "clientSecret"])
          }
        }))
    }

    it.effect("[K-28 C5] an unusable key is KEY_INVALID, not a defect", () =>
      Effect.gen(function*() {
        const { privateKey } = yield* keyPair("ES256")
        for (const key of [undefined, null, {}, { key: "text" }, { key: privateKey, kid: "" }]) {
          const error = yield* Effect.flip(ClientAuth.privateKeyJwt(unchecked(key)).prepare({ audience: "a" }))
          assert.deepStrictEqual([error.code, error.details["path"]], ["KEY_INVALID", "privateKey"])
          const { acquire } = SelfSignedJwt.make({
            alg: "ES256",
            issuer: "i",
            subject: "s",
            keys: unchecked(key === null || key === undefined || !("kid" in key) ? key : undefined)
          })
          assert.deepInclude(yield* Effect.flip(acquire), { code: "KEY_INVALID" })
        }
      }))

    it.effect("[K-28 C5] an empty secret from a vault fails one acquisition, which is counted; the next one reads it again", () =>
      Effect.gen(function*() {
        let reads = 0
        const source = OAuthClient.clientCredentials({
          tokenEndpoint: "https://idp.example/token",
          clientId: "client",
          auth: ClientAuth.secretBasic(Effect.sync(() => Redacted.make(reads++ === 0 ? "" : "secret")))
        })
        const client = HttpClient.make((request) =>
          Effect.succeed(
            HttpClientResponse.fromWeb(request, Response.json({ access_token: "good", token_type: "Bearer" }))
          )
        )
        const provider = yield* TokenProvider.make({ name: "idp", source }).pipe(
          Effect.provideService(TokenHttpClient.TokenHttpClient, client)
        )
        const error = yield* Effect.flip(provider.get)
        assert.strictEqual(error.code, "KEY_INVALID")
        const { consecutiveFailures, counts } = yield* provider.status
        assert.deepStrictEqual([consecutiveFailures, counts.failures], [1, 1])
        assert.strictEqual(
          yield* metric("token_acquisitions_total", "server=\"idp\",status=\"failure\""),
          1
        )
        assert.strictEqual(Redacted.value((yield* provider.get).value), "good")
      }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

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
