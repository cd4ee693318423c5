import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
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
  it("[K-37] a scope is included exactly where the token has it, or one from which implications lead to it", (context) =>
    forAll(
      context,
      500,
      fc.tuple(
        hierarchy.filter((map) => cyclicScope(map) === undefined),
        fc.uniqueArray(scope, { maxLength: 3 }),
        scope
      ),
      ([map, owned, wanted]) => {
        const expected = owned.includes(wanted) || owned.some((one) => implies(map, one, wanted))
        assert.strictEqual(includesScope(owned, wanted, broaderScopes(map)), expected)
      }
    ))

  it("[K-37] a cycle is found exactly where a scope implies itself", (context) =>
    forAll(context, 500, hierarchy, (map) => {
      assert.strictEqual(cyclicScope(map) !== undefined, Object.keys(map).some((name) => implies(map, name, name)))
    }))

  it("[K-37] there is nothing to look up where no scope implies another", () => {
    assert.isUndefined(broaderScopes(undefined))
    assert.isUndefined(broaderScopes({}))
  })
})
