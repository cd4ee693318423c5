import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Jwk from "../src/Jwk.ts"
import * as Keys from "./fixtures/keys/generated.ts"
import { rsaOf } from "./publicKeys.ts"

type Members = Readonly<Record<string, unknown>>

const rsa: Members = { ...Keys.jwk(Keys.rsa) }
const p256: Members = { ...Keys.jwk(Keys.p256) }
const p384: Members = { ...Keys.jwk(Keys.p384) }
const p521: Members = { ...Keys.jwk(Keys.p521) }
const ed25519: Members = { ...Keys.jwk(Keys.ed25519) }

const bytes = (length: number, fill = 7) => Buffer.alloc(length, fill).toString("base64url")

const reason = (input: unknown): Jwk.SkipReason | undefined => Result.getOrUndefined(Result.flip(Jwk.parse(input)))
const parsed = (input: unknown): Jwk.Jwk => Result.getOrThrow(Jwk.parse(input))

/** Each of these is the reason for all members that go with it. */
const skips = (
  title: string,
  expected: Jwk.SkipReason,
  keys: Readonly<Record<string, unknown>>
): void => {
  for (const [name, key] of Object.entries(keys)) {
    it(`[S1-25] ${title}: ${name} is skipped as ${expected}`, () => assert.strictEqual(reason(key), expected))
  }
}

