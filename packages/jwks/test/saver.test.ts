import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeSaver } from "../src/internal/saver.ts"

/** A saver whose writes wait for a gate each, with what was written and what was interrupted. */
const gated = Effect.fnUntraced(function*(gate: Latch.Latch) {
  const scope = yield* Scope.make()
  const begun: Array<string> = []
  const written: Array<string> = []
  const interrupted: Array<string> = []
  const write = (value: string) =>
    Effect.sync(() => begun.push(value)).pipe(
      Effect.andThen(gate.await),
      Effect.andThen(Effect.sync(() => void written.push(value))),
      Effect.onInterrupt(() => Effect.sync(() => interrupted.push(value)))
    )
  const saver = yield* Scope.provide(makeSaver(write), scope)
  return { ...saver, scope, begun, written, interrupted }
})

/** Closes a scope while time passes: how many milliseconds that took. */
const closing = (scope: Scope.Closeable) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(
      Effect.andThen(Scope.close(scope, Exit.void), Clock.currentTimeMillis),
      { startImmediately: true }
    )
    yield* TestClock.adjust("1 hour")
    return (yield* Fiber.join(fiber)) - start
  })

describe("saver", () => {
  it.effect("writes in the background: who saves does not wait", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const { begun, save, scope, written } = yield* gated(gate)
      save("a")
      yield* Effect.yieldNow
      assert.deepStrictEqual([begun, written], [["a"], []])
      gate.openUnsafe()
      yield* Effect.yieldNow
      assert.deepStrictEqual(written, ["a"])
      yield* Scope.close(scope, Exit.void)
    }))

  it.effect("of what comes while one is written only the latest is written, after it", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const { begun, flush, save, scope, written } = yield* gated(gate)
      for (const value of ["a", "b", "c", "d"]) {
        save(value)
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual(begun, ["a"])
      gate.openUnsafe()
      yield* flush
      assert.deepStrictEqual(written, ["a", "d"])
      yield* Scope.close(scope, Exit.void)
    }))

  it.effect("[R28] the end of the scope waits for what is not written yet", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const { save, scope, written } = yield* gated(gate)
      save("a")
      yield* Effect.yieldNow
      save("b")
      yield* Effect.forkChild(Effect.andThen(Effect.sleep("1500 millis"), gate.open))
      assert.strictEqual(yield* closing(scope), 1500)
      assert.deepStrictEqual(written, ["a", "b"])
    }))

  it.effect("[R28] [L8] the end of the scope waits two seconds at most, and ends a write that hangs", () =>
    Effect.gen(function*() {
      const { begun, interrupted, save, scope } = yield* gated(Latch.makeUnsafe())
      save("a")
      yield* Effect.yieldNow
      assert.strictEqual(yield* closing(scope), 2000)
      assert.deepStrictEqual([begun, interrupted], [["a"], ["a"]])
    }))

  it.effect("[R28] a scope with nothing to write ends at once", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(true)
      const { save, scope } = yield* gated(gate)
      save("a")
      yield* Effect.yieldNow
      assert.strictEqual(yield* closing(scope), 0)
    }))
})
