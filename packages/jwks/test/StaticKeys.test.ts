import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Effect, FileSystem, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { CompactSign, compactVerify } from "jose"
import { createSecretKey, type KeyObject } from "node:crypto"
import { type Candidate, KeySource } from "../src/KeySource.ts"
import * as StaticKeys from "../src/StaticKeys.ts"
import * as Keys from "./fixtures/keys/generated.ts"

const issuer = "https://issuer.example"
const text = "a secret that is long enough for HS256"
const secret = Redacted.make(text)

const pem = (pair: Keys.Pair, algorithm: StaticKeys.PemKey["algorithm"], id?: string): StaticKeys.PemKey => ({
  id,
  algorithm,
  pem: Keys.spki(pair)
})

const make = (...keys: StaticKeys.Options["keys"]) => StaticKeys.make({ issuers: [issuer], keys })

const ids = (candidates: ReadonlyArray<Candidate>) => candidates.map(({ kid }) => kid)

/** Signs, finds candidates by the token's header, and gives the place of the one that verifies. */
const verifies = Effect.fnUntraced(function*(source: KeySource["Service"], key: KeyObject, alg: string, kid?: string) {
  const header = kid === undefined ? { alg } : { alg, kid }
  const jws = yield* Effect.promise(() => new CompactSign(new Uint8Array([7])).setProtectedHeader(header).sign(key))
  const candidates = yield* source.find(issuer, header)
  const tried = yield* Effect.forEach(
    candidates,
    ({ key }) => Effect.promise(() => compactVerify(jws, key).then(() => true, () => false))
  )
  return tried.indexOf(true)
})

const reason = (source: KeySource["Service"], alg: string, kid?: string) =>
  Effect.map(
    Effect.flip(source.find(issuer, { alg, kid })),
    (error) => error._tag === "JwksKeyNotFound" ? error.reason : error._tag
  )

