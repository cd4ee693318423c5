import { assert, describe, it } from "@effect/vitest"
import { findFirst } from "../../src/unstable/CauseChain.ts"

const codeOf = (error: object) => "code" in error && typeof error.code === "string" ? error.code : undefined

describe("findFirst", () => {
  it("takes the outermost error for which something is found", () => {
    const error = { cause: { code: "outer", cause: { code: "inner" } } }
    assert.strictEqual(findFirst(error, ["cause"], codeOf), "outer")
    assert.isUndefined(findFirst({ reason: { code: "other" } }, ["cause"], codeOf))
    for (const thrown of [undefined, null, "text", 1]) assert.isUndefined(findFirst(thrown, ["cause"], codeOf))
  })

  it("reads everything below the first link before the second", () => {
    const error = { reason: { cause: { code: "below reason" } }, cause: { code: "cause" } }
    assert.strictEqual(findFirst(error, ["reason", "cause"], codeOf), "below reason")
  })

  it("reads eight errors below the first, and ends in a cycle", () => {
    const chain = (length: number): unknown => length === 0 ? { code: "found" } : { cause: chain(length - 1) }
    assert.strictEqual(findFirst(chain(8), ["cause"], codeOf), "found")
    assert.isUndefined(findFirst(chain(9), ["cause"], codeOf))
    const cycle: { cause?: unknown } = {}
    cycle.cause = cycle
    assert.isUndefined(findFirst(cycle, ["cause"], codeOf))
  })
})
