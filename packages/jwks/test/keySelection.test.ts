import { assert, describe, it } from "@effect/vitest"
import { isBound, maxCandidates, maxKidLength, select, type Selectable } from "../src/internal/keys/keySelection.ts"

interface Key extends Selectable {
  readonly name: string
}

const kinds = {
  rsa: { kty: "RSA", crv: undefined },
  p256: { kty: "EC", crv: "P-256" },
  p384: { kty: "EC", crv: "P-384" },
  p521: { kty: "EC", crv: "P-521" },
  ed25519: { kty: "OKP", crv: "Ed25519" },
  oct: { kty: "oct", crv: undefined }
} as const

const key = (name: string, kind: keyof typeof kinds, members: Partial<Selectable> = {}): Key => ({
  name,
  kid: undefined,
  alg: undefined,
  use: undefined,
  ...kinds[kind],
  ...members
})

const setOf = (keys: ReadonlyArray<Key>) => {
  const byKid = new Map<string, Array<Key>>()
  for (const one of keys) if (one.kid !== undefined) byKid.set(one.kid, [...(byKid.get(one.kid) ?? []), one])
  return { all: keys, byKid }
}

/** The names of the candidates in order, or why there are none. */
const selected = (keys: ReadonlyArray<Key>, header: { readonly alg: string; readonly kid?: string }) => {
  const selection = select(setOf(keys), header)
  if (selection._tag === "Found") return selection.keys.map(({ name }) => name)
  assert.strictEqual(selection._tag, "NotFound")
  return selection.reason
}

const bound = {
  rsa: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  p256: ["ES256"],
  p384: ["ES384"],
  p521: ["ES512"],
  ed25519: ["EdDSA", "Ed25519"],
  oct: ["HS256", "HS384", "HS512"]
} as const
const names = ["rsa", "p256", "p384", "p521", "ed25519", "oct"] as const
const foreign = "ES256K Ed448 none NONE rs256 RS1 ML-DSA-44 RSA-OAEP __proto__ toString".split(" ")
const algorithms: ReadonlyArray<string> = [...Object.values(bound).flat(), ...foreign, ""]

