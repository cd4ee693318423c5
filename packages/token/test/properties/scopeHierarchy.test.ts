import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { broaderScopes, cyclicScope, includesScope } from "../../src/internal/http/scopeHierarchy.ts"

const names = ["a", "b", "c", "d", "e", "__proto__", "constructor"]
const scope = fc.constantFrom(...names)
const hierarchy = fc.uniqueArray(fc.tuple(scope, fc.array(scope, { minLength: 1, maxLength: 3 })), {
  selector: ([name]) => name
}).map((entries) => Object.fromEntries(entries))

/** Whether a scope implies another, by following each implication. */
const implies = (map: Readonly<Record<string, ReadonlyArray<string>>>, from: string, to: string): boolean => {
  const seen = new Set<string>()
  const visit = (name: string): boolean => {
    if (seen.has(name)) return false
    seen.add(name)
    const next = Object.hasOwn(map, name) ? map[name] ?? [] : []
    return next.includes(to) || next.some(visit)
  }
  return visit(from)
}

describe("The hierarchy of scopes", () => {
  it("[K-37] a scope is included exactly where the token has it, or one from which a chain of implications leads to it", () => {
    fc.assert(
      fc.property(hierarchy, fc.uniqueArray(scope, { maxLength: 3 }), scope, (map, owned, wanted) => {
        fc.pre(cyclicScope(map) === undefined)
        const expected = owned.includes(wanted) || owned.some((one) => implies(map, one, wanted))
        assert.strictEqual(includesScope(owned, wanted, broaderScopes(map)), expected)
      }),
      { numRuns: 500 }
    )
  })

  it("[K-37] a cycle is found exactly where a scope implies itself", () => {
    fc.assert(
      fc.property(hierarchy, (map) => {
        assert.strictEqual(cyclicScope(map) !== undefined, Object.keys(map).some((name) => implies(map, name, name)))
      }),
      { numRuns: 500 }
    )
  })

  it("[K-37] there is nothing to look up where no scope implies another", () => {
    assert.isUndefined(broaderScopes(undefined))
    assert.isUndefined(broaderScopes({}))
  })
})
