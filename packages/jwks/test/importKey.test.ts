import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { CompactSign, compactVerify } from "jose"
import { generateKeyPairSync } from "node:crypto"
import { ImportedKey } from "../src/internal/keys/importedKey.ts"
import { KeyImport } from "../src/internal/keys/importKey.ts"
import { select } from "../src/internal/keys/keySelection.ts"
import * as KeySet from "../src/internal/keys/keySet.ts"
import * as Keys from "./fixtures/keys/generated.ts"
import { offCurve, rsaOf } from "./publicKeys.ts"

const rsa3072: Keys.Pair = generateKeyPairSync("rsa", { modulusLength: 3072, publicExponent: 3 })

const parse = (...keys: ReadonlyArray<unknown>) =>
  Effect.flatMap(KeyImport, (importKey) => KeySet.parse(JSON.stringify({ keys }), { importKey, generation: 1 }))

const signed = ({ privateKey }: Keys.Pair, alg: string, kid?: string) =>
  Effect.promise(() =>
    new CompactSign(Buffer.from("payload")).setProtectedHeader(kid === undefined ? { alg } : { alg, kid })
      .sign(privateKey)
  )

const verifies = (token: string, key: CryptoKey) =>
  Effect.map(Effect.exit(Effect.tryPromise(() => compactVerify(token, key))), Exit.isSuccess)

/** The first key of a set for a header, imported for its algorithm. */
const keyFor = Effect.fnUntraced(function*(keySet: KeySet.KeySet, alg: string, kid?: string) {
  const selection = select(keySet, { alg, kid })
  if (selection._tag === "NotFound") return assert.fail(`${alg} ${kid} is ${selection.reason}`)
  const importKey = yield* KeyImport
  return yield* importKey(selection.keys[0], alg)
})

describe("importKey", () => {
  const pairs: ReadonlyArray<readonly [name: string, pair: Keys.Pair, algorithms: ReadonlyArray<string>]> = [
    ["RSA", Keys.rsa, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
    ["RSA of 3072 bits with the exponent 3", rsa3072, ["RS256", "PS512"]],
    ["P-256", Keys.p256, ["ES256"]],
    ["P-384", Keys.p384, ["ES384"]],
    ["P-521", Keys.p521, ["ES512"]],
    ["Ed25519", Keys.ed25519, ["EdDSA", "Ed25519"]]
  ]
  for (const [name, pair, algorithms] of pairs) {
    it.live(`[S4-38] [S1-25] one ${name} key without alg verifies ${algorithms.join(", ")}`, () =>
      Effect.gen(function*() {
        const { keySet } = yield* parse({ ...Keys.jwk(pair), kid: "a" })
        for (const alg of algorithms) {
          const token = yield* signed(pair, alg, "a")
          const key = yield* keyFor(keySet, alg, "a")
          assert.isTrue(yield* verifies(token, key), alg)
          assert.isFalse(yield* verifies(token.replace(/\..*\./, ".Zm9yZ2Vk."), key), alg)
          assert.deepStrictEqual([key.type, key.extractable, [...key.usages]], ["public", false, ["verify"]])
        }
      }))
  }

  it.live("[S4-38] keys of every kind in one set each verify their own tokens alone", () =>
    Effect.gen(function*() {
      const own = pairs.map(([, pair, [alg = ""]], index) => ({ pair, alg, kid: `k${index}` }))
      const { keySet, skipped } = yield* parse(...own.map(({ alg, kid, pair }) => ({ ...Keys.jwk(pair), alg, kid })))
      assert.deepStrictEqual([keySet.all.length, skipped], [own.length, []])
      for (const { alg, kid, pair } of own) {
        const token = yield* signed(pair, alg, kid)
        for (const key of keySet.all) {
          const imported = ImportedKey.importsOf(key).get(key.alg ?? "")
          assert.isDefined(imported)
          assert.strictEqual(yield* verifies(token, imported), key.kid === kid)
        }
      }
    }))

  it.live("[S1-25] a key with leading zeros, as some libraries write it, verifies", () =>
    Effect.gen(function*() {
      const { e = "", n = "" } = Keys.jwk(Keys.rsa)
      const lead = (text: string) =>
        Buffer.concat([Buffer.alloc(1), Buffer.from(text, "base64url")]).toString("base64url")
      const { keySet } = yield* parse({ kty: "RSA", n: lead(n), e: lead(e) })
      const key = yield* keyFor(keySet, "RS256")
      assert.isTrue(yield* verifies(yield* signed(Keys.rsa, "RS256"), key))
    }))

  it.live("[S1-25] every size and exponent that is kept is one that WebCrypto takes", () =>
    Effect.gen(function*() {
      const keys = [2048, 2049, 4096, 8192].flatMap((bits) =>
        ["Aw", "AQAB", "_____w"].map((e, seed) => rsaOf({ bits, e, seed }))
      )
      const { keySet, skipped } = yield* parse(...keys)
      assert.deepStrictEqual([keySet.all.length, skipped], [keys.length, []])
    }))

  it.live("[S1-25] a point not on its curve is unusable, and harms no other", () =>
    Effect.gen(function*() {
      const { x, y } = Keys.jwk(Keys.p256)
      const swapped = { kty: "EC", crv: "P-256", x: y, y: x }
      const parsed = yield* parse(offCurve(1), { ...Keys.jwk(Keys.p256), kid: "a" }, swapped)
      assert.deepStrictEqual(parsed.keySet.all.map(({ kid }) => kid), ["a"])
      assert.deepStrictEqual(parsed.skipped, [{ index: 0, reason: "unusable" }, { index: 2, reason: "unusable" }])
    }))

  it.live("[S1-25] an algorithm that is not of the key fails", () =>
    Effect.gen(function*() {
      const importKey = yield* KeyImport
      const { keySet } = yield* parse(Keys.jwk(Keys.p256))
      for (const key of keySet.all) assert.isTrue(Exit.isFailure(yield* Effect.exit(importKey(key, "RS256"))))
    }))
})