describe("keySelection", () => {
  describe("isBound", () => {
    for (const alg of algorithms) {
      const fitting = names.filter((name) => Object.values<string>(bound[name]).includes(alg))
      it(`[S1-25] [R4] "${alg}" is bound to ${fitting.join() || "no key"}`, () => {
        assert.deepStrictEqual(names.filter((name) => isBound(alg, kinds[name])), fitting)
      })
    }

    it("[S1-25] [R4] the curve is part of it, and the key type even where the curve fits", () => {
      assert.isFalse(isBound("ES256", { kty: "EC", crv: undefined }))
      assert.isFalse(isBound("ES256", { kty: "OKP", crv: "P-256" }))
      assert.isFalse(isBound("EdDSA", { kty: "OKP", crv: "Ed448" }))
      assert.isFalse(isBound("EdDSA", { kty: "OKP", crv: "X25519" }))
      assert.isFalse(isBound("RS256", { kty: "AKP", crv: undefined }))
      assert.isTrue(isBound("RS256", { kty: "RSA", crv: "none of its own" }))
    })
  })

  describe("select", () => {
    for (const name of names) {
      for (const alg of algorithms) {
        const fits = Object.values<string>(bound[name]).includes(alg)
        it(`[S1-26] [R4] ${name} is ${fits ? "a" : "no"} candidate for "${alg}", with a kid or without`, () => {
          const keys = [key("it", name, { kid: "a" })]
          assert.deepStrictEqual(selected(keys, { alg }), fits ? ["it"] : "unknown")
          assert.deepStrictEqual(selected(keys, { alg, kid: "a" }), fits ? ["it"] : "mismatched")
        })
      }
    }

    it("[S1-26] [R4] a key is for its own algorithm alone", () => {
      for (const own of bound.rsa) {
        for (const alg of bound.rsa) {
          const keys = [key("it", "rsa", { alg: own, kid: "a" })]
          assert.deepStrictEqual(selected(keys, { alg }), alg === own ? ["it"] : "unknown")
          assert.deepStrictEqual(selected(keys, { alg, kid: "a" }), alg === own ? ["it"] : "mismatched")
        }
      }
    })

    it("[S1-26] EdDSA and Ed25519 are two names of one algorithm", () => {
      for (const own of bound.ed25519) {
        for (const alg of bound.ed25519) {
          assert.deepStrictEqual(selected([key("it", "ed25519", { alg: own })], { alg }), ["it"])
        }
      }
      for (const alg of bound.ed25519) {
        assert.strictEqual(selected([key("it", "ed25519", { alg: "ES256" })], { alg }), "unknown")
        assert.strictEqual(selected([key("it", "p256", { alg })], { alg: "ES256" }), "unknown")
      }
    })

    it("[S1-26] [R4] a key of another use is not a candidate", () => {
      for (const use of ["enc", "", "SIG"]) {
        assert.strictEqual(selected([key("it", "rsa", { use })], { alg: "RS256" }), "unknown")
        assert.strictEqual(selected([key("it", "rsa", { use, kid: "a" })], { alg: "RS256", kid: "a" }), "mismatched")
      }
      assert.deepStrictEqual(selected([key("it", "rsa", { use: "sig" })], { alg: "RS256" }), ["it"])
    })

    it("[S1-26] without a kid keys come by alg, then by use, then as they are in the set", () => {
      const four = [
        key("bare", "rsa"),
        key("use", "rsa", { use: "sig" }),
        key("alg", "rsa", { alg: "RS256" }),
        key("both", "rsa", { alg: "RS256", use: "sig" })
      ]
      const order = ["both", "alg", "use", "bare"]
      assert.deepStrictEqual(selected(four, { alg: "RS256" }), order)
      assert.deepStrictEqual(selected(four.toReversed(), { alg: "RS256" }), order)
      const equal = ["x", "y", "z"].map((name) => key(name, "rsa", { use: "sig" }))
      assert.deepStrictEqual(selected(equal, { alg: "PS512" }), ["x", "y", "z"])
      assert.deepStrictEqual(selected(equal.toReversed(), { alg: "PS512" }), ["z", "y", "x"])
    })

    it("[S1-26] keys of one kid come in the same order", () => {
      const keys = [key("bare", "rsa", { kid: "a" }), key("alg", "rsa", { kid: "a", alg: "RS256" })]
      assert.deepStrictEqual(selected(keys, { alg: "RS256", kid: "a" }), ["alg", "bare"])
    })

    it("[S1-26] the set's own order is left as it is", () => {
      const set = setOf([key("bare", "rsa", { kid: "a" }), key("both", "rsa", { kid: "a", alg: "RS256", use: "sig" })])
      select(set, { alg: "RS256" })
      select(set, { alg: "RS256", kid: "a" })
      assert.deepStrictEqual(set.all.map(({ name }) => name), ["bare", "both"])
      assert.deepStrictEqual(set.byKid.get("a")?.map(({ name }) => name), ["bare", "both"])
    })

    it("[S1-26] without a kid, keys that have one are candidates too", () => {
      const keys = [key("named", "rsa", { kid: "a" }), key("unnamed", "rsa")]
      assert.deepStrictEqual(selected(keys, { alg: "RS256" }), ["named", "unnamed"])
    })

    it("[S1-27] [S4-38] with a kid that is not in the set no other key is tried", () => {
      const keys = [key("named", "rsa", { kid: "a" }), key("unnamed", "rsa")]
      for (const kid of ["b", "", "A", "a ", "__proto__", "constructor", "undefined"]) {
        assert.strictEqual(selected(keys, { alg: "RS256", kid }), "unknown", kid)
      }
      assert.strictEqual(selected([], { alg: "RS256", kid: "a" }), "unknown")
      assert.strictEqual(selected([], { alg: "RS256" }), "unknown")
    })

    it("[S1-27] a kid of a key that doesn't fit is mismatched, though others would fit", () => {
      const keys = [key("ec", "p256", { kid: "a" }), key("rsa", "rsa", { kid: "b" })]
      assert.strictEqual(selected(keys, { alg: "RS256", kid: "a" }), "mismatched")
      assert.deepStrictEqual(selected(keys, { alg: "ES256", kid: "a" }), ["ec"])
    })

    it("[S1-25] [S1-27] of two keys of one kid those that fit are candidates", () => {
      const keys = [key("ec", "p256", { kid: "a" }), key("one", "rsa", { kid: "a" }), key("two", "rsa", { kid: "a" })]
      assert.deepStrictEqual(selected(keys, { alg: "RS256", kid: "a" }), ["one", "two"])
      assert.deepStrictEqual(selected(keys, { alg: "ES256", kid: "a" }), ["ec"])
    })

    it("[S1-25] any text is a kid", () => {
      for (const kid of ["__proto__", "constructor", "", " ", "\u0000"]) {
        assert.deepStrictEqual(selected([key("it", "rsa", { kid })], { alg: "RS256", kid }), ["it"])
      }
    })

    for (const kid of [undefined, "a"]) {
      it(`[R4] [S1-27] four candidates are tried and five are ambiguous, with the kid ${kid}`, () => {
        const header = { alg: "RS256", ...(kid === undefined ? undefined : { kid }) }
        const keys = Array.from({ length: 5 }, (_, index) => key(String(index), "rsa", { kid }))
        assert.deepStrictEqual(selected(keys.slice(0, 4), header), ["0", "1", "2", "3"])
        assert.strictEqual(selected(keys, header), "ambiguous")
        const others = Array.from({ length: 90 }, (_, index) => key(`ec${index}`, "p256", { kid }))
        assert.deepStrictEqual(selected([...others, ...keys.slice(1)], header), ["1", "2", "3", "4"])
      })
    }

    it("[R4] the limits are four candidates and kids of 256 characters", () => {
      assert.deepStrictEqual([maxCandidates, maxKidLength], [4, 256])
    })
  })
})
