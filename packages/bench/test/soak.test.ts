import { assert, describe, it } from "@effect/vitest"
import { junkOf } from "../src/soak/junk.ts"
import { slopeOf } from "../src/soak/slope.ts"
import { signerOf, tokenOf } from "../src/token/issuer.ts"

describe("the soak", () => {
  it("finds the slope of a heap that grows, whatever the noise of single samples", () => {
    const samples = Array.from({ length: 120 }, (_, at) => ({
      minute: at / 6,
      kib: 40_000 + 100 * at / 6 + (at % 2 === 0 ? 300 : -300)
    }))
    assert.closeTo(slopeOf(samples), 100, 5)
    assert.closeTo(slopeOf(samples.map((one) => ({ ...one, kib: 40_000 }))), 0, 1e-9)
  })

  it("makes junk of every kind, none of it the good token", () => {
    const good = tokenOf(signerOf("ES256"), { iss: "https://idp.example", sub: "someone" })
    const junk = Array.from({ length: 11 }, (_, index) => junkOf(good, index))
    assert.lengthOf(new Set(junk), 11)
    assert.notInclude(junk, good)
  })
})
