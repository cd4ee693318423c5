import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeSaver } from "../src/internal/snapshot/saver.ts"

/** A saver each of whose writes waits for a gate; records completed and interrupted writes. */
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
  const saver = yield* Scope.provide(makeSaver(write, () => Effect.void), scope)
  return { ...saver, scope, begun, written, interrupted }
})

/** A saver whose writes fail until switched; records their times, and which failures were the first. */
const failing = Effect.fnUntraced(function*() {
  const scope = yield* Scope.make()
  const store = { isUp: false }
  const tried: Array<readonly [value: string, at: number]> = []
  const firsts: Array<boolean> = []
  const write = (value: string) =>
    Effect.clockWith((clock) =>
      Effect.suspend(() => {
        tried.push([value, clock.currentTimeMillisUnsafe()])
        return store.isUp ? Effect.void : Effect.fail("down")
      })
    )
  const failed = (_: string, isFirst: boolean) => Effect.sync(() => void firsts.push(isFirst))
  const saver = yield* Scope.provide(makeSaver(write, failed), scope)
  return { ...saver, scope, store, tried, firsts }
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
  it.effect("writes in the background: `save` does not wait", () =>
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

  it.effect("of the values saved during a write only the latest is written after it", () =>
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

  it.effect("[R28] the end of the scope waits for the pending value", () =>
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

  it.effect("[S1-35] a failed write is retried after 1 s, 2 s, 4 s and so on, at last every minute", () =>
    Effect.gen(function*() {
      const { firsts, save, scope, store, tried } = yield* failing()
      save("a")
      yield* TestClock.adjust("183 seconds")
      const seconds = [0, 1, 3, 7, 15, 31, 63, 123, 183]
      assert.deepStrictEqual(tried, seconds.map((at) => ["a", at * 1000] as const))
      assert.deepStrictEqual(firsts, seconds.map((at) => at === 0))
      store.isUp = true
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(tried.slice(seconds.length), [["a", 243_000]])
      assert.strictEqual(yield* closing(scope), 0)
      assert.lengthOf(tried, seconds.length + 1)
    }))

  it.effect("[S1-35] a newer value is tried at once, and the older one no more", () =>
    Effect.gen(function*() {
      const { save, store, tried } = yield* failing()
      save("a")
      yield* TestClock.adjust("3500 millis")
      store.isUp = true
      save("b")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(tried, [["a", 0], ["a", 1000], ["a", 3000], ["b", 3500]])
    }))

  it.effect("[S1-35] the next failure after a success is a first one again, and waits a second again", () =>
    Effect.gen(function*() {
      const { firsts, save, store, tried } = yield* failing()
      save("a")
      yield* TestClock.adjust("2 seconds")
      store.isUp = true
      yield* TestClock.adjust("2 seconds")
      store.isUp = false
      save("b")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(tried.map(([, at]) => at), [0, 1000, 3000, 4000, 5000])
      assert.deepStrictEqual(firsts, [true, false, true, false])
    }))

  it.effect("[S1-35] a flush writes a value at once that waits for its retry, and ends even if it fails", () =>
    Effect.gen(function*() {
      const { flush, save, store, tried } = yield* failing()
      save("a")
      yield* TestClock.adjust("3500 millis")
      yield* flush
      store.isUp = true
      yield* flush
      yield* Effect.andThen(flush, TestClock.adjust("1 hour"))
      assert.deepStrictEqual(tried.map(([, at]) => at), [0, 1000, 3000, 3500, 3500])
      save("b")
      yield* Effect.yieldNow
      assert.deepStrictEqual(tried.at(-1)?.[0], "b")
    }))

  it.effect("[R28] the end of the scope retries a failed write once, and not after that", () =>
    Effect.gen(function*() {
      const { save, scope, tried } = yield* failing()
      save("a")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* closing(scope), 0)
      assert.deepStrictEqual(tried, [["a", 0], ["a", 500]])
    }))

  it.effect("[R28] [L8] the end of the scope waits two seconds in all: for a write, its failure and one more try", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let tries = 0
      const write = () => Effect.andThen(Effect.sync(() => tries++), Effect.delay(Effect.fail("down"), "1500 millis"))
      const { save } = yield* Scope.provide(makeSaver(write, () => Effect.void), scope)
      save("a")
      yield* Effect.yieldNow
      assert.strictEqual(yield* closing(scope), 2000)
      assert.strictEqual(tries, 2)
    }))

  it.effect.each(["discard", "remove"] as const)(
    "[S0-20] after a %s what waits is written no more",
    (how) =>
      Effect.gen(function*() {
        const { discard, remove, save, scope, store, tried } = yield* failing()
        save("a")
        yield* TestClock.adjust("500 millis")
        yield* how === "discard" ? Effect.sync(discard) : remove(Effect.void)
        store.isUp = true
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* closing(scope), 0)
        assert.deepStrictEqual(tried, [["a", 0]])
      })
  )

  it.effect("[S0-20] a running write that is discarded and fails is not retried", () =>
    Effect.gen(function*() {
      let tries = 0
      const write = () => Effect.andThen(Effect.sync(() => tries++), Effect.delay(Effect.fail("down"), "1 second"))
      const { discard, save } = yield* makeSaver(write, () => Effect.void)
      save("a")
      yield* Effect.yieldNow
      discard()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(tries, 1)
    }).pipe(Effect.scoped))

  it.effect("[S0-20] a removal runs after the running write, replaces the pending value, and runs before later values", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const { remove, save, written } = yield* gated(gate)
      save("a")
      yield* Effect.yieldNow
      save("b")
      const removed = yield* Effect.forkChild(remove(Effect.sync(() => void written.push("removed"))), {
        startImmediately: true
      })
      save("c")
      assert.deepStrictEqual(written, [])
      gate.openUnsafe()
      yield* Fiber.join(removed)
      yield* Effect.yieldNow
      assert.deepStrictEqual(written, ["a", "removed", "c"])
    }))
})
