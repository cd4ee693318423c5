import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { defaultAlgorithm, duplicateId, entryId } from "../src/internal/keys/keyIds.ts"
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
      "kid a list": { ...rsa, kid: ["a"] },
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
      encrypt: { ...rsa, use: "sig", key_ops: ["encrypt", "wrapKey"] }
    })
    skips("[K-28 I5] operations that are no list of different texts", "operations", {
      "verify twice": { ...rsa, key_ops: ["verify", "verify"] },
      "sign twice": { ...rsa, key_ops: ["verify", "sign", "sign"] },
      "a number": { ...rsa, key_ops: ["verify", 1] },
      null: { ...rsa, key_ops: ["verify", null] },
      "a list": { ...rsa, key_ops: ["verify", ["verify"]] },
      "very many": { ...rsa, key_ops: ["verify", ...Array.from({ length: 100 }, (_, index) => `op${index}`)] }
    })

    it("[S1-25] keeps a key whose operations have verify", () => {
      assert.isUndefined(reason({ ...rsa, key_ops: ["verify"] }))
      assert.isUndefined(reason({ ...rsa, use: "sig", key_ops: ["sign", "verify"] }))
    })

    it("a key whose private members are its own and undefined is public, as on workerd", () => {
      const names = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]
      const exported = Object.fromEntries(names.map((name) => [name, undefined]))
      for (const key of [rsa, p256, ed25519]) assert.deepStrictEqual(parsed({ ...key, ...exported }), parsed(key))
      assert.strictEqual(reason({ ...rsa, ...exported, q: "" }), "private")
    })

    it("[K-28 A3] [S1-25] an optional member that is null counts as left out (pyjwt#857, Abblix/Oidc.Server#263)", () => {
      const names = ["kid", "alg", "use", "key_ops", "issuer", "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]
      for (const name of names) {
        for (const key of [rsa, p256, ed25519]) {
          const { [name]: _, ...without } = key
          assert.deepStrictEqual(parsed({ ...key, [name]: null }), parsed(without), name)
        }
      }
      assert.strictEqual(reason({ ...rsa, p: null, d: "x" }), "private")
    })

    it("members that a key inherits do not count", () => {
      assert.strictEqual(reason(Object.create({ ...rsa })), "malformed")
      const inheriting: unknown = Object.assign(Object.create({ d: "x", alg: "ES256" }), rsa)
      assert.deepStrictEqual(parsed(inheriting), parsed(rsa))
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

    const other = Buffer.alloc(32, 0xfb)
    const standard = other.toString("base64").slice(0, -1)
    assert.match(standard, /[+/]/)
    const last = x.slice(0, -1)
    const spellings: Readonly<Record<string, readonly [text: string, canonical: string]>> = {
      padding: [`${x}=`, x],
      "the standard alphabet": [standard, other.toString("base64url")],
      "the standard alphabet and padding": [`${standard}=`, other.toString("base64url")],
      "a space at the end": [`${x} `, x],
      "a space before": [` ${x}`, x],
      "a space inside": [`${x.slice(0, 8)} ${x.slice(8)}`, x],
      "a line feed at the end": [`${x}\n`, x],
      "a line break inside": [`${x.slice(0, 8)}\r\n${x.slice(8)}`, x],
      "unused bits": [`${last}d`, x]
    }
    for (const [name, [text, canonical]] of Object.entries(spellings)) {
      it(`[K-28 A3] [S1-25] a member with ${name} is the key that the canonical text is`, () => {
        assert.deepStrictEqual(parsed({ ...ec, x: text }), parsed({ ...ec, x: canonical }))
        assert.deepStrictEqual(parsed({ ...ec, y: text }), parsed({ ...ec, y: canonical }))
        assert.deepStrictEqual(parsed({ ...ed25519, x: text }), parsed({ ...ed25519, x: canonical }))
      })
    }
    const n = String(rsa["n"])
    const rsaSpellings: Readonly<Record<string, Members>> = {
      "padding in n": { ...rsa, n: Buffer.from(n, "base64url").toString("base64") },
      "the standard alphabet in n": { ...rsa, n: n.replaceAll("-", "+").replaceAll("_", "/") },
      "a line feed in n": { ...rsa, n: `${n}\n` },
      "lines of 64 characters in n": { ...rsa, n: n.replaceAll(/.{64}/g, "$&\n") },
      "unused bits in e": { ...rsa, e: "Ax" },
      "padding in e": { ...rsa, e: "Aw==" }
    }
    for (const [name, members] of Object.entries(rsaSpellings)) {
      it(`[K-28 A3] [S1-25] RSA with ${name} is the key that the canonical text is`, () => {
        const canonical = name.endsWith("e") ? { ...rsa, e: "Aw" } : rsa
        assert.deepStrictEqual(parsed(members), parsed(canonical))
      })
    }

    const odd: Readonly<Record<string, string>> = {
      "one character more": `${x}A`,
      "two characters of padding for one": `${x}==`,
      "padding inside": `${x.slice(0, 8)}=${x.slice(8)}`,
      "a no-break space": `${x}\u00a0`,
      "another letter": `${last}é`,
      nothing: "",
      "padding alone": "=",
      "33 bytes": bytes(33)
    }
    it("[S1-25] the case of unused bits differs in them alone", () => {
      assert.strictEqual(Buffer.from(spellings["unused bits"]?.[0] ?? "", "base64url").toString("base64url"), x)
    })
    skips("an x of EC with", "encoding", Object.fromEntries(Object.entries(odd).map(([k, v]) => [k, { ...ec, x: v }])))
    skips("a y of EC with", "encoding", Object.fromEntries(Object.entries(odd).map(([k, v]) => [k, { ...ec, y: v }])))
    const oddOkp = { ...odd, "31 bytes": bytes(31), "32 bytes after a zero": `AA${bytes(32)}` }
    skips(
      "an x of OKP with",
      "encoding",
      Object.fromEntries(Object.entries(oddOkp).map(([k, v]) => [k, { ...ed25519, x: v }]))
    )
    skips("RSA with", "encoding", {
      "too much padding in e": { ...rsa, e: "AQAB====" },
      "an empty e": { ...rsa, e: "" },
      "an empty n": { ...rsa, n: "" },
      "n of white space": { ...rsa, n: " \n" },
      "bits over one character": { ...rsa, n: "A" },
      "n of a megabyte": { ...rsa, n: "A".repeat(1_048_576) }
    })

    it("[K-28 A3] coordinates may lack their leading zeros, or have one more, as numbers do", () => {
      const short = Buffer.concat([Buffer.alloc(2), Buffer.alloc(30, 7)])
      for (const [kty, crv, size] of [["EC", "P-256", 32], ["EC", "P-384", 48], ["EC", "P-521", 66]] as const) {
        const coordinate = Buffer.concat([Buffer.alloc(size - 30), short.subarray(2)])
        const canonical = parsed({ kty, crv, x: coordinate.toString("base64url"), y: bytes(size) })
        for (const zeros of [0, 1, 2, size - 30 + 1]) {
          const x = Buffer.concat([Buffer.alloc(zeros), short.subarray(2)]).toString("base64url")
          assert.deepStrictEqual(parsed({ kty, crv, x, y: bytes(size) }), canonical)
        }
        const signed = Buffer.concat([Buffer.alloc(1), Buffer.alloc(size, 7)]).toString("base64url")
        assert.deepStrictEqual(
          parsed({ kty, crv, x: signed, y: signed }),
          parsed({
            kty,
            crv,
            x: bytes(size),
            y: bytes(size)
          })
        )
      }
    })

    it("[S1-25] coordinates have at most 32 bytes on P-256, 48 on P-384 and 66 on P-521, and 32 on Ed25519", () => {
      const table = [["EC", "P-256", 32], ["EC", "P-384", 48], ["EC", "P-521", 66], ["OKP", "Ed25519", 32]] as const
      for (const [kty, crv, length] of table) {
        for (const size of [1, 31, 32, 33, 47, 48, 49, 64, 66, 67]) {
          const fits = kty === "EC" ? size <= length : size === length
          const expected = fits ? undefined : "encoding"
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
        assert.strictEqual(duplicateId(padded), duplicateId(plain))
        assert.strictEqual(entryId(padded), entryId(plain))
      }
    })
  })

  describe("duplicateId", () => {
    it("[K-28 A1] [S1-25] differs with kid, alg, use and material; of an RSA key the modulus counts", () => {
      const named = { kid: "b", alg: "RS512", use: "sig" }
      assert.strictEqual(
        duplicateId(parsed({ ...rsa, ...named, e: "Aw" })),
        duplicateId(parsed({ ...rsa, ...named }))
      )
      const x = bytes(32)
      const ids = [
        parsed(rsa),
        parsed({ ...rsa, kid: "a" }),
        parsed({ ...rsa, kid: "b" }),
        parsed({ ...rsa, alg: "RS256" }),
        parsed({ ...rsa, alg: "RS512" }),
        parsed({ ...rsa, use: "sig" }),
        parsed({ ...Keys.jwk(Keys.otherRsa) }),
        parsed({ kty: "EC", crv: "P-256", x, y: x }),
        parsed({ kty: "EC", crv: "P-256", x, y: bytes(32, 8) }),
        parsed({ kty: "EC", crv: "P-256", x: bytes(32, 8), y: x }),
        parsed({ kty: "OKP", crv: "Ed25519", x }),
        parsed({ kty: "OKP", crv: "Ed25519", x, kid: "alias" })
      ].map(duplicateId)
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
      assert.strictEqual(new Set(entries.map((entry) => entryId(parsed(entry)))).size, entries.length)
    })

    it("is the same if only members differ that are not kept", () => {
      assert.strictEqual(
        entryId(parsed({ ...rsa, x5t: "x", key_ops: ["verify"], nbf: 1 })),
        entryId(parsed(rsa))
      )
    })
  })

  describe("defaultAlgorithm", () => {
    it("is that of the key, else the first of its kind", () => {
      assert.strictEqual(defaultAlgorithm(parsed({ ...rsa, alg: "PS384" })), "PS384")
      assert.strictEqual(defaultAlgorithm(parsed({ ...ed25519, alg: "Ed25519" })), "Ed25519")
      assert.deepStrictEqual(
        [rsa, p256, p384, p521, ed25519].map((members) => defaultAlgorithm(parsed(members))),
        ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
      )
    })
  })
})
