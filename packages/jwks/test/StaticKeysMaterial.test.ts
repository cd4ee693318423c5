import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { Effect, FileSystem, Redacted } from "effect"
import { base64url, CompactSign, compactVerify } from "jose"
import { createHmac, createSecretKey, type KeyObject, randomBytes, X509Certificate } from "node:crypto"
import * as StaticKeys from "../src/StaticKeys.ts"
import * as Keys from "./fixtures/keys/generated.ts"

const issuer = "https://issuer.example"

/** A source of one key. Typed loosely, since much of what is refused here does not compile. */
const single = (key: object) =>
  Effect.flatMap(Configuration.decode(StaticKeys.StaticKeys)({ issuers: [issuer], keys: [key] }), StaticKeys.makeFiles)
    .pipe(
      Effect.provide(FileSystem.layerNoop({}))
    )

/** The details of the error that a key is refused with. */
const refusal = (key: object) =>
  Effect.map(
    Effect.flip(single(key)),
    ({ code, details }): Readonly<Record<string, unknown>> => ({ code, ...details })
  )

/** Signs with a private key and verifies with the candidate for it. */
const roundTrip = Effect.fnUntraced(function*(key: object, alg: string, privateKey: KeyObject) {
  const source = yield* single(key)
  const [candidate] = yield* source.find(issuer, { alg })
  assert.isDefined(candidate)
  const jws = yield* Effect.promise(() =>
    new CompactSign(new Uint8Array([1])).setProtectedHeader({ alg }).sign(privateKey)
  )
  yield* Effect.promise(() => compactVerify(jws, candidate.key, { algorithms: [alg] }))
  return candidate.key
})

