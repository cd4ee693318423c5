import { assert, describe, it } from "@effect/vitest"
import { cacheOf, documentOf, jwk } from "@keelson/testing/scriptedProvider"
import { Effect } from "effect"
import { Jwk, KeySet, StaticKeys } from "../src/index.ts"
import { select } from "../src/internal/keys/keySelection.ts"
import { KeySource } from "../src/KeySource.ts"

/** A document as SPIRE serves it. */
const bundle = JSON.stringify({
  keys: [
    { use: "x509-svid", kty: "EC", crv: "P-256", x: "AA", y: "AA", x5c: ["AA"] },
    jwk("a", { use: "jwt-svid", alg: undefined }),
    jwk("b", { use: "sig" }),
    jwk("c", { use: undefined }),
    jwk("d", { use: "wit-svid" })
  ],
  spiffe_sequence: 12035488,
  spiffe_refresh_hint: 2419200
})

const svid = { alg: "EdDSA", use: "jwt-svid" } as const

describe("A SPIFFE bundle", () => {
  it.effect("[K-28 A5] is a key set: keys for JWT-SVIDs are kept, others of its kinds are skipped", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(documentOf(bundle))
      const set = yield* cache.keySet
      assert.deepStrictEqual(set.all.map(({ kid, use }) => [kid, use]), [["a", "jwt-svid"], ["b", "sig"], [
        "c",
        undefined
      ]])
      const { skipped } = yield* cache.status
      assert.deepStrictEqual(skipped, [{ index: 0, reason: "use" }, { index: 4, reason: "use" }])
      assert.deepStrictEqual(KeySet.toJson(set).keys[0]?.["use"], "jwt-svid")
    }))

  it.effect("[K-28 A5] its keys are found for JWT-SVIDs only, in any order of lookups", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(documentOf(bundle))
      const kidsOf = (header: Parameters<typeof cache.find>[0]) =>
        Effect.match(cache.find(header), {
          onFailure: (error) => error._tag === "JwksKeyNotFound" ? error.reason : error._tag,
          onSuccess: (candidates) => candidates.map(({ kid }) => kid).join(" ")
        })
      for (let round = 0; round < 2; round++) {
        assert.strictEqual(yield* kidsOf({ alg: "EdDSA", kid: "a" }), "mismatched")
        assert.strictEqual(yield* kidsOf({ ...svid, kid: "a" }), "a")
        assert.strictEqual(yield* kidsOf({ ...svid, kid: "b" }), "b")
        assert.strictEqual(yield* kidsOf({ alg: "EdDSA", kid: "b" }), "b")
        assert.strictEqual(yield* kidsOf({ alg: "EdDSA" }), "b c")
        assert.strictEqual(yield* kidsOf(svid), "b c a")
      }
    }))

  it.effect("[K-28 A5] [K-28 I2] static keys judge the use of a JWK as a key set does", () =>
    Effect.gen(function*() {
      const { publicKey } = yield* Effect.promise(async () => {
        const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])
        if (!("publicKey" in pair)) throw new Error("no pair")
        return { publicKey: await crypto.subtle.exportKey("jwk", pair.publicKey) }
      })
      const { crv, kty, x } = publicKey
      const members = { crv, kty, x, use: "jwt-svid" }
      const keys = StaticKeys.layer({ issuers: ["i"], keys: [{ id: "a", algorithm: "EdDSA", jwk: members }] })
      const find = (header: { readonly alg: string; readonly kid?: string; readonly use?: "jwt-svid" }) =>
        Effect.match(Effect.provide(Effect.flatMap(KeySource, (source) => source.find("i", header)), keys), {
          onFailure: ({ _tag }): unknown => _tag,
          onSuccess: ({ length }): unknown => length
        })
      for (const kid of [{ kid: "a" }, {}]) {
        assert.strictEqual(yield* find({ alg: "EdDSA", ...kid }), "JwksKeyNotFound")
        assert.strictEqual(yield* find({ ...svid, ...kid }), 1)
      }
      assert.strictEqual(Jwk.parse(members)._tag, "Success")
    }))

  it("[K-28 A5] [R4] keys for JWT-SVIDs do not count among the keys to try for other tokens", () => {
    const key = (kid: string, use: string) => ({ kid, use, kty: "OKP", crv: "Ed25519", alg: undefined })
    const all = [...["a", "b", "c", "d"].map((kid) => key(kid, "jwt-svid")), key("e", "sig")]
    const found = (use?: "jwt-svid") => select({ all, byKid: new Map() }, { alg: "EdDSA", use })
    assert.deepStrictEqual(found(), { _tag: "Found", keys: [key("e", "sig")] })
    assert.deepStrictEqual(found("jwt-svid"), { _tag: "NotFound", reason: "ambiguous" })
  })
})