describe("StaticKeys", () => {
  describe("find", () => {
    const mixed = () =>
      make(
        pem(Keys.rsa, "RS256", "rsa"),
        { id: "ec", algorithm: "ES256", jwk: Keys.jwk(Keys.p256) },
        { id: "mac", algorithm: "HS256", secret },
        pem(Keys.ed25519, "EdDSA")
      )

    it.effect("[S4-37] [K-26] of a mixed set the kid selects the key, which verifies", () =>
      Effect.gen(function*() {
        const source = yield* mixed()
        assert.strictEqual(yield* verifies(source, Keys.rsa.privateKey, "RS256", "rsa"), 0)
        assert.strictEqual(yield* verifies(source, Keys.p256.privateKey, "ES256", "ec"), 0)
        assert.strictEqual(yield* verifies(source, createSecretKey(Buffer.from(text)), "HS256", "mac"), 0)
        assert.strictEqual(yield* verifies(source, Keys.otherRsa.privateKey, "RS256", "rsa"), -1)
      }))

    it.effect("[S4-37] a token without kid is tried with all keys that fit, in the order of the list", () =>
      Effect.gen(function*() {
        const source = yield* make(
          pem(Keys.otherRsa, "RS256", "b"),
          pem(Keys.p256, "ES256", "c"),
          pem(Keys.rsa, "RS256"),
          pem(Keys.rsa, "PS256", "d")
        )
        assert.deepStrictEqual(ids(yield* source.find(issuer, { alg: "RS256" })), ["b", undefined])
        assert.strictEqual(yield* verifies(source, Keys.rsa.privateKey, "RS256"), 1)
      }))

    it.effect("[S4-37] the old and the new key both work while keys are rotated, with and without kid", () =>
      Effect.gen(function*() {
        const [old, next] = [Keys.otherRsa, Keys.rsa]
        const source = yield* make(pem(next, "RS256", "2026"), pem(old, "RS256", "2025"))
        for (const [place, [pair, kid]] of ([[next, "2026"], [old, "2025"]] as const).entries()) {
          assert.strictEqual(yield* verifies(source, pair.privateKey, "RS256", kid), 0)
          assert.strictEqual(yield* verifies(source, pair.privateKey, "RS256"), place)
        }
      }))

    it.effect("[S4-37] keys that share an id are all tried", () =>
      Effect.gen(function*() {
        const source = yield* make(
          pem(Keys.otherRsa, "RS256", "same"),
          pem(Keys.rsa, "RS256", "same"),
          pem(Keys.p256, "ES256", "same")
        )
        assert.strictEqual(yield* verifies(source, Keys.rsa.privateKey, "RS256", "same"), 1)
        assert.strictEqual(yield* verifies(source, Keys.p256.privateKey, "ES256", "same"), 0)
      }))

    it.effect("[S4-37] an unknown kid finds no key, though others would fit; nor does one for another algorithm", () =>
      Effect.gen(function*() {
        const source = yield* mixed()
        assert.strictEqual(yield* reason(source, "RS256", "other"), "unknown")
        assert.strictEqual(yield* reason(source, "RS256", "__proto__"), "unknown")
        assert.strictEqual(yield* reason(source, "PS256", "rsa"), "mismatched")
        assert.strictEqual(yield* reason(source, "ES384"), "unknown")
      }))

    for (const alg of ["none", "None", "NONE", "", "hs256", "HS256", "HS512", "ES256K", "RSA-OAEP", "constructor"]) {
      it.effect(`[S4-36] a set of public keys has nothing for a token with the algorithm "${alg}"`, () =>
        Effect.gen(function*() {
          const source = yield* make(pem(Keys.rsa, "RS256", "a"), pem(Keys.p256, "ES256"))
          assert.strictEqual(yield* reason(source, alg), "unknown")
          assert.strictEqual(yield* reason(source, alg, "a"), "mismatched")
        }))
    }

    it.effect("[R4] four keys that fit are tried, and five are refused", () =>
      Effect.gen(function*() {
        const keys = ["a", "b", "c", "d"].map((id) => pem(Keys.p256, "ES256", id))
        const four = yield* make(...keys)
        assert.deepStrictEqual(ids(yield* four.find(issuer, { alg: "ES256" })), ["a", "b", "c", "d"])
        const five = yield* make(...keys, pem(Keys.p256, "ES256", "e"))
        assert.strictEqual(yield* reason(five, "ES256"), "ambiguous")
        assert.deepStrictEqual(ids(yield* five.find(issuer, { alg: "ES256", kid: "e" })), ["e"])
        const same = yield* make(...Array.from({ length: 5 }, () => pem(Keys.p256, "ES256", "a")))
        assert.strictEqual(yield* reason(same, "ES256", "a"), "ambiguous")
      }))

    it.effect("EdDSA and Ed25519 are two names of one algorithm: the candidate has the one asked with", () =>
      Effect.gen(function*() {
        for (const algorithm of ["EdDSA", "Ed25519"] as const) {
          const source = yield* make(pem(Keys.ed25519, algorithm))
          for (const alg of ["EdDSA", "Ed25519"]) {
            assert.deepStrictEqual((yield* source.find(issuer, { alg })).map((candidate) => candidate.alg), [alg])
            assert.strictEqual(yield* verifies(source, Keys.ed25519.privateKey, alg), 0)
          }
        }
      }))

    it.effect("the kid and the issuer of a JWK are those of its candidate; an id that differs is refused", () =>
      Effect.gen(function*() {
        const key = (id?: string) => ({
          id,
          algorithm: "ES256" as const,
          jwk: { ...Keys.jwk(Keys.p256), kid: "own", issuer: "https://tenant.example" }
        })
        for (const id of [undefined, "own"]) {
          const [candidate] = yield* (yield* make(key(id))).find(issuer, { alg: "ES256", kid: "own" })
          assert.deepInclude(candidate, { kid: "own", issuer: "https://tenant.example" })
        }
        const error = yield* Effect.flip(make(key("other")))
        assert.deepStrictEqual([error.code, error.details["expected"]], ["KEY_INVALID", "a key whose kid is its id"])
      }))

    it.effect("[K-26] an issuer that is not in the list, exactly, is not served", () =>
      Effect.gen(function*() {
        const source = yield* StaticKeys.make({ issuers: [issuer, "second"], keys: [pem(Keys.rsa, "RS256")] })
        yield* source.find("second", { alg: "RS256" })
        for (const other of [`${issuer}/`, issuer.toUpperCase(), "", "https://other.example"]) {
          const error = yield* Effect.flip(source.find(other, { alg: "RS256" }))
          assert.deepStrictEqual([error._tag, error.code], ["JwksNotRegistered", "JWKS_NOT_REGISTERED"])
        }
      }))

    it.effect("trust is one object for all keys, and holds for ever", () =>
      Effect.gen(function*() {
        const source = yield* mixed()
        const [first] = yield* source.find(issuer, { alg: "RS256" })
        const [second] = yield* source.find(issuer, { alg: "HS256", kid: "mac" })
        assert.isDefined(first)
        assert.strictEqual(first.trust, second?.trust)
        const clock = yield* Effect.clockWith(Effect.succeed)
        yield* TestClock.adjust("36500 days")
        assert.isTrue(first.trust.holds(clock))
        assert.deepStrictEqual([first.trust.generation, first.trust.staleDeadline()], [0, undefined])
      }))

    it.effect("the same header has the same answer, made once, which can't be changed", () =>
      Effect.gen(function*() {
        const source = yield* mixed()
        assert.strictEqual(source.find(issuer, { alg: "RS256" }), source.find(issuer, { alg: "RS256" }))
        const candidates = yield* source.find(issuer, { alg: "RS256" })
        assert.isTrue(Object.isFrozen(candidates) && candidates.every(Object.isFrozen))
      }))
  })

  describe("options", () => {
    const key = { algorithm: "RS256", pem: Keys.spki(Keys.rsa) }
    const keys = [key]
    const exactly = "a key with exactly one of pem, jwk, path and secret"
    const wrong: ReadonlyArray<readonly [name: string, options: object, path: string, expected?: string]> = [
      ["no algorithm", { keys: [{ pem: key.pem }] }, "keys.0.algorithm"],
      ...["none", "rs256", "HS1", "ES256K", "RSA-OAEP", "", 5].map((algorithm) =>
        [`the algorithm ${algorithm}`, { keys: [key, { ...key, algorithm }] }, "keys.1.algorithm"] as const
      ),
      ["no source", { keys: [{ algorithm: "RS256" }] }, "keys.0", exactly],
      ["two sources", { keys: [{ ...key, secret: text }] }, "keys.0", exactly],
      ["three sources", { keys: [{ ...key, path: "/a", jwk: {} }] }, "keys.0", exactly],
      ["an encoding without a secret", { keys: [{ ...key, encoding: "base64" }] }, "keys.0"],
      ["an unknown encoding", { keys: [{ algorithm: "HS256", secret: text, encoding: "hex" }] }, "keys.0.encoding"],
      ["an unknown option", { keys: [{ ...key, kid: "a" }] }, "keys.0.kid", "a known option"],
      ["an empty id", { keys: [{ ...key, id: "" }] }, "keys.0.id", "1 to 256 characters"],
      ["an id of 257 characters", { keys: [{ ...key, id: "a".repeat(257) }] }, "keys.0.id", "1 to 256 characters"],
      ["a secret that is empty", { keys: [{ algorithm: "HS256", secret: "" }] }, "keys.0.secret"],
      ["no keys", { keys: [] }, "keys", "a list of 1 to 100 keys"],
      ["101 keys", { keys: Array.from({ length: 101 }, () => key) }, "keys", "a list of 1 to 100 keys"],
      ["no issuers", { keys, issuers: [] }, "issuers", "a list of 1 to 100 issuers"],
      ["an empty issuer", { keys, issuers: [""] }, "issuers.0"],
      ["keys that are no list", { keys: { a: key } }, "keys"]
    ]
    for (const [name, options, path, expected] of wrong) {
      it.effect(`[S4-35] ${name} is INVALID_CONFIG, naming the place`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(
            Configuration.decode(StaticKeys.StaticKeys)({ issuers: [issuer], ...options })
          )
          assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", path])
          if (expected !== undefined) assert.strictEqual(error.details["expected"], expected)
        }))
    }

    it.effect("[K-28 G4] a JSON text of a million characters is refused as a whole, not key by key", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Configuration.decode(StaticKeys.StaticKeys)({
            issuers: [issuer],
            keys: `[${Array.from({ length: 300_000 }, () => "{}").join()}]`
          })
        )
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "keys"])
        assert.isBelow(JSON.stringify(error).length, 2000)
      }))

    it.effect("[R4] 100 keys with ids of 256 characters are taken", () =>
      Effect.gen(function*() {
        const id = (index: number) => String(index).padStart(256, "k")
        const source = yield* make(...Array.from({ length: 100 }, (_, index) => pem(Keys.p256, "ES256", id(index))))
        assert.deepStrictEqual(ids(yield* source.find(issuer, { alg: "ES256", kid: id(99) })), [id(99)])
      }))

    it.effect("make reads no files: a path that gets past the types is INVALID_CONFIG", () =>
      Effect.gen(function*() {
        const key: StaticKeys.PemKey = Object.assign(pem(Keys.rsa, "RS256"), { pem: undefined, path: "/a.pem" })
        const error = yield* Effect.flip(make(key))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "keys.0.path"])
      }))

    const tree = {
      issuers: [issuer],
      keys: [{ ...key, id: "a" }, { id: "b", algorithm: "HS256", secret: "${SECRET}" }]
    }
    const yaml = [
      "auth:",
      "  issuers: [\"https://issuer.example\"]",
      "  keys:",
      "    - { id: b, algorithm: HS256, secret: \"${SECRET}\" }",
      "    - id: a",
      "      algorithm: RS256",
      "      pem: |",
      ...key.pem.trim().split("\n").map((line) => `        ${line}`)
    ].join("\n")
    const texts = [["json", JSON.stringify({ auth: tree })], ["yaml", yaml]] as const
    for (const [format, text_] of texts) {
      it.effect(`[S4-37] ${format} text gives the keys, with the secret from a variable`, () =>
        Effect.gen(function*() {
          const options = yield* Configuration.decodeText(StaticKeys.StaticKeys, {
            format,
            text: text_,
            section: "auth"
          })
          const source = yield* StaticKeys.makeFiles(options)
          assert.strictEqual(yield* verifies(source, Keys.rsa.privateKey, "RS256", "a"), 0)
          assert.strictEqual(yield* verifies(source, createSecretKey(Buffer.from(text)), "HS256", "b"), 0)
        }).pipe(
          Effect.provide(FileSystem.layerNoop({})),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ SECRET: text }))
        ))
    }
  })

  describe("layers", () => {
    const environment = (variables: Record<string, string>) =>
      Layer.mergeAll(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)), FileSystem.layerNoop({}))

    it.effect("[K-26] layer provides the KeySource", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* verifies(yield* KeySource, Keys.rsa.privateKey, "RS256"), 0)
      }).pipe(Effect.provide(StaticKeys.layer({ issuers: [issuer], keys: [pem(Keys.rsa, "RS256")] }))))

    it.effect("[S4-37] layerConfig takes the keys from the environment: issuers with commas, keys in JSON", () =>
      Effect.gen(function*() {
        const source = yield* KeySource
        assert.strictEqual(yield* verifies(source, createSecretKey(Buffer.from(text)), "HS256", "m"), 0)
        assert.strictEqual(yield* verifies(source, Keys.p256.privateKey, "ES256", "e"), 0)
        yield* source.find("https://second.example", { alg: "ES256" })
      }).pipe(
        Effect.provide(Layer.provide(
          StaticKeys.layerConfig(["app", "auth"]),
          environment({
            APP_AUTH_ISSUERS: `${issuer}, https://second.example`,
            APP_AUTH_KEYS: JSON.stringify([
              { id: "m", algorithm: "HS256", secret: text },
              { algorithm: "ES256", jwk: { ...Keys.jwk(Keys.p256), kid: "e", ext: true, key_ops: ["verify"] } }
            ])
          })
        ))
      ))

    it.effect("an error of layerConfig names its place from the root", () =>
      Effect.gen(function*() {
        const failure = (keys: string) =>
          Effect.flip(Effect.scoped(Layer.build(StaticKeys.layerConfig(["app", "auth"])))).pipe(
            Effect.provide(environment({ APP_AUTH_ISSUERS: issuer, APP_AUTH_KEYS: keys })),
            Effect.map(({ code, details }) => [code, details["path"]])
          )
        const weak = JSON.stringify([{ algorithm: "HS256", secret: "short" }])
        assert.deepStrictEqual(yield* failure(weak), ["KEY_INVALID", "app.auth.keys.0.secret"])
        assert.deepStrictEqual(yield* failure(weak.slice(0, -1)), ["INVALID_CONFIG", "app.auth.keys"])
        assert.deepStrictEqual(yield* failure("[{}]"), ["INVALID_CONFIG", "app.auth.keys.0.algorithm"])
      }))
  })
})
