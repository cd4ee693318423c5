import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, References } from "effect"
import fc from "fast-check"
import { guarded } from "../resource/guarded.ts"

const names = ["a", "b", "c", "d", "e"]
const scope = fc.constantFrom(...names)
const scopes = fc.uniqueArray(scope, { maxLength: 3 })

/** What happens: calls of operations at once, or the authorization server grants other scopes from now on. */
const calls = fc.record({
  type: fc.constant("calls" as const),
  operations: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 })
})
const grants = fc.record({ type: fc.constant("grants" as const), grants: fc.uniqueArray(scope) })
const step = fc.oneof({ weight: 4, arbitrary: calls }, { weight: 1, arbitrary: grants })

const isIn = (all: ReadonlyArray<string>) => (one: string) => all.includes(one)

type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

/** Runs the steps, and checks after each what the model says of it. */
const run = Effect.fnUntraced(function*(
  operations: ReadonlyArray<ReadonlyArray<string>>,
  allowed: ReadonlyArray<string>,
  steps: ReadonlyArray<Step>
) {
  const needs = Object.fromEntries(operations.map((needed, index) => [`o${index}`, needed]))
  const { backend, guard, status } = yield* guarded(needs, { allowedScopes: ["mcp", ...allowed] })
  backend.grants = ["mcp", ...names]
  // A set of scopes that was refused is not asked for again for a while.
  let mayBeRefused = false
  let before = yield* guard.requestedScopes
  for (const one of steps) {
    if (one.type === "grants") {
      mayBeRefused = true
      backend.grants = ["mcp", ...one.grants]
      continue
    }
    const statuses = yield* Effect.all(one.operations.map((index) => status(`/mcp/o${index}`)), {
      concurrency: "unbounded"
    })
    const now = yield* guard.requestedScopes
    assert.isTrue(before.every(isIn(now)), "a scope was lost")
    assert.isTrue(now.every(isIn(["mcp", ...allowed])), "a scope is not allowed")
    one.operations.forEach((index, at) => {
      const needed = operations[index] ?? []
      assert.include([200, 403], statuses[at])
      if (statuses[at] === 200) assert.isTrue(needed.every(isIn(now)), "a call lacks a scope that it needs")
      else assert.isTrue(mayBeRefused || !needed.every(isIn(allowed)), "a call was refused without a reason")
    })
    before = now
  }
  for (const { form } of backend.tokenRequests) assert.include((form["scope"] ?? "").split(" "), "mcp")
})

describe("Step-ups", () => {
  it(
    "[K-37] a model: scopes only grow, by those that are allowed and granted, and each call gets those that it needs",
    (context) =>
      forAllEffect(
        context,
        200,
        fc.tuple(fc.tuple(scopes, scopes, scopes, scopes), fc.uniqueArray(scope), fc.array(step, { maxLength: 12 })),
        ([operations, allowed, steps]) =>
          Effect.provideService(run(operations, allowed, steps), References.MinimumLogLevel, "None")
      )
  )
})
