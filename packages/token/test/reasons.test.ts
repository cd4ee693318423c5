import { assert, describe, it } from "@effect/vitest"
import { missingMember } from "../src/internal/validation/reasons.ts"

describe("reasons", () => {
  it("[K-08] are created once per claim, for at most a thousand claims, since calls may require claims of any name", () => {
    const first = missingMember("claim")
    for (let number = 0; number < 2000; number++) missingMember(`claim ${number}`)
    assert.strictEqual(missingMember("claim"), first)
    assert.strictEqual(missingMember("claim 1"), missingMember("claim 1"))
    assert.notStrictEqual(missingMember("claim 1999"), missingMember("claim 1999"))
    assert.deepStrictEqual(missingMember("claim 1999"), { _tag: "ClaimMissing", claim: "claim 1999" })
  })
})