const kinds: ReadonlyArray<readonly [pair: Keys.Pair, algorithms: ReadonlyArray<string>]> = [
  [Keys.rsa, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
  [Keys.p256, ["ES256"]],
  [Keys.p384, ["ES384"]],
  [Keys.p521, ["ES512"]],
  [Keys.ed25519, ["EdDSA", "Ed25519"]]
]

describe("StaticKeys, public keys", () => {
  for (const [pair, algorithms] of kinds) {
    for (const algorithm of algorithms) {
      it.effect(`[S4-35] a key for ${algorithm} verifies as SPKI and as JWK, and is not extractable`, () =>
        Effect.gen(function*() {
          for (const key of [{ algorithm, pem: Keys.spki(pair) }, { algorithm, jwk: Keys.jwk(pair) }]) {
            const imported = yield* roundTrip(key, algorithm, pair.privateKey)
            assert.isFalse(imported.extractable)
            assert.strictEqual(imported.type, "public")
            assert.deepStrictEqual(imported.usages, ["verify"])
          }
        }))
    }
  }

  it.effect("[S4-35] PKCS#1 and a certificate give their RSA key, whose dates are not looked at", () =>
    Effect.gen(function*() {
      const certificate = Keys.certificate(Keys.rsa)
      assert.isTrue(new X509Certificate(certificate).verify(Keys.rsa.publicKey))
      for (const pem of [Keys.pkcs1(Keys.rsa), certificate]) {
        const key = yield* roundTrip({ algorithm: "PS256", pem }, "PS256", Keys.rsa.privateKey)
        assert.isFalse(key.extractable)
      }
      yield* roundTrip({ algorithm: "ES256", pem: Keys.certificate(Keys.p256) }, "ES256", Keys.p256.privateKey)
    }))

  it.effect("[S4-35] white space and a byte order mark around a PEM, and any line breaks in it, mean nothing", () =>
    Effect.gen(function*() {
      const pem = Keys.spki(Keys.p256)
      const forms = [
        ` \n\t${pem}`,
        `\u{feff}${pem}`,
        `\u{feff}\r\n${pem}\n\n`,
        pem.replaceAll("\n", "\r\n"),
        pem.replaceAll("\n", "\n    "),
        pem.replaceAll("\n", " ")
      ]
      for (const pem of forms) yield* roundTrip({ algorithm: "ES256", pem }, "ES256", Keys.p256.privateKey)
    }))

  it.effect("[R4] RSA keys have 2048 to 8192 bits", () =>
    Effect.gen(function*() {
      for (const bits of [2048, 8192]) yield* single({ algorithm: "RS256", jwk: Keys.modulus(bits) })
      for (const bits of [1024, 2040, 8200]) {
        const expected = "an RSA public key of 2048 to 8192 bits, for RS256"
        assert.deepStrictEqual(yield* refusal({ algorithm: "RS256", jwk: Keys.modulus(bits) }), {
          code: "KEY_INVALID",
          path: "keys.0.jwk",
          expected
        })
        assert.strictEqual((yield* refusal({ algorithm: "RS256", pem: Keys.modulusPem(bits) }))["expected"], expected)
      }
    }))

  for (const [name, e] of [["1", "AQ"], ["1, padded", "AAAB"], ["65536", "AQAA"]]) {
    it.effect(`an RSA key with the exponent ${name} is refused`, () =>
      Effect.gen(function*() {
        const { code } = yield* refusal({ algorithm: "RS256", jwk: Keys.modulus(2048, e) })
        assert.strictEqual(code, "KEY_INVALID")
      }))
  }

  const others = [Keys.rsa, Keys.p256, Keys.p384, Keys.p521, Keys.ed25519, Keys.x25519]
  for (const [pair, algorithms] of kinds) {
    for (const algorithm of algorithms) {
      it.effect(`[S4-36] ${algorithm} refuses keys of another type or curve, in every form`, () =>
        Effect.gen(function*() {
          for (const other of others.filter((other) => other !== pair)) {
            for (
              const form of [{ pem: Keys.spki(other) }, { jwk: Keys.jwk(other) }, { pem: Keys.certificate(other) }]
            ) {
              const error = yield* refusal({ algorithm, ...form })
              assert.strictEqual(error["code"], "KEY_INVALID")
              assert.match(String(error["expected"]), new RegExp(`^an? [^:]+, for ${algorithm}$`))
            }
          }
        }))
    }
  }

  const sec1 = () => Keys.p256.privateKey.export({ type: "sec1", format: "pem" }).toString()
  const old = () => Keys.rsa.privateKey.export({ type: "pkcs1", format: "pem" }).toString()
  const encrypted = () =>
    Keys.rsa.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }).toString()
  it.effect("[S4-35] private keys are refused, with the reason, in every form", () =>
    Effect.gen(function*() {
      const forms: ReadonlyArray<object> = [
        { algorithm: "RS256", pem: Keys.pkcs8(Keys.rsa) },
        { algorithm: "RS256", pem: old() },
        { algorithm: "RS256", pem: encrypted() },
        { algorithm: "ES256", pem: sec1() },
        { algorithm: "ES256", pem: `${Keys.spki(Keys.p256)}${sec1()}` },
        ...kinds.map(([pair, [algorithm]]) => ({ algorithm, jwk: Keys.privateJwk(pair) })),
        { algorithm: "RS256", jwk: { ...Keys.jwk(Keys.rsa), p: "AQ" } }
      ]
      for (const form of forms) {
        const error = yield* refusal(form)
        assert.strictEqual(error["code"], "KEY_INVALID")
        assert.match(String(error["expected"]), /private/)
      }
    }))

  const pem = Keys.spki(Keys.rsa)
  const malformed: ReadonlyArray<readonly [name: string, pem: string]> = [
    ["text", "not a key"],
    ["a PEM after other text", `Subject: a\n${pem}`],
    ["two blocks", pem + pem],
    ["an unknown label", pem.replaceAll("PUBLIC KEY", "EC PARAMETERS")],
    ["labels that differ", pem.replace("END PUBLIC", "END RSA PUBLIC")],
    ["four dashes", pem.replaceAll("-----", "----")],
    ["no base64", pem.replace("MII", "M*I")],
    ["a cut block", pem.replace(/\n.{64}\n/, "\n")],
    [
      "bytes after the key",
      Keys.armored("PUBLIC KEY", Buffer.concat([Buffer.from(pem.slice(27, -26), "base64"), Buffer.of(0)]))
    ],
    ["no bytes", "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----"],
    ["an SPKI that says to be PKCS#1", pem.replaceAll("PUBLIC KEY", "RSA PUBLIC KEY")],
    ["an SPKI that says to be a certificate", pem.replaceAll("PUBLIC KEY", "CERTIFICATE")],
    ["a JWK", JSON.stringify(Keys.jwk(Keys.rsa))],
    ["a secret", "s".repeat(64)]
  ]
  for (const [name, pem] of malformed) {
    it.effect(`[S4-35] ${name} in place of a PEM is KEY_INVALID, naming the place`, () =>
      Effect.gen(function*() {
        const { code, path } = yield* refusal({ algorithm: "RS256", pem })
        assert.deepStrictEqual([code, path], ["KEY_INVALID", "keys.0.pem"])
      }))
  }

  const rsa = Keys.jwk(Keys.rsa)
  const jwks: ReadonlyArray<readonly [name: string, jwk: object]> = [
    ["another alg", { ...rsa, alg: "RS512" }],
    ["the use enc", { ...rsa, use: "enc" }],
    ["key_ops without verify", { ...rsa, key_ops: ["encrypt"] }],
    ["key_ops that are no list", { ...rsa, key_ops: "verify" }],
    ["key_ops with a duplicate", { ...rsa, key_ops: ["verify", "verify"] }],
    ["key_ops with a number", { ...rsa, key_ops: ["verify", 1] }],
    ["no modulus", { kty: "RSA", e: "AQAB" }],
    ["a modulus that is no text", { ...rsa, n: 5 }],
    ["the type oct", { kty: "oct", k: "c2VjcmV0" }],
    ["a k", { ...rsa, k: "c2VjcmV0" }],
    ["a kid that is no text", { ...rsa, kid: 5 }],
    ["a kid of 257 characters", { ...rsa, kid: "k".repeat(257) }],
    ["a type of Object's prototype", { ...rsa, kty: "constructor" }],
    ["nothing", {}]
  ]
  for (const [name, jwk] of jwks) {
    it.effect(`[S4-35] a JWK with ${name} is KEY_INVALID`, () =>
      Effect.gen(function*() {
        const { code, path } = yield* refusal({ algorithm: "RS256", jwk })
        assert.deepStrictEqual([code, path], ["KEY_INVALID", "keys.0.jwk"])
      }))
  }

  it.effect("a JWK that states this algorithm and verification is accepted, also with unknown members", () =>
    Effect.gen(function*() {
      const own = { use: "sig", key_ops: ["verify"], x5t: "abc", ext: true, nested: { a: 1 } }
      yield* roundTrip({ algorithm: "RS256", jwk: { ...rsa, ...own, alg: "RS256" } }, "RS256", Keys.rsa.privateKey)
      const { privateKey } = Keys.ed25519
      yield* roundTrip({ algorithm: "EdDSA", jwk: { ...Keys.jwk(Keys.ed25519), alg: "Ed25519" } }, "EdDSA", privateKey)
    }))
})

