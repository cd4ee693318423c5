import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import {
  builtin,
  bytesOf,
  encoderOf,
  encodeText,
  hashOf,
  hashText,
  makeBytes
} from "../src/internal/validation/platform.ts"

describe("hashText", () => {
  it("[K-05] is SHA-256 in base64url, of the text in UTF-8", () => {
    for (const text of ["", "abc", "é😀", "x".repeat(20_000)]) {
      assert.strictEqual(hashText?.(text), createHash("sha256").update(text, "utf8").digest("base64url"))
    }
    assert.strictEqual(hashText?.("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
  })

  it("is that of the crypto module, and there is none without its one-shot hash", () => {
    const called: Array<ReadonlyArray<string>> = []
    const hash = hashOf({
      hash: (...all: ReadonlyArray<string>) => {
        called.push(all)
        return "hashed"
      }
    })
    assert.strictEqual(hash?.("text"), "hashed")
    assert.deepStrictEqual(called, [["sha256", "text", "base64url"]])
    for (const module of [undefined, null, {}, { hash: "sha256" }, "crypto"]) assert.isUndefined(hashOf(module))
  })
})

describe("makeBytes", () => {
  it("is the Buffer of the buffer module, and there are none without it", () => {
    assert.strictEqual<unknown>(makeBytes, Buffer)
    assert.strictEqual<unknown>(bytesOf({ Buffer }), Buffer)
    for (const module of [undefined, null, {}, { Buffer: undefined }, { Buffer: {} }, { Buffer: { from: "text" } }]) {
      assert.isUndefined(bytesOf(module))
    }
  })
})

describe("encodeText", () => {
  it("gives the same bytes as the web does: UTF-8, and U+FFFD for half of a surrogate pair", () => {
    const web = encoderOf(undefined)
    for (const text of ["", "eyJhbGciOiJSUzI1NiJ9.e30", "é😀", "a\uD800b"]) {
      assert.deepStrictEqual([...encodeText(text)], [...web(text)], text)
      assert.deepStrictEqual([...web(text)], [...new TextEncoder().encode(text)], text)
    }
  })

  it("uses the platform's bytes where there are some", () => {
    assert.isTrue(Buffer.isBuffer(encodeText("a")))
    assert.isTrue(Buffer.isBuffer(encoderOf(bytesOf({ Buffer }))("a")))
    assert.isFalse(Buffer.isBuffer(encoderOf(undefined)("a")))
  })
})

describe("builtin", () => {
  const withProcess = (value: unknown, check: () => void) => {
    const original = Object.getOwnPropertyDescriptor(globalThis, "process")
    Object.defineProperty(globalThis, "process", { configurable: true, value })
    try {
      check()
    } finally {
      Object.defineProperty(globalThis, "process", original ?? {})
    }
  }

  it("gives a module of the platform", () => {
    assert.strictEqual<unknown>(builtin("node:crypto"), process.getBuiltinModule("node:crypto"))
    assert.isUndefined(builtin("node:nothing"))
  })

  it("gives nothing where the platform has none to give, and does not throw", () => {
    const refuses = () => {
      throw new Error("not here")
    }
    for (const value of [undefined, {}, { getBuiltinModule: undefined }, { getBuiltinModule: refuses }]) {
      withProcess(value, () => assert.isUndefined(builtin("node:crypto")))
    }
  })
})
