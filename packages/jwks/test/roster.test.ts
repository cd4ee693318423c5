import { assert, describe, it } from "@effect/vitest"
import { ids } from "@keelson/testing/scriptedProvider"
import { makeRoster } from "../src/internal/registry/roster.ts"

const entry = (issuer: string, n = 0) => ({ issuer, n })

describe("roster", () => {
  it("[S1-28] finds an entry by its tenant and provider only", () => {
    const roster = makeRoster<{ readonly issuer: string; readonly n: number }>()
    roster.set(ids("a", "p"), entry("i", 1))
    roster.set(ids("b", "p"), entry("i", 2))
    assert.strictEqual(roster.get(ids("a", "p"))?.n, 1)
    assert.strictEqual(roster.get(ids("b", "p"))?.n, 2)
    assert.isUndefined(roster.get(ids("a", "q")))
    assert.isUndefined(roster.get(ids("c", "p")))
  })

  it("[S1-28] does not mistake a tenant and provider for others of the same letters", () => {
    const roster = makeRoster<{ readonly issuer: string }>()
    roster.set(ids("a-b", "c"), entry("i"))
    roster.remove(ids("a-b", "c"))
    assert.isTrue(roster.wasRemoved(ids("a-b", "c")))
    assert.isFalse(roster.wasRemoved(ids("a", "b-c")))
    assert.isFalse(roster.wasRemoved(ids("a-", "bc")))
  })

  it("[S0-19] lists the entries of an issuer in the order of registration; a replaced one keeps its place", () => {
    const roster = makeRoster<{ readonly issuer: string; readonly n: number }>()
    roster.set(ids("a", "p"), entry("i", 1))
    roster.set(ids("a", "q"), entry("other", 2))
    roster.set(ids("a", "r"), entry("i", 3))
    roster.set(ids("b", "p"), entry("i", 4))
    roster.set(ids("a", "p"), entry("i", 5))
    assert.deepStrictEqual(roster.ofIssuer("a", "i").map(({ n }) => n), [5, 3])
    assert.deepStrictEqual(roster.ofIssuer("a", "none"), [])
    assert.deepStrictEqual(roster.ofIssuer("none", "i"), [])
  })

  it("drops a removed entry, and keeps the others of its issuer", () => {
    const roster = makeRoster<{ readonly issuer: string; readonly n: number }>()
    roster.set(ids("a", "p"), entry("i", 1))
    roster.set(ids("a", "q"), entry("i", 2))
    roster.remove(ids("a", "p"))
    assert.isUndefined(roster.get(ids("a", "p")))
    assert.deepStrictEqual(roster.ofIssuer("a", "i").map(({ n }) => n), [2])
    roster.remove(ids("a", "q"))
    assert.deepStrictEqual(roster.ofIssuer("a", "i"), [])
    assert.deepStrictEqual(roster.entries(), [])
  })

  it("puts an entry that is added again at the end", () => {
    const roster = makeRoster<{ readonly issuer: string; readonly n: number }>()
    for (const [n, provider] of ["p", "q"].entries()) roster.set(ids("a", provider), entry("i", n))
    roster.remove(ids("a", "p"))
    roster.set(ids("a", "p"), entry("i", 2))
    assert.deepStrictEqual(roster.ofIssuer("a", "i").map(({ n }) => n), [1, 2])
    assert.isFalse(roster.wasRemoved(ids("a", "p")))
  })

  it("remembers the last 1,000 that were removed", () => {
    const roster = makeRoster<{ readonly issuer: string }>()
    for (let n = 0; n <= 1000; n++) {
      roster.set(ids("a", `p${n}`), entry("i"))
      roster.remove(ids("a", `p${n}`))
    }
    assert.isFalse(roster.wasRemoved(ids("a", "p0")))
    assert.isTrue(roster.wasRemoved(ids("a", "p1")))
    assert.isTrue(roster.wasRemoved(ids("a", "p1000")))
  })

  it("keeps ids that are names of an object's own members apart from them", () => {
    const roster = makeRoster<{ readonly issuer: string }>()
    assert.isUndefined(roster.get(ids("constructor", "__proto__")))
    roster.set(ids("constructor", "__proto__"), entry("__proto__"))
    assert.deepStrictEqual(roster.ofIssuer("constructor", "__proto__").length, 1)
    assert.deepStrictEqual(roster.entries("constructor").map(([{ providerId }]) => providerId), ["__proto__"])
    assert.deepStrictEqual(roster.entries("toString"), [])
  })
})