describe("StaticKeys, secrets", () => {
  const sizes = [["HS256", 32], ["HS384", 48], ["HS512", 64]] as const

  for (const [algorithm, size] of sizes) {
    const tooShort = {
      code: "KEY_INVALID",
      path: "keys.0.secret",
      expected: `at least ${size} bytes, for ${algorithm}`
    }

    it.effect(`[S4-35] a secret in text for ${algorithm} has at least ${size} bytes of UTF-8`, () =>
      Effect.gen(function*() {
        const secret = "ä".repeat(size / 2)
        const key = yield* roundTrip({ algorithm, secret }, algorithm, createSecretKey(Buffer.from(secret)))
        assert.isFalse(key.extractable)
        assert.deepStrictEqual(key.usages, ["verify"])
        yield* roundTrip({ algorithm, secret, encoding: "utf8" }, algorithm, createSecretKey(Buffer.from(secret)))
        assert.deepStrictEqual(yield* refusal({ algorithm, secret: `${secret.slice(1)}a` }), tooShort)
      }))

    it.effect(`[S4-35] a secret in base64 or base64url for ${algorithm} has at least ${size} bytes`, () =>
      Effect.gen(function*() {
        for (const encoding of ["base64", "base64url"] as const) {
          const bytes = Buffer.concat([Buffer.of(0xfb, 0xff), randomBytes(size - 2)])
          const secret = bytes.toString(encoding)
          yield* roundTrip({ algorithm, secret, encoding }, algorithm, createSecretKey(bytes))
          const short = bytes.subarray(1).toString(encoding)
          assert.deepStrictEqual(yield* refusal({ algorithm, secret: short, encoding }), tooShort)
        }
      }))
  }

  it.effect("a secret that is not in its encoding is refused", () =>
    Effect.gen(function*() {
      for (const encoding of ["base64", "base64url"]) {
        const error = yield* refusal({ algorithm: "HS256", secret: "*".repeat(64), encoding })
        assert.strictEqual(error["expected"], `bytes in ${encoding}`)
      }
    }))

  const der = Buffer.from(Keys.spki(Keys.rsa).slice(27, -26), "base64")
  const spki = Keys.spki(Keys.rsa)
  const base64 = (text: string) => Buffer.from(text).toString("base64")
  const openSsh = Buffer.concat([Buffer.of(0, 0, 0, 7), Buffer.from("ssh-rsa"), randomBytes(270)])
  const pointOf = (pair: Keys.Pair): Buffer => {
    const { x, y } = Keys.jwk(pair)
    return Buffer.concat([Buffer.of(4), Buffer.from(String(x), "base64url"), Buffer.from(String(y), "base64url")])
  }
  const keys: ReadonlyArray<readonly [name: string, secret: string, encoding?: string]> = [
    ["SPKI", Keys.spki(Keys.rsa)],
    ["PKCS#1", Keys.pkcs1(Keys.rsa)],
    ["a certificate", Keys.certificate(Keys.rsa)],
    ["a private key", Keys.pkcs8(Keys.rsa)],
    ["PEM after white space", ` \n${Keys.spki(Keys.p256)}`],
    ["PEM after a byte order mark", `\u{feff}${Keys.spki(Keys.p256)}`],
    ["PEM in lower case", Keys.spki(Keys.p256).toLowerCase()],
    ["PEM after text", `key: ${Keys.spki(Keys.p256)}`],
    ["PEM in base64", Buffer.from(Keys.spki(Keys.rsa)).toString("base64"), "base64"],
    ["DER in base64", der.toString("base64"), "base64"],
    ["DER in base64url", der.toString("base64url"), "base64url"],
    ["DER of PKCS#1 in base64", Keys.pkcs1(Keys.rsa).replaceAll(/-----.*-----|\n/g, ""), "base64"],
    ["the text of DER in base64", der.toString("base64")],
    ["the text of DER in base64, with line breaks", der.toString("base64").replaceAll(/.{64}/g, "$&\r\n")],
    ["the text of DER in base64url", der.toString("base64url")],
    ["the text of PEM in base64", Buffer.from(Keys.spki(Keys.rsa)).toString("base64")],
    ["a JWK", JSON.stringify(Keys.jwk(Keys.rsa))],
    ["a JWK after white space", ` ${JSON.stringify(Keys.jwk(Keys.p256), null, 2)}`],
    ["a key set", JSON.stringify({ keys: [Keys.jwk(Keys.rsa)] })],
    ["an OpenSSH key", `ssh-rsa ${"A".repeat(64)} me@host`],
    ["an OpenSSH key after options", `command="x" ssh-rsa ${"A".repeat(64)} me@host`],
    ["the base64 of an OpenSSH key", openSsh.toString("base64")],
    ["PEM in base64 twice", base64(base64(spki))],
    ["PEM in base64 four times", base64(base64(base64(base64(spki))))],
    ["PEM in base64 twice, given as base64", base64(base64(spki)), "base64"],
    ["the text of DER in base64 twice", base64(der.toString("base64"))],
    ["the text of DER in base64, percent-encoded", encodeURIComponent(der.toString("base64"))],
    ["percent-encoded PEM", encodeURIComponent(spki)],
    ["the hexadecimal of PEM", Buffer.from(spki).toString("hex")],
    ["the hexadecimal of DER", der.toString("hex")],
    [
      "the hexadecimal of DER in upper case with colons",
      der.toString("hex").toUpperCase().replaceAll(/..(?=.)/g, "$&:")
    ],
    ["the hexadecimal of DER, given as base64", der.toString("hex"), "base64"],
    ["the hexadecimal of PEM, given as base64url", Buffer.from(spki).toString("hex"), "base64url"],
    ["PEM without its first line", spki.slice(spki.indexOf("\n") + 1)],
    ["PEM with other dashes", spki.replaceAll("-----", "\u2014")],
    ["PEM with three dashes", spki.replaceAll("-----", "---")],
    ["PEM in UTF-16", Buffer.from(spki, "utf16le").toString("base64"), "base64"],
    ["a JWK without kty", JSON.stringify({ n: Keys.jwk(Keys.rsa)["n"], e: "AQAB" })],
    ["a JWK with an escaped kty", JSON.stringify(Keys.jwk(Keys.rsa)).replace("kty", "\\u006bty")],
    ["a JWK of a curve with escaped members", JSON.stringify({ x: "A".repeat(43) }).replace("x", "\\u0078")],
    ["a JWK in a JSON text", JSON.stringify(JSON.stringify(Keys.jwk(Keys.rsa)))],
    ["a JWK after a zero-width space", `\u200b${JSON.stringify(Keys.jwk(Keys.rsa))}`],
    ["a JWK after a zero", `\0${JSON.stringify(Keys.jwk(Keys.rsa))}`],
    ["a JWK in UTF-16", Buffer.from(JSON.stringify(Keys.jwk(Keys.rsa)), "utf16le").toString("base64"), "base64"],
    ...[Keys.p256, Keys.p384, Keys.p521].flatMap((pair) => [
      [`a point of ${pointOf(pair).length} bytes`, pointOf(pair).toString("base64"), "base64"] as const,
      [`the base64url of a point of ${pointOf(pair).length} bytes`, pointOf(pair).toString("base64url")] as const,
      [`the hexadecimal of a point of ${pointOf(pair).length} bytes`, pointOf(pair).toString("hex")] as const
    ])
  ]
  for (const [name, secret, encoding] of keys) {
    it.effect(`[S4-36] CVE-2022-23541, CVE-2023-48223, CVE-2026-34950: ${name} is rejected as a secret`, () =>
      Effect.gen(function*() {
        const key = {
          algorithm: "HS256",
          secret: Redacted.make(secret),
          ...(encoding === undefined ? {} : { encoding })
        }
        const error = yield* refusal(key)
        assert.strictEqual(error["code"], "KEY_INVALID")
        assert.include(String(error["expected"]), "not a key in PEM, JWK, DER or OpenSSH format")
      }))
  }

  const inners = [
    [0xff, 0x00],
    [0x02, 0x29],
    [0x02, 0x28],
    [0x02, 0x01, 0x05, 0xff, 0x25],
    [0x02, 0x01, 0x05, 0x02, 0x26],
    [0x02, 0x01, 0x05, 0x02, 0x21, 0x02],
    [0x30, 0x29],
    [0x30, 0x80],
    [0x30, 0x85],
    [0x30, 0x84, 0xff, 0xff, 0xff, 0xff]
  ]
  for (const inner of inners) {
    it.effect(`bytes that begin like DER, with ${inner.join(" ")}, and are none are a secret`, () =>
      Effect.gen(function*() {
        const bytes = Buffer.concat([Buffer.of(0x30, 0x2a, ...inner), Buffer.alloc(42 - inner.length, 0xff)])
        const key = { algorithm: "HS256", secret: bytes.toString("base64"), encoding: "base64" }
        yield* roundTrip(key, "HS256", createSecretKey(bytes))
      }))
  }

  it.effect("[S4-36] a public key can't be used as a secret, nor a secret as a public key", () =>
    Effect.gen(function*() {
      const secret = base64url.encode(randomBytes(64))
      for (const algorithm of ["HS256", "HS384", "HS512"]) {
        for (const form of [{ pem: Keys.spki(Keys.rsa) }, { jwk: Keys.jwk(Keys.rsa) }, { path: "/a.pem" }]) {
          const { code, expected, path } = yield* refusal({ algorithm, ...form })
          assert.deepStrictEqual([code, path], ["KEY_INVALID", "keys.0"])
          assert.include(String(expected), "symmetric")
        }
      }
      for (const algorithm of ["RS256", "PS512", "ES256", "EdDSA"]) {
        const { code, path } = yield* refusal({ algorithm, secret })
        assert.deepStrictEqual([code, path], ["KEY_INVALID", "keys.0"])
      }
    }))

  it.effect("[S4-36] a token that is signed with HS256 and the public key finds no key", () =>
    Effect.gen(function*() {
      const pem = Keys.spki(Keys.rsa)
      const source = yield* single({ algorithm: "RS256", pem })
      const [candidate] = yield* source.find(issuer, { alg: "RS256" })
      const input = `${base64url.encode(JSON.stringify({ alg: "HS256" }))}.${base64url.encode("{}")}`
      const forged = `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`
      assert.strictEqual((yield* Effect.flip(source.find(issuer, { alg: "HS256" })))._tag, "JwksKeyNotFound")
      assert.isDefined(candidate)
      yield* Effect.flip(Effect.tryPromise(() => compactVerify(forged, candidate.key)))
    }))
})
