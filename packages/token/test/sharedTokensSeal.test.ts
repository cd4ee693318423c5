import { assert, describe, it } from "@effect/vitest"
import { Configuration } from "@keelson/core"
import { Effect, Redacted } from "effect"
import { inspect } from "node:util"
import { SharedTokensOptions } from "../src/index.ts"
import { makeSeal } from "../src/internal/fleet/seal.ts"
import { keyText } from "./sharedTokensSupport.ts"

const keyOf = (id: string, seed: number) => ({ id, key: Redacted.make(keyText(seed)) })
const about = "[\"token\",\"identity\",7]"

/** A copy of a value with one character of its last part replaced. */
const changed = (sealed: string, at: number): string => {
  const index = sealed.lastIndexOf(".") + 1 + at
  return sealed.slice(0, index) + (sealed[index] === "A" ? "B" : "A") + sealed.slice(index + 1)
}

describe("the encryption of stored tokens", () => {
  it.effect("[R16] a value is bound to its record, its fencing number and its key, and every change of it is noticed", () =>
    Effect.gen(function*() {
      const seal = yield* makeSeal([keyOf("one", 1)])
      const sealed = yield* seal.close("the token", about)
      assert.deepInclude(yield* seal.open(sealed, about), { _tag: "Success", success: "the token" })
      for (
        const other of ["[\"token\",\"identity\",8]", "[\"token\",\"other\",7]", "[\"refresh\",\"identity\",7]", ""]
      ) {
        assert.deepInclude(yield* seal.open(sealed, other), { _tag: "Failure", failure: "cipher" })
      }
      const length = sealed.length - sealed.lastIndexOf(".") - 1
      // The last character may have bits that say nothing.
      for (let at = 0; at < length - 1; at++) {
        assert.deepInclude(
          yield* seal.open(changed(sealed, at), about),
          { _tag: "Failure", failure: "cipher" },
          String(at)
        )
      }
      assert.deepInclude(yield* seal.open(sealed.slice(0, -4), about), { _tag: "Failure", failure: "cipher" })
    }))

  it.effect("[R16] no two values have the same nonce", () =>
    Effect.gen(function*() {
      const seal = yield* makeSeal([keyOf("one", 1)])
      const all = yield* Effect.forEach(Array.from({ length: 200 }), () => seal.close("the token", about))
      assert.strictEqual(new Set(all.map((sealed) => sealed.split(".")[2]?.slice(0, 16))).size, 200)
    }))

  it.effect("[R16] the first key encrypts, every key decrypts, and an unknown one, another version and other text do not", () =>
    Effect.gen(function*() {
      const [before, during, after] = yield* Effect.all([
        makeSeal([keyOf("one", 1), keyOf("two", 2)]),
        makeSeal([keyOf("two", 2), keyOf("one", 1)]),
        makeSeal([keyOf("two", 2)])
      ])
      const old = yield* before.close("the token", about)
      const fresh = yield* during.close("the token", about)
      assert.match(old, /^1\.one\./)
      assert.match(fresh, /^1\.two\./)
      for (const sealed of [old, fresh]) {
        assert.deepInclude(yield* before.open(sealed, about), { _tag: "Success" })
        assert.deepInclude(yield* during.open(sealed, about), { _tag: "Success" })
      }
      assert.deepInclude(yield* after.open(fresh, about), { _tag: "Success" })
      assert.deepInclude(yield* after.open(old, about), { _tag: "Failure", failure: "key" })
      // The same id with other bytes, as in a process with a wrong key.
      const wrong = yield* makeSeal([keyOf("two", 3)])
      assert.deepInclude(yield* wrong.open(fresh, about), { _tag: "Failure", failure: "cipher" })
      for (const text of ["", "2" + fresh.slice(1), "the token", "{}", "1..", "1.two.", "1.two.AAAA", "\u0000"]) {
        assert.deepInclude(yield* during.open(text, about), { _tag: "Failure", failure: "version" }, text)
      }
    }))

  const decode = Configuration.decode(SharedTokensOptions.SharedTokensOptions)
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
  const pattern = (at: (index: number) => number) =>
    base64(Uint8Array.from({ length: 32 }, (_, index) => at(index) & 255))

  it.effect("[R16] accepts 32 random bytes in base64 and base64url", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 100; seed++) {
        const key = keyText(seed)
        for (const text of [key, key.slice(0, -1), Buffer.from(key, "base64").toString("base64url")]) {
          assert.strictEqual((yield* decode({ keys: [{ id: "a", key: text }] })).keys.length, 1)
        }
      }
    }))

  it.effect("[R16] refuses short, weak and repeated keys, and names the option and never the key", () =>
    Effect.gen(function*() {
      const weak = {
        short: keyText(1).slice(0, 40),
        long: base64(new Uint8Array(33).fill(7)),
        sixteen: base64(Buffer.from(keyText(1), "base64").subarray(0, 16)),
        passphrase: base64(Buffer.from("correct horse battery staple, 1!")),
        text: "correct horse battery staple, 1!",
        zero: pattern(() => 0),
        few: pattern((index) => index % 4),
        row: pattern((index) => index),
        steps: pattern((index) => 7 * index + 3),
        hex: Buffer.from(keyText(1), "base64").toString("hex"),
        empty: "",
        spaces: ` ${keyText(1)}`
      }
      for (const [name, key] of Object.entries(weak)) {
        const error = yield* Effect.flip(decode({ keys: [{ id: "a", key }] }))
        assert.strictEqual(error.code, "INVALID_CONFIG", name)
        assert.include(error.message, "keys", name)
        assert.include(error.message, "base64 of 32 random bytes", name)
        if (key !== "") assert.notInclude(inspect([error, error.stack], { depth: 9 }), key, name)
      }
      const key = keyText(1)
      for (
        const keys of [[], [{ id: "a", key }, { id: "a", key: keyText(2) }], [{ id: "a b", key }], [{ id: "", key }]]
      ) {
        assert.strictEqual((yield* Effect.flip(decode({ keys }))).code, "INVALID_CONFIG")
      }
    }))
})
