import { assert, describe, it } from "@effect/vitest"
import { KeelsonError, Problem } from "@keelson/core"
import { Effect } from "effect"
import { inspect } from "node:util"
import { ImportedKey } from "../src/internal/keys/importedKey.ts"
import type { ImportKey } from "../src/internal/keys/importKey.ts"
import * as KeySet from "../src/internal/keys/keySet.ts"
import * as Keys from "./fixtures/keys/generated.ts"
import { offCurve, okpOf, recording, rsaOf } from "./publicKeys.ts"

interface Options {
  readonly previous?: KeySet.KeySet | undefined
  readonly generation?: number
  readonly importKey?: ImportKey
}

const parse = (document: unknown, { generation = 1, importKey = recording().importKey, previous }: Options = {}) =>
  KeySet.parse(typeof document === "string" ? document : JSON.stringify(document), { generation, importKey, previous })

const kids = ({ keySet }: KeySet.Parsed) => keySet.all.map((key) => key.kid)
const reasons = ({ skipped }: KeySet.Parsed) => skipped.map(({ index, reason }) => [index, reason])

describe("KeySet", () => {
  describe("of a document that is none", () => {
    const documents: Readonly<Record<string, string>> = {
      nothing: "",
      "white space": " \n",
      HTML: "<!doctype html><title>Sign in</title>",
      "cut JSON": "{\"keys\":[{\"kty\":\"OKP\"",
      "two documents": "{\"keys\":[]}{}",
      NaN: "{\"keys\":[NaN]}"
    }
    for (const [name, text] of Object.entries(documents)) {
      it.effect(`[S1-24] ${name} is JWKS_INVALID, since it is not JSON`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(parse(text))
          assert.instanceOf(error, KeelsonError.NetworkError)
          assert.deepStrictEqual([error.code, error.message], ["JWKS_INVALID", "The key set is not JSON"])
          assert.deepEqual(error.details, {})
        }))
    }

    const key = okpOf(1)
    const shapes: ReadonlyArray<unknown> = [
      null,
      1,
      "\"keys\"",
      [],
      [key],
      {},
      key,
      { keys: null },
      { keys: {} },
      { keys: "x" },
      { keys: { 0: key, length: 1 } },
      { Keys: [key] },
      { jwks: { keys: [key] } }
    ]
    for (const shape of shapes) {
      it.effect(`[S1-24] JSON without a list of keys is JWKS_INVALID: ${JSON.stringify(shape).slice(0, 40)}`, () =>
        Effect.gen(function*() {
          const { code, message } = yield* Effect.flip(parse(typeof shape === "string" ? shape : JSON.stringify(shape)))
          assert.deepStrictEqual([code, message], [
            "JWKS_INVALID",
            "The key set has no member `keys` with a list"
          ])
        }))
    }

    it.effect("[S1-24] a list set by __proto__ counts as absent", () =>
      Effect.gen(function*() {
        const { message } = yield* Effect.flip(parse(`{"__proto__":{"keys":[${JSON.stringify(key)}]}}`))
        assert.include(message, "no member `keys`")
      }))

    it.effect("[K-28 A8] [S1-24] no usable key is JWKS_INVALID, with the count of each reason", () =>
      Effect.gen(function*() {
        const empty = yield* Effect.flip(parse({ keys: [] }))
        assert.deepStrictEqual([empty.code, empty.message], [
          "JWKS_INVALID",
          "The key set was fetched, but it contains no key"
        ])
        assert.deepEqual(empty.details, {})
        const keys = [{ ...okpOf(1), use: "enc" }, { kty: "oct", k: "AA" }, { ...okpOf(2), use: "enc" }, offCurve(1)]
        const { code, details, message } = yield* Effect.flip(parse({ keys }))
        assert.deepStrictEqual([code, message], [
          "JWKS_INVALID",
          "The key set was fetched, but all of its keys were skipped: 4 (use: 2, symmetric: 1, unusable: 1)"
        ])
        assert.deepEqual(details, { skipped: { use: 2, symmetric: 1, unusable: 1 } })
      }))

    it.effect("[R21] an error has no key material and no kid, however it is written", () =>
      Effect.gen(function*() {
        const secret = { ...Keys.privateJwk(Keys.ed25519), kid: "the-secret-kid" }
        const documents = [JSON.stringify({ keys: [secret] }), JSON.stringify(secret), `${JSON.stringify(secret)}x`]
        for (const document of documents) {
          const error = yield* Effect.flip(parse(document))
          const written = [inspect(error, { depth: 9 }), JSON.stringify(Problem.encode(error)), error.stack ?? ""]
            .join()
          for (const part of [secret.kid, secret.x ?? "?", secret.d ?? "?"]) assert.notInclude(written, part)
        }
      }))
  })

  describe("with odd keys", () => {
    it.effect("[K-24] [S4-38] unknown kinds and ML-DSA never break the known ones", () =>
      Effect.gen(function*() {
        const pub = Buffer.alloc(1312, 3).toString("base64url")
        const rsa = { ...rsaOf({}), kid: "rsa" }
        const ec = { ...Keys.jwk(Keys.p256), kid: "ec" }
        const keys = [
          { kty: "AKP", alg: "ML-DSA-44", kid: "pq", use: "sig", pub },
          rsa,
          { kty: "AKP", alg: "ML-DSA-65", pub, priv: "AA" },
          { kty: "QUANTUM", kid: "x", state: [[]] },
          ec,
          { kty: { nested: true } },
          { ...Keys.jwk(Keys.p256), crv: "secp256k1", kid: "other" }
        ]
        const parsed = yield* parse({ keys })
        assert.deepStrictEqual(kids(parsed), ["rsa", "ec"])
        assert.deepStrictEqual(reasons(parsed), [
          [0, "type"],
          [2, "type"],
          [3, "type"],
          [5, "malformed"],
          [6, "curve"]
        ])
      }))

    it.effect("[S1-25] a point not on its curve is skipped as unusable, in its place among the others", () =>
      Effect.gen(function*() {
        const parsed = yield* parse({ keys: [{}, offCurve(1), okpOf(1), offCurve(2), 1] })
        assert.deepStrictEqual(kids(parsed), ["k1"])
        assert.deepStrictEqual(reasons(parsed), [[0, "malformed"], [1, "unusable"], [3, "unusable"], [4, "malformed"]])
      }))

    it.effect("[S1-25] of a modulus repeated under its kid, alg and use the first is kept, also with leading zeros", () =>
      Effect.gen(function*() {
        const selected = { kid: "first", alg: "PS256", use: "sig" }
        for (const zeros of [0, 1, 2, 3]) {
          const first = { ...rsaOf({ zeros }), ...selected }
          const again = [{ ...rsaOf({}), ...selected }, { ...rsaOf({ zeros: 1, e: "Aw" }), ...selected }]
          const parsed = yield* parse({ keys: [first, ...again, { ...rsaOf({ seed: 1 }), kid: "other" }] })
          assert.deepStrictEqual(kids(parsed), ["first", "other"])
          assert.deepStrictEqual(reasons(parsed), [[1, "duplicate"], [2, "duplicate"]])
        }
      }))

    it.effect("[K-28 A1] one RSA key under two kids, algs or uses is two keys", () =>
      Effect.gen(function*() {
        const key = rsaOf({})
        const keys = [
          { ...key, kid: "a" },
          { ...key, kid: "b" },
          { ...key, kid: "a", alg: "RS256" },
          { ...key, kid: "a", alg: "RS512" },
          { ...key, kid: "a", alg: "RS512", use: "sig" }
        ]
        const parsed = yield* parse({ keys: [...keys, ...keys] })
        assert.deepStrictEqual(kids(parsed), ["a", "b", "a", "a", "a"])
        assert.deepStrictEqual(reasons(parsed), [5, 6, 7, 8, 9].map((index) => [index, "duplicate"]))
      }))

    it.effect("a key other than RSA may appear under two kids, but only once under each", () =>
      Effect.gen(function*() {
        const key = okpOf(1)
        const parsed = yield* parse({ keys: [key, { ...key, kid: "alias" }, key] })
        assert.deepStrictEqual(kids(parsed), ["k1", "alias"])
        assert.deepStrictEqual(reasons(parsed), [[2, "duplicate"]])
      }))

    it.effect("[S1-25] a skipped key does not exclude a good one of the same material", () =>
      Effect.gen(function*() {
        const parsed = yield* parse({
          keys: [{ ...rsaOf({}), use: "enc" }, { ...rsaOf({}), e: "Ag" }, { ...rsaOf({}), kid: "good" }]
        })
        assert.deepStrictEqual(kids(parsed), ["good"])
        assert.deepStrictEqual(reasons(parsed), [[0, "use"], [1, "weak"]])
      }))

    it.effect("[S1-25] different keys of one kid are both there, in their order", () =>
      Effect.gen(function*() {
        const keys = [1, 2, 3, 4].map((seed) => ({ ...okpOf(seed), kid: seed === 3 ? "b" : "a" }))
        const { keySet } = yield* parse({ keys })
        assert.deepStrictEqual([...keySet.byKid.keys()], ["a", "b"])
        const placesOf = (kid: string) => keySet.byKid.get(kid)?.map((key) => keySet.all.indexOf(key))
        assert.deepStrictEqual([placesOf("a"), placesOf("b")], [[0, 1, 3], [2]])
      }))

    it.effect("[S1-25] any text is a kid, and a key without one is under none", () =>
      Effect.gen(function*() {
        const names = ["__proto__", "constructor", "", "toString"]
        const { kid: _, ...unnamed } = okpOf(9)
        const { keySet } = yield* parse({ keys: [...names.map((kid, seed) => ({ ...okpOf(seed), kid })), unnamed] })
        assert.deepStrictEqual([...keySet.byKid.keys()], names)
        for (const [index, kid] of names.entries()) assert.strictEqual(keySet.byKid.get(kid)?.[0], keySet.all[index])
        assert.strictEqual(keySet.all.length, 5)
        assert.isUndefined(keySet.byKid.get("hasOwnProperty"))
      }))
  })

  describe("of many keys", () => {
    const many = (count: number) => Array.from({ length: count }, (_, seed) => okpOf(seed))

    it.effect("[S1-25] [R4] a hundred are kept, and each further one is skipped for the limit", () =>
      Effect.gen(function*() {
        const full = yield* parse({ keys: many(100) })
        assert.deepStrictEqual([full.keySet.all.length, full.skipped], [100, []])
        const more = yield* parse({ keys: many(102) })
        assert.deepStrictEqual(kids(more), kids(full))
        assert.deepStrictEqual(reasons(more), [[100, "limit"], [101, "limit"]])
        assert.strictEqual(KeySet.maxKeys, 100)
      }))

    it.effect("[S1-25] [R4] skipped entries do not count towards the limit of a hundred", () =>
      Effect.gen(function*() {
        const odd = [
          { kty: "AKP" },
          ...many(99),
          okpOf(0),
          okpOf(1),
          { ...okpOf(2), use: "enc" },
          okpOf(99),
          okpOf(100)
        ]
        const parsed = yield* parse({ keys: odd })
        assert.deepStrictEqual(kids(parsed), many(100).map(({ kid }) => kid))
        assert.deepStrictEqual(reasons(parsed), [
          [0, "type"],
          [100, "duplicate"],
          [101, "duplicate"],
          [102, "use"],
          [104, "limit"]
        ])
      }))

    it.effect("[K-28 G4] more than a thousand entries are refused before one of them is read", () =>
      Effect.gen(function*() {
        const good = JSON.stringify(okpOf(1))
        for (const garbage of ["{}", "0", "[[[[]]]]", good]) {
          const many = Math.floor(1_048_576 / (garbage.length + 1))
          for (const count of [1001, many]) {
            const text = `{"keys":[${Array.from({ length: count }, () => garbage).join()}]}`
            const { code, details, message } = yield* Effect.flip(parse(text))
            assert.strictEqual(code, "JWKS_INVALID")
            const entries = `The key set has ${count} entries: at most 1000 are allowed`
            assert.include([entries, "The key set has more than 20000 values"], message)
            assert.deepEqual(details, {})
          }
        }
        const { keySet } = yield* parse(`{"keys":[${"0,".repeat(999)}${good}]}`)
        assert.strictEqual(keySet.all.length, 1)
      }))

    it.effect("[K-28 G4] more than 20,000 values are refused before they are parsed", () =>
      Effect.gen(function*() {
        const key = JSON.stringify(okpOf(1)).slice(0, -1)
        const numbers = (count: number) => Array.from({ length: count }, () => "0").join()
        for (const [open, close] of [["", ""], ["[", "]"], ["{", "}"]]) {
          // Not even JSON, if it were parsed.
          const { message } = yield* Effect.flip(parse(`{"keys":[${open}${",".repeat(20_001)}${close}]}`))
          assert.strictEqual(message, "The key set has more than 20000 values")
        }
        const fits = yield* parse(`{"keys":[${key},"more":[${numbers(19_900)}]}]}`)
        assert.deepStrictEqual(kids(fits), ["k1"])
        const { message } = yield* Effect.flip(parse(`{"keys":[${key},"more":[${numbers(20_000)}]}]}`))
        assert.strictEqual(message, "The key set has more than 20000 values")
      }))

    it.effect("[K-28 G4] a megabyte in one member costs one key", () =>
      Effect.gen(function*() {
        const long = "A".repeat(1_000_000)
        const odd = [{ ...rsaOf({}), n: long }, { ...rsaOf({}), e: long }, { ...okpOf(2), issuer: long }, {
          ...okpOf(3),
          kid: long
        }]
        for (const key of odd) {
          const parsed = yield* parse({ keys: [key, okpOf(1)] })
          assert.deepStrictEqual([kids(parsed), parsed.skipped.length], [["k1"], 1])
        }
      }))

    it.effect("[S1-25] 999 entries of garbage before a good key cost that key nothing", () =>
      Effect.gen(function*() {
        const long = `{"kty":"RSA","n":"${"A".repeat(1000)}","e":"AQAB"}`
        for (const garbage of ["{}", "0", "{\"kty\":\"RSA\"}", "[[[[]]]]", "{\"kty\":\"oct\",\"k\":\"\"}", long]) {
          const count = 999
          const text = `{"keys":[${`${garbage},`.repeat(count)}${JSON.stringify(okpOf(1))}]}`
          const parsed = yield* parse(text)
          assert.deepStrictEqual(kids(parsed), ["k1"])
          assert.strictEqual(parsed.skipped.length, 100)
          assert.deepStrictEqual(parsed.skipped.at(-1)?.index, 99)
        }
      }))

    it.effect("[S1-25] lists that are nested six thousand deep cost one key", () =>
      Effect.gen(function*() {
        const deep = `${"[".repeat(6000)}${"]".repeat(6000)}`
        const parsed = yield* parse(`{"keys":[{"kty":${deep}},${deep},${JSON.stringify(okpOf(1))}],"more":${deep}}`)
        assert.deepStrictEqual(kids(parsed), ["k1"])
      }))

    it.effect("[S1-25] the first hundred skipped entries are reported, in order", () =>
      Effect.gen(function*() {
        const odd = Array.from({ length: 60 }, (_, seed) => offCurve(seed))
        const parsed = yield* parse({ keys: [...odd, okpOf(1), ...odd.map(() => ({}))] })
        assert.deepStrictEqual(kids(parsed), ["k1"])
        assert.strictEqual(parsed.skipped.length, 100)
        assert.deepStrictEqual(reasons(parsed).slice(58, 61), [[58, "unusable"], [59, "unusable"], [61, "malformed"]])
        assert.deepStrictEqual(parsed.skipped.at(-1), { index: 100, reason: "malformed" })
      }))
  })

  describe("importing", () => {
    it.effect("makes each key once, for its algorithm or the first of its kind", () =>
      Effect.gen(function*() {
        const recorder = recording()
        const { alg: _, ...free } = okpOf(2)
        const keys = [okpOf(1), free, { ...rsaOf({}), kid: "r" }, { ...rsaOf({ seed: 1 }), kid: "p", alg: "PS256" }]
        const { keySet } = yield* parse({ keys }, { importKey: recorder.importKey })
        assert.deepStrictEqual(recorder.imports, ["k1 Ed25519", "k2 EdDSA", "r RS256", "p PS256"])
        const imports = keySet.all.map((key) => [...ImportedKey.importsOf(key).keys()])
        for (const algorithms of imports) assert.strictEqual(algorithms.length, 1)
        assert.deepStrictEqual(imports.flat(), [
          "Ed25519",
          "EdDSA",
          "RS256",
          "PS256"
        ])
      }))

    it.effect("[S1-25] imports nothing that is skipped, and at most a hundred keys", () =>
      Effect.gen(function*() {
        const recorder = recording()
        const keys = Array.from({ length: 300 }, (_, seed) => okpOf(Math.floor(seed / 2)))
        yield* parse({ keys: [{ kty: "oct" }, ...keys] }, { importKey: recorder.importKey })
        assert.strictEqual(recorder.imports.length, 100)
        assert.strictEqual(new Set(recorder.imports).size, 100)
      }))

    it.effect("reuses the imported keys of the previous set, and imports only new ones", () =>
      Effect.gen(function*() {
        const recorder = recording()
        const { importKey } = recorder
        const { keySet: previous } = yield* parse({ keys: [okpOf(1), okpOf(2)] }, { importKey })
        const options = { importKey, previous, generation: 2 }
        const { keySet } = yield* parse({ keys: [okpOf(3), okpOf(2), { ...okpOf(1), alg: "EdDSA" }] }, options)
        assert.deepStrictEqual(recorder.imports.slice(2), ["k3 Ed25519", "k1 EdDSA"])
        assert.strictEqual(keySet.all[1], previous.all[1])
        assert.strictEqual(keySet.generation, 2)
      }))

    it.effect("[S1-24] the same keys are the same set, whatever else of the document changed", () =>
      Effect.gen(function*() {
        const [a, b] = [{ ...rsaOf({}), kid: "a" }, okpOf(2)]
        const { keySet: previous } = yield* parse({ keys: [a, b] }, { generation: 7 })
        const same = [
          { keys: [a, b], issued: 5 },
          { keys: [{ x5t: "new", ...a }, b] },
          { keys: [{ ...a, ...rsaOf({ zeros: 1 }) }, b] },
          { keys: [{ kty: "AKP" }, a, { ...a, e: "Aw" }, b] }
        ]
        for (const document of same) {
          const { keySet } = yield* parse(document, { previous, generation: 8 })
          assert.strictEqual(keySet, previous)
          assert.strictEqual(keySet.generation, 7)
        }
      }))

    it.effect("[S1-24] any change of a key is another generation", () =>
      Effect.gen(function*() {
        const [a, b] = [okpOf(1), okpOf(2)]
        const { keySet: previous } = yield* parse({ keys: [a, b] })
        const { kid: _, ...unnamed } = b
        const others = [
          [a],
          [b],
          [b, a],
          [a, b, okpOf(3)],
          [a, { ...b, kid: "new" }],
          [a, unnamed],
          [a, { ...okpOf(3), kid: "k2" }],
          [
            a,
            { ...b, alg: "EdDSA" }
          ],
          [a, { ...b, use: "sig" }],
          [a, { ...b, issuer: "i" }]
        ]
        for (const keys of others) {
          const { keySet } = yield* parse({ keys }, { previous, generation: 2 })
          assert.notStrictEqual(keySet, previous)
          assert.strictEqual(keySet.generation, 2)
        }
      }))

    it.effect("[S1-24] the previous set is never changed", () =>
      Effect.gen(function*() {
        const { keySet: previous } = yield* parse({ keys: [okpOf(1), okpOf(2)] })
        const before = inspect(previous, { depth: 9 })
        yield* parse({ keys: [okpOf(2), okpOf(3)] }, { previous, generation: 2 })
        yield* Effect.flip(parse("{}", { previous, generation: 2 }))
        assert.strictEqual(inspect(previous, { depth: 9 }), before)
      }))
  })

  it.effect("`toJson` is a document of the same keys, with their public members alone", () =>
    Effect.gen(function*() {
      const { kid: _, ...unnamed } = okpOf(2)
      const keys = [{ ...rsaOf({}), kid: "a", alg: "PS256", use: "sig", issuer: "i" }, okpOf(1), unnamed, {
        ...Keys.jwk(Keys.p256),
        kid: ""
      }]
      const { keySet } = yield* parse({ keys: keys.map((key) => ({ ...key, x5t: "x", key_ops: ["verify"] })) })
      assert.deepStrictEqual<unknown>(KeySet.toJson(keySet), { keys })
      const { keySet: again } = yield* parse(KeySet.toJson(keySet), { previous: keySet })
      assert.strictEqual(again, keySet)
    }))
})
