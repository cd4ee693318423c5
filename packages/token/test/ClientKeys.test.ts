import { assert, describe, it } from "@effect/vitest"
import { pssPair } from "@keelson/testing/pssKeys"
import { Duration, Effect, Redacted, Result } from "effect"
import { compactVerify, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose"
import * as Crypto from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ClientAuth, SelfSignedJwt } from "../src/index.ts"
import { readPrivateKey } from "../src/internal/oauth/keyForm.ts"

const rsa = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
const pss = pssPair({
  hashAlgorithm: "sha256",
  mgf1HashAlgorithm: "sha256",
  saltLength: 32
})
const ec = (namedCurve: string) => Crypto.generateKeyPairSync("ec", { namedCurve })
const [p256, p384, p521] = [ec("P-256"), ec("P-384"), ec("P-521")]
const ed25519 = Crypto.generateKeyPairSync("ed25519")

const passphrase = "p\u00e4ss phrase"
const pem = (key: Crypto.KeyObject, type: "pkcs1" | "pkcs8" | "sec1", cipher?: string): string =>
  String(key.export({ type, format: "pem", ...(cipher === undefined ? undefined : { cipher, passphrase }) }))

/** The file that `openssl ecparam -genkey` writes: the parameters of the curve, and the key. */
const ecFile = `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${
  pem(p256.privateKey, "sec1")
}`

const escaped = (text: string): string => text.replaceAll("\n", "\\n")

type Kind = readonly [what: string, text: string, alg: ClientAuth.SigningAlgorithm, publicKey: Crypto.KeyObject]

const kinds: ReadonlyArray<Kind> = [
  ["PKCS #1 (GitHub Apps)", pem(rsa.privateKey, "pkcs1"), "RS256", rsa.publicKey],
  ["PKCS #1", pem(rsa.privateKey, "pkcs1"), "PS512", rsa.publicKey],
  ["SEC 1 on P-256", pem(p256.privateKey, "sec1"), "ES256", p256.publicKey],
  ["SEC 1 on P-384", pem(p384.privateKey, "sec1"), "ES384", p384.publicKey],
  ["SEC 1 on P-521", pem(p521.privateKey, "sec1"), "ES512", p521.publicKey],
  ["SEC 1 after EC PARAMETERS", ecFile, "ES256", p256.publicKey],
  ["RSASSA-PSS in PKCS #8", pem(pss.privateKey, "pkcs8"), "PS256", pss.publicKey],
  ["escaped PKCS #8", escaped(pem(p256.privateKey, "pkcs8")), "ES256", p256.publicKey],
  ["escaped PKCS #8 of Windows", pem(rsa.privateKey, "pkcs8").replaceAll("\n", "\\r\\n"), "RS256", rsa.publicKey],
  ["escaped PKCS #1", escaped(pem(rsa.privateKey, "pkcs1")), "RS256", rsa.publicKey],
  ["escaped SEC 1", escaped(pem(p256.privateKey, "sec1")), "ES256", p256.publicKey],
  ["PKCS #8 after a comment", `Bag Attributes\n${pem(ed25519.privateKey, "pkcs8")}`, "Ed25519", ed25519.publicKey]
]

const encrypted: ReadonlyArray<Kind> = [
  ["PKCS #8 with AES-256", pem(rsa.privateKey, "pkcs8", "aes-256-cbc"), "RS256", rsa.publicKey],
  ["PKCS #8 with Triple DES", pem(p256.privateKey, "pkcs8", "des-ede3-cbc"), "ES256", p256.publicKey],
  ["PKCS #8 of Ed25519", pem(ed25519.privateKey, "pkcs8", "aes-128-cbc"), "Ed25519", ed25519.publicKey],
  ["PKCS #1", pem(rsa.privateKey, "pkcs1", "aes-128-cbc"), "PS256", rsa.publicKey],
  ["SEC 1", pem(p384.privateKey, "sec1", "aes-256-cbc"), "ES384", p384.publicKey],
  ["escaped PKCS #8", escaped(pem(pss.privateKey, "pkcs8", "aes-256-cbc")), "PS256", pss.publicKey]
]

/** Signs with the imported key, and verifies with jose over the public key of node:crypto. */
const signsFor = ({ key }: ClientAuth.ClientKey, alg: string, publicKey: Crypto.KeyObject) =>
  Effect.promise(async () => {
    assert.deepStrictEqual([key.type, key.extractable, key.usages], ["private", false, ["sign"]])
    const token = await new SignJWT({ sub: "ada" }).setProtectedHeader({ alg }).sign(key)
    // WebCrypto does not import RSASSA-PSS keys, so that jose takes the same key as an ordinary RSA key.
    const verifier = publicKey.asymmetricKeyType === "rsa-pss"
      ? Crypto.createPublicKey({ key: rsaForm(publicKey) })
      : publicKey
    await compactVerify(token, verifier, { algorithms: [alg] })
  })

