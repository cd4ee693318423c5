import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { makeKeyedLock } from "../src/internal/registry/keyedLock.ts"

/** Work that reports its start, and ends when released. */
const makeWork = Effect.gen(function*() {
  const lock = makeKeyedLock()
  const begun: Array<string> = []
  const start = Effect.fnUntraced(function*(key: string, name: string) {
    const gate = yield* Deferred.make<void>()
    const work = Effect.suspend(() => {
      begun.push(name)
      return Deferred.await(gate)
    })
    const fiber = yield* Effect.forkChild(lock(key, work), { startImmediately: true })
    return { fiber, end: Effect.andThen(Deferred.succeed(gate, undefined), Effect.yieldNow) }
  })
  return { begun, start }
})

describe("keyedLock", () => {
  it.effect("runs effects with the same key one by one, and does not wait for another key", () =>
    Effect.gen(function*() {
      const { begun, start } = yield* makeWork
      const first = yield* start("a", "first")
      const second = yield* start("a", "second")
      yield* start("b", "other")
      assert.deepStrictEqual(begun, ["first", "other"])
      yield* first.end
      // A new one must not run before the second.
      yield* start("a", "third")
      assert.deepStrictEqual(begun, ["first", "other", "second"])
      yield* second.end
      assert.deepStrictEqual(begun, ["first", "other", "second", "third"])
    }))

  it.effect("continues after an interrupted effect, whether it was waiting or running", () =>
    Effect.gen(function*() {
      const { begun, start } = yield* makeWork
      const first = yield* start("a", "first")
      const second = yield* start("a", "second")
      yield* Fiber.interrupt(second.fiber)
      yield* start("a", "third")
      assert.deepStrictEqual(begun, ["first"])
      yield* Fiber.interrupt(first.fiber)
      yield* Effect.yieldNow
      assert.deepStrictEqual(begun, ["first", "third"])
    }))

  it.effect("releases the key after a failure", () =>
    Effect.gen(function*() {
      const lock = makeKeyedLock()
      assert.strictEqual(yield* Effect.flip(lock("a", Effect.fail("no"))), "no")
      assert.strictEqual(yield* lock("a", Effect.succeed(1)), 1)
    }))
})