describe("Jwk", () => {
  describe("parse", () => {
    it("[S1-25] [S4-38] keeps the public members of each kind, and what selects it", () => {
      const common = { kid: "a", use: "sig", issuer: "https://a.test" }
      const unnamed = { kid: undefined, alg: undefined, use: undefined, issuer: undefined }
      const { e, n } = rsa
      const { x } = ed25519
      const okp = { kty: "OKP", crv: "Ed25519" }
      const kept: ReadonlyArray<readonly [input: Members, expected: unknown]> = [
        [{ ...rsa, ...common, alg: "PS512", x5t: "x", exp: 1 }, {
          ...common,
          alg: "PS512",
          kty: "RSA",
          crv: undefined,
          material: { kty: "RSA", n, e }
        }],
        [rsa, { ...unnamed, kty: "RSA", crv: undefined, material: { kty: "RSA", n, e } }],
        ...[p256, p384, p521].map(({ crv, x, y }) =>
          [{ kty: "EC", crv, x, y }, { ...unnamed, kty: "EC", crv, material: { kty: "EC", crv, x, y } }] as const
        ),
        [ed25519, { ...unnamed, ...okp, material: { ...okp, x } }]
      ]
      for (const [input, expected] of kept) assert.deepStrictEqual<unknown>(parsed(input), expected)
    })

    const kinds: ReadonlyArray<readonly [members: Members, algorithms: ReadonlyArray<string>]> = [
      [rsa, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
      [p256, ["ES256"]],
      [p384, ["ES384"]],
      [p521, ["ES512"]],
      [ed25519, ["EdDSA", "Ed25519"]]
    ]
    const all = [...kinds.flatMap(([, own]) => own), "HS256", "ES256K", "RS1", "RSA-OAEP", "Ed448", "none", "rs256", ""]
    for (const [members, own] of kinds) {
      const kind = String(members["crv"] ?? members["kty"])
      for (const alg of all) {
        const expected = own.includes(alg) ? undefined : "algorithm"
        it(`[S1-25] ${kind} with the algorithm "${alg}" is ${expected === undefined ? "kept" : "skipped"}`, () => {
          assert.strictEqual(reason({ ...members, alg }), expected)
        })
      }
    }

    skips("what is no object", "malformed", { null: null, list: [rsa], text: "x", number: 1, nothing: undefined })
    skips("members of the wrong type", "malformed", {
      "an empty object": {},
      "kid 1": { ...rsa, kid: 1 },
      "kid null": { ...rsa, kid: null },
      "kid a list": { ...rsa, kid: ["a"] },
      "alg null": { ...rsa, alg: null },
      "use a list": { ...rsa, use: ["sig"] },
      "issuer 1": { ...rsa, issuer: 1 },
      "kty 1": { ...rsa, kty: 1 },
      "kty a list": { ...rsa, kty: ["RSA"] },
      "n missing": { kty: "RSA", e: "AQAB" },
      "n 1": { ...rsa, n: 1 },
      "e missing": { kty: "RSA", n: rsa["n"] },
      "e 65537": { ...rsa, e: 65537 },
      "EC without crv": { ...p256, crv: undefined },
      "EC with crv 1": { ...p256, crv: 1 },
      "EC without x": { ...p256, x: undefined },
      "EC without y": { ...p256, y: undefined },
      "EC with y 1": { ...p256, y: 1 },
      "OKP without crv": { ...ed25519, crv: undefined },
      "OKP without x": { ...ed25519, x: undefined },
      "OKP with x null": { ...ed25519, x: null }
    })
    skips("[K-24] another key type", "type", {
      "AKP with ML-DSA-44": { kty: "AKP", alg: "ML-DSA-44", pub: bytes(1312), kid: "pq" },
      "AKP without alg": { kty: "AKP", pub: bytes(1952) },
      "a made-up one": { kty: "QUANTUM", state: "x" },
      "lower case": { ...rsa, kty: "rsa" },
      "a member of Object.prototype": { ...rsa, kty: "toString" },
      "none in words": { ...rsa, kty: "" }
    })
    skips("another curve", "curve", {
      secp256k1: { ...p256, crv: "secp256k1" },
      "P-256K": { ...p256, crv: "P-256K" },
      "Ed25519 as EC": { ...p256, crv: "Ed25519" },
      "lower case": { ...p256, crv: "p-256" },
      X25519: { ...Keys.jwk(Keys.x25519) },
      Ed448: { kty: "OKP", crv: "Ed448", x: bytes(57) },
      "P-256 as OKP": { ...ed25519, crv: "P-256" },
      "none in words": { ...ed25519, crv: "" }
    })
    skips("a symmetric key", "symmetric", {
      oct: { kty: "oct", k: bytes(32) },
      "oct without k": { kty: "oct" },
      "oct with HS256": { kty: "oct", k: bytes(32), alg: "HS256", use: "sig", kid: "a" }
    })
    skips("private members", "private", {
      ...Object.fromEntries(
        ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"].map((name) => [name, { ...rsa, [name]: bytes(8) }])
      ),
      "d null": { ...rsa, d: null },
      "EC d": { ...Keys.privateJwk(Keys.p256) },
      "OKP d": { ...Keys.privateJwk(Keys.ed25519) }
    })
    skips("another use", "use", {
      enc: { ...rsa, use: "enc" },
      empty: { ...rsa, use: "" },
      "sig in capitals": { ...rsa, use: "SIG" }
    })
    skips("operations without verify", "operations", {
      sign: { ...rsa, key_ops: ["sign"] },
      none: { ...rsa, key_ops: [] },
      text: { ...rsa, key_ops: "verify" },
      null: { ...rsa, key_ops: null },
      encrypt: { ...rsa, use: "sig", key_ops: ["encrypt", "wrapKey"] }
    })

    it("[S1-25] keeps a key whose operations have verify", () => {
      assert.isUndefined(reason({ ...rsa, key_ops: ["verify"] }))
      assert.isUndefined(reason({ ...rsa, use: "sig", key_ops: ["sign", "verify"] }))
    })

    it("[S1-25] a kid has at most 256 characters, and is any text", () => {
      for (const kid of ["", " ", "__proto__", "constructor", "ключ", "\u0000", "a".repeat(256)]) {
        assert.strictEqual(parsed({ ...rsa, kid }).kid, kid)
      }
      assert.strictEqual(reason({ ...rsa, kid: "a".repeat(257) }), "keyId")
    })

    it("[S1-25] a member of the name __proto__ is a member like any other", () => {
      assert.isUndefined(reason(JSON.parse(JSON.stringify(rsa).replace("{", "{\"__proto__\":{\"d\":\"x\"},"))))
      assert.strictEqual(reason(JSON.parse("{\"__proto__\":{\"kty\":\"oct\"}}")), "malformed")
    })

    it("[S1-25] [R21] a reason is a word, and nothing of the key", () => {
      const failure = Result.flip(Jwk.parse({ ...Keys.privateJwk(Keys.rsa), kid: "secret-kid" }))
      assert.strictEqual(JSON.stringify(Result.getOrThrow(failure)), "\"private\"")
    })
  })

  describe("base64url", () => {
    const x = bytes(32)
    const y = bytes(32, 8)
    const ec = { kty: "EC", crv: "P-256", x, y }

    it("[S1-25] is kept if it is canonical", () => {
      assert.isUndefined(reason(ec))
      assert.isUndefined(reason({ kty: "OKP", crv: "Ed25519", x: Buffer.alloc(32, 0xfb).toString("base64url") }))
    })

    const standard = Buffer.alloc(32, 0xfb).toString("base64").slice(0, -1)
    assert.match(standard, /[+/]/)
    const last = x.slice(0, -1)
    const odd: Readonly<Record<string, string>> = {
      padding: `${x}=`,
      "a space at the end": `${x} `,
      "a space before": ` ${x}`,
      "a space inside": `${x.slice(0, 8)} ${x.slice(8)}`,
      "a line feed at the end": `${x}\n`,
      "a line feed inside": `${x.slice(0, 8)}\n${x.slice(8)}`,
      "unused bits": `${last}d`,
      "one character more": `${x}A`,
      "the standard alphabet": standard,
      "another letter": `${last}é`,
      nothing: "",
      "31 bytes": bytes(31),
      "33 bytes": bytes(33),
      "32 bytes after a zero": Buffer.concat([Buffer.alloc(1), Buffer.alloc(32, 7)]).toString("base64url")
    }
    it("[S1-25] the case of unused bits differs in them alone", () => {
      assert.strictEqual(Buffer.from(odd["unused bits"] ?? "", "base64url").toString("base64url"), x)
    })
    skips("an x of EC with", "encoding", Object.fromEntries(Object.entries(odd).map(([k, v]) => [k, { ...ec, x: v }])))
    skips("a y of EC with", "encoding", Object.fromEntries(Object.entries(odd).map(([k, v]) => [k, { ...ec, y: v }])))
    skips(
      "an x of OKP with",
      "encoding",
      Object.fromEntries(Object.entries(odd).map(([k, v]) => [k, { ...ed25519, x: v }]))
    )
    skips("RSA with", "encoding", {
      "padding in e": { ...rsa, e: "AQAB====" },
      "unused bits in e": { ...rsa, e: "Ax" },
      "an empty e": { ...rsa, e: "" },
      "a line feed in n": { ...rsa, n: `${String(rsa["n"])}\n` },
      "padding in n": { ...rsa, n: `${String(rsa["n"])}==` },
      "an empty n": { ...rsa, n: "" },
      "bits over one character": { ...rsa, n: "A" }
    })

    it("[S1-25] coordinates have 32 bytes on P-256 and Ed25519, 48 on P-384 and 66 on P-521", () => {
      const table = [["EC", "P-256", 32], ["EC", "P-384", 48], ["EC", "P-521", 66], ["OKP", "Ed25519", 32]] as const
      for (const [kty, crv, length] of table) {
        for (const size of [1, 31, 32, 33, 47, 48, 49, 64, 66]) {
          const expected = size === length ? undefined : "encoding"
          const y = kty === "EC" ? { y: bytes(length) } : {}
          assert.strictEqual(reason({ kty, crv, x: bytes(size), ...y }), expected, `${crv} ${size}`)
          if (kty === "EC") assert.strictEqual(reason({ kty, crv, x: bytes(length), y: bytes(size) }), expected)
        }
      }
    })
  })

  describe("RSA", () => {
    for (
      const [bits, expected] of [
        [0, "weak"],
        [1, "weak"],
        [512, "weak"],
        [1024, "weak"],
        [2040, "weak"],
        [2047, "weak"],
        [2048, undefined],
        [2049, undefined],
        [3072, undefined],
        [8191, undefined],
        [8192, undefined],
        [8193, "weak"],
        [16_384, "weak"]
      ] as const
    ) {
      it(`[S1-25] [R4] a modulus of ${bits} bits is ${expected ?? "kept"}, with leading zeros or without`, () => {
        for (const zeros of [0, 1, 2, 3, 300]) {
          assert.strictEqual(reason(rsaOf({ bits, zeros })), bits + zeros === 0 ? "encoding" : expected, `${zeros}`)
        }
      })
    }

    const exponents: ReadonlyArray<readonly [hex: string, expected: Jwk.SkipReason | undefined]> = [
      ["00", "weak"],
      ["01", "weak"],
      ["02", "weak"],
      ["03", undefined],
      ["04", "weak"],
      ["05", undefined],
      ["010000", "weak"],
      ["010001", undefined],
      ["00010001", undefined],
      ["0000000000010001", undefined],
      ["00000000000001", "weak"],
      ["7fffffff", undefined],
      ["fffffffe", "weak"],
      ["ffffffff", undefined],
      ["00ffffffff", undefined],
      ["0100000001", "weak"],
      ["ffffffffffffffff", "weak"]
    ]
    for (const [hex, expected] of exponents) {
      it(`[S1-25] the exponent 0x${hex} is ${expected ?? "kept"}`, () => {
        assert.strictEqual(reason({ ...rsa, e: Buffer.from(hex, "hex").toString("base64url") }), expected)
      })
    }

    it("[S1-25] numbers lose their leading zeros, so that one key is one however it is written", () => {
      const plain = parsed(rsa)
      for (const zeros of [1, 2, 3, 4]) {
        const lead = (text: unknown) =>
          Buffer.concat([Buffer.alloc(zeros), Buffer.from(String(text), "base64url")]).toString("base64url")
        const padded = parsed({ ...rsa, n: lead(rsa["n"]), e: lead(rsa["e"]) })
        assert.deepStrictEqual(padded, plain)
        assert.strictEqual(Jwk.duplicateId(padded), Jwk.duplicateId(plain))
        assert.strictEqual(Jwk.entryId(padded), Jwk.entryId(plain))
      }
    })
  })

  describe("duplicateId", () => {
    it("[S1-25] is that of the modulus whatever else an RSA key says, and that of the entry for other kinds", () => {
      const named = { kid: "b", alg: "RS512", use: "sig", issuer: "i" }
      assert.strictEqual(Jwk.duplicateId(parsed({ ...rsa, ...named, e: "Aw" })), Jwk.duplicateId(parsed(rsa)))
      const x = bytes(32)
      const ids = [
        parsed(rsa),
        parsed({ ...Keys.jwk(Keys.otherRsa) }),
        parsed({ kty: "EC", crv: "P-256", x, y: x }),
        parsed({ kty: "EC", crv: "P-256", x, y: bytes(32, 8) }),
        parsed({ kty: "EC", crv: "P-256", x: bytes(32, 8), y: x }),
        parsed({ kty: "OKP", crv: "Ed25519", x }),
        parsed({ kty: "OKP", crv: "Ed25519", x, kid: "alias" })
      ].map(Jwk.duplicateId)
      assert.strictEqual(new Set(ids).size, ids.length)
    })
  })

  describe("entryId", () => {
    it("differs with every member that is kept", () => {
      const entries = [
        rsa,
        { ...rsa, kid: "a" },
        { ...rsa, kid: "RS256" },
        { ...rsa, alg: "RS256" },
        { ...rsa, use: "sig" },
        { ...rsa, kid: "sig" },
        { ...rsa, issuer: "a" },
        { ...rsa, kid: "" },
        { ...rsa, kid: "null" },
        { ...rsa, e: "Aw" },
        { ...Keys.jwk(Keys.otherRsa) },
        p256,
        ed25519
      ]
      assert.strictEqual(new Set(entries.map((entry) => Jwk.entryId(parsed(entry)))).size, entries.length)
    })

    it("is the same if only members differ that are not kept", () => {
      assert.strictEqual(
        Jwk.entryId(parsed({ ...rsa, x5t: "x", key_ops: ["verify"], nbf: 1 })),
        Jwk.entryId(parsed(rsa))
      )
    })
  })

  describe("defaultAlgorithm", () => {
    it("is that of the key, else the first of its kind", () => {
      assert.strictEqual(Jwk.defaultAlgorithm(parsed({ ...rsa, alg: "PS384" })), "PS384")
      assert.strictEqual(Jwk.defaultAlgorithm(parsed({ ...ed25519, alg: "Ed25519" })), "Ed25519")
      assert.deepStrictEqual(
        [rsa, p256, p384, p521, ed25519].map((members) => Jwk.defaultAlgorithm(parsed(members))),
        ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
      )
    })
  })
})
