import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as KeelsonError from "../../src/KeelsonError.ts"
import * as SharedError from "../../src/unstable/SharedError.ts"

describe("SharedError", () => {
  const create = (cause?: unknown) =>
    new KeelsonError.AuthenticationError({
      code: "TOKEN_INVALID",
      message: "not a token",
      details: { part: "token", list: ["a", { b: "c" }] },
      cause
    })

  it("[K-30] has a message and no stack, and leaves the stacks of other errors alone", () => {
    const limit = Reflect.get(Error, "stackTraceLimit")
    const error = SharedError.make(create)
    assert.notInclude(error.stack ?? "", "\n    at ")
    assert.include(error.stack ?? "", "not a token")
    assert.strictEqual(Reflect.get(Error, "stackTraceLimit"), limit)
    assert.throws(() => SharedError.make(() => assert.fail("broken")), "broken")
    assert.strictEqual(Reflect.get(Error, "stackTraceLimit"), limit)
    assert.include(new Error("other").stack ?? "", "\n    at ")
  })

  it("[K-30] cannot be changed, and neither can its details and causes", () => {
    const error = SharedError.make(() => create(new Error("outer", { cause: new Error("inner") })))
    const { cause, details } = error
    const inner = cause instanceof Error ? cause.cause : undefined
    for (const part of [error, details, details["list"], cause, inner]) {
      assert.isDefined(part)
      assert.isTrue(Object.isFrozen(part))
    }
  })

  it.effect("[K-30] is still an error that can be yielded, encoded and shown", () =>
    Effect.gen(function*() {
      const error = SharedError.make(create)
      assert.strictEqual(yield* Effect.flip(Effect.asVoid(error)), error)
      assert.deepInclude(error.toJSON(), { error_code: "TOK-007", details: { part: "token", list: ["a", { b: "c" }] } })
    }))
})