/** The public key of an RSASSA-PSS key as node:crypto writes an ordinary RSA key: converted by hand, from its PKCS #1 part. */
const rsaForm = (key: Crypto.KeyObject): string => {
  const der = key.export({ type: "spki", format: "der" })
  const bits = der.subarray(der.length - 271 + 1)
  return `-----BEGIN RSA PUBLIC KEY-----\n${bits.toString("base64")}\n-----END RSA PUBLIC KEY-----`
}

describe("ClientAuth.importKey, spellings of private keys", () => {
  for (const [what, text, alg, publicKey] of kinds) {
    it.live(`[K-28 C9] reads ${what}, and the key signs ${alg}`, () =>
      Effect.flatMap(
        ClientAuth.importKey({ text: Redacted.make(text), alg, kid: "1" }),
        (key) => signsFor(key, alg, publicKey)
      ))
  }

  for (const [what, text, alg, publicKey] of encrypted) {
    it.live(`[K-28 C9] decrypts ${what} with the passphrase, and the key signs ${alg}`, () =>
      Effect.gen(function*() {
        const given = { text: Redacted.make(text), alg, passphrase: Redacted.make(passphrase) }
        yield* signsFor(yield* ClientAuth.importKey(given), alg, publicKey)
        const wrong = yield* Effect.flip(ClientAuth.importKey({ ...given, passphrase: Redacted.make("another one") }))
        assert.strictEqual(wrong.code, "KEY_INVALID")
        assert.include(wrong.message, "the passphrase does not decrypt it")
        assert.notInclude(JSON.stringify(wrong) + wrong.message, "another one")
      }))

    it(`[K-28 C9] without node:crypto, encrypted ${what} is refused with the command that converts it`, () => {
      const advice = Result.getOrThrow(Result.flip(readPrivateKey(text, passphrase, undefined)))
      assert.include(advice, "this platform cannot decrypt")
      assert.include(advice, "openssl pkey -in key.pem -out pkcs8.pem")
    })
  }

  it.effect("[K-28 C9] an RSASSA-PSS key for another hash is refused, and the message says for which", () =>
    Effect.gen(function*() {
      const text = Redacted.make(pem(pss.privateKey, "pkcs8"))
      const error = yield* Effect.flip(ClientAuth.importKey({ text, alg: "PS512" }))
      assert.include(error.message, "this is an RSASSA-PSS key (RFC 4055) for PS256 only")
    }))

  it.effect("[K-28 C9] a broken body in any form is KEY_INVALID, and shows nothing of it", () =>
    Effect.gen(function*() {
      for (const [, text, alg] of [...kinds, ...encrypted]) {
        const cut = text.replace(
          /(PRIVATE KEY-----(?:\\r|\\n|\n|Proc-Type: 4,ENCRYPTED|DEK-Info: [\w,-]+)*)[^-]{12}/,
          "$1AAAA"
        )
        const error = yield* Effect.flip(
          ClientAuth.importKey({ text: Redacted.make(cut), alg, passphrase: Redacted.make(passphrase) })
        )
        assert.strictEqual(error.code, "KEY_INVALID")
        assert.notInclude(JSON.stringify(error) + error.message, text.slice(60, 80))
      }
    }))
})

describe("SelfSignedJwt", () => {
  const acquire = (options: SelfSignedJwt.Options) =>
    Effect.map(SelfSignedJwt.make(options).acquire, ({ accessToken, expiresIn }) => ({
      token: Redacted.value(accessToken),
      expiresIn
    }))

  it.effect("[K-28 C9] signs a GitHub App's token: PKCS #1 from a variable, iat a minute back, exp within ten minutes", () =>
    Effect.gen(function*() {
      const { expiresIn, token } = yield* acquire({
        alg: "RS256",
        issuer: "12345",
        keys: { text: Redacted.make(escaped(pem(rsa.privateKey, "pkcs1"))) },
        lifetime: "10 minutes",
        backdate: "1 minute"
      })
      const { payload } = yield* Effect.promise(() => jwtVerify(token, rsa.publicKey, { currentDate: new Date(0) }))
      assert.deepInclude(payload, { iss: "12345", iat: -60, exp: 540 })
      assert.notProperty(payload, "sub")
      assert.deepStrictEqual(expiresIn, Duration.minutes(9))
    }))

  it.effect("[K-28 C9] signs an App Store Connect token: no sub, kid in the header, the audience of the service", () =>
    Effect.gen(function*() {
      const { token } = yield* acquire({
        alg: "ES256",
        issuer: "57246542-96fe-1a63-e053-0824d011072a",
        audience: "appstoreconnect-v1",
        keys: { text: Redacted.make(pem(p256.privateKey, "pkcs8")), kid: "2X9R4HXF34" },
        lifetime: "20 minutes"
      })
      yield* Effect.promise(() =>
        jwtVerify(token, p256.publicKey, { audience: "appstoreconnect-v1", currentDate: new Date(0) })
      )
      assert.deepStrictEqual(decodeProtectedHeader(token), { alg: "ES256", typ: "JWT", kid: "2X9R4HXF34" })
      assert.notProperty(decodeJwt(token), "sub")
    }))

  it("[K-28 C9] a token that is older than its lifetime is refused with the options", () => {
    const keys = { text: Redacted.make("") }
    const make = (lifetime: "1 minute" | "61 seconds") => () =>
      SelfSignedJwt.make({ alg: "ES256", issuer: "i", keys, lifetime, backdate: "1 minute" })
    assert.throws(make("1 minute"), /backdate must be below lifetime, which is 1 minute/)
    assert.doesNotThrow(make("61 seconds"))
  })

  it.effect("[K-28 C9] text is imported again when it changes, so that a rotated file is used", () =>
    Effect.gen(function*() {
      const other = ec("P-256")
      let text = pem(p256.privateKey, "sec1")
      const source = SelfSignedJwt.make({
        alg: "ES256",
        issuer: "i",
        keys: Effect.sync(() => ({ text: Redacted.make(text) }))
      })
      const signed = Effect.map(source.acquire, ({ accessToken }) => Redacted.value(accessToken))
      const first = yield* signed
      text = pem(other.privateKey, "pkcs8")
      const second = yield* signed
      yield* Effect.promise(() => compactVerify(first, p256.publicKey))
      yield* Effect.promise(() => compactVerify(second, other.publicKey))
    }))
})

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, "../../testing/src/fixtures", name), "utf8")

