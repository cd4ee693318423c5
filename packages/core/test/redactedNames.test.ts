import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import { Redaction } from "../src/index.ts"
import { secrets } from "./secrets.ts"

const words = /^[\w./-]+$/
const pieces = secrets.flatMap(({ carriers, secret }) => [secret, ...carriers]).filter((text) => words.test(text))

describe("Redaction.name", () => {
  it("[S4-42] keeps words that look random, and removes tokens, keys and credentials", () => {
    const jwt = `eyJhbGciOiJSUzI1NiJ9.${"eyJzdWIiOiJhbGljZSJ9"}.c2lnbmF0dXJl`
    assert.strictEqual(Redaction.name("assets/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpH/Zx9.png"), "assets/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpH/Zx9.png")
    assert.strictEqual(Redaction.name(`downloads/${jwt}/a.png`), "downloads/[REDACTED]/a.png")
    assert.strictEqual(Redaction.name("Bearer 4f9a2b7c1d"), "Bearer [REDACTED]")
    assert.strictEqual(Redaction.name("a/password=hunter2"), "a/password=[REDACTED]")
    assert.strictEqual(Redaction.name(`a%2F${encodeURIComponent(`token=${jwt}`)}`).includes("eyJ"), false)
    assert.strictEqual(Redaction.name("x".repeat(5_000)).length, 2_048)
  })

  it("[S4-42] gives the same result for plain words as for any other text", (context) => {
    assert.isAbove(pieces.length, 10)
    const text = fc.array(
      fc.oneof(fc.constantFrom(...pieces), fc.stringMatching(/^[\w./-]{0,24}$/), fc.uuid(), fc.constantFrom("/", ".", "-")),
      { maxLength: 6 }
    ).map((parts) => parts.join(""))
    forAll(context, 2_000, text, (name) => {
      assert.strictEqual(Redaction.name(name, 100_000), Redaction.name(`${name} `, 100_000).trimEnd())
    })
  })
})