/** The header of the assertion that a client would send. */
const headerOf = (auth: ClientAuth.ClientAuth) =>
  Effect.gen(function*() {
    const authenticate = yield* auth.prepare({ audience: "https://idp.example" })
    const body = new URLSearchParams()
    yield* Effect.promise(async () => authenticate({ issuer: "i" }, { client_id: "c" }, body, new Headers()))
    return decodeProtectedHeader(body.get("client_assertion") ?? "")
  })

describe("ClientAuth.privateKeyJwt with a certificate", () => {
  const certificate = fixture("selfSigned.cert.pem")
  const { fingerprint, fingerprint256, publicKey } = new Crypto.X509Certificate(certificate)
  const base64url = (hex: string) => Buffer.from(hex.replaceAll(":", ""), "hex").toString("base64url")
  const alg = publicKey.asymmetricKeyType === "rsa" ? "PS256" : "ES256"
  const key = { text: Redacted.make(fixture("selfSigned.key.pem")), alg, certificate }

  it.live("[K-28 C8] the header has the thumbprint of the certificate, as node:crypto computes it, and typ JWT", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* headerOf(ClientAuth.privateKeyJwt(key)), {
        alg,
        typ: "JWT",
        "x5t#S256": base64url(fingerprint256)
      })
      assert.deepStrictEqual(yield* headerOf(ClientAuth.privateKeyJwt(key, { thumbprint: "x5t", typ: "other" })), {
        alg,
        typ: "other",
        x5t: base64url(fingerprint)
      })
      // The certificates of its issuers may follow.
      const chain = `${certificate}\n${fixture("root.cert.pem")}`
      const { "x5t#S256": first } = yield* headerOf(ClientAuth.privateKeyJwt({ ...key, certificate: chain }))
      assert.strictEqual(first, base64url(fingerprint256))
    }))

  it.live("[K-28 C8] without a certificate the header has neither thumbprint nor typ", () =>
    Effect.gen(function*() {
      const { certificate: _, ...plain } = key
      assert.deepStrictEqual(yield* headerOf(ClientAuth.privateKeyJwt(plain)), { alg })
      const typ = "client-authentication+jwt"
      assert.deepStrictEqual(yield* headerOf(ClientAuth.privateKeyJwt(plain, { typ })), { alg, typ })
    }))

  for (
    const [what, other] of [
      ["of another key", fixture("root.cert.pem")],
      ["in no PEM", "no certificate"],
      ["that ends early", certificate.replace(/[A-Za-z0-9+/=]{4}\n-----END/, "\n-----END")]
    ] as const
  ) {
    it.live(`[K-28 C8] a certificate ${what} is KEY_INVALID, so that half a rotation is found before the server`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(headerOf(ClientAuth.privateKeyJwt({ ...key, certificate: other })))
        assert.deepInclude(error, { code: "KEY_INVALID" })
        assert.include(error.message, "certificate must be")
      }))
  }

  it.live("[K-28 C8] a rotated certificate has its own thumbprint, with the key that it belongs to", () =>
    Effect.gen(function*() {
      let current: ClientAuth.KeyText = key
      const auth = ClientAuth.privateKeyJwt(Effect.sync(() => current))
      const first = yield* headerOf(auth)
      current = {
        ...key,
        text: Redacted.make(fixture("server.key.pem")),
        alg: new Crypto.X509Certificate(fixture("server.cert.pem")).publicKey.asymmetricKeyType === "rsa"
          ? "PS256"
          : "ES256",
        certificate: fixture("server.cert.pem")
      }
      const second = yield* headerOf(auth)
      assert.notStrictEqual(first["x5t#S256"], second["x5t#S256"])
    }))
})
