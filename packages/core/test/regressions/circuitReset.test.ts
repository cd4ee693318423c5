import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Breaker, BreakerStore } from "../../src/index.ts"

describe("A circuit after a reset", () => {
  it.effect("is separate from circuits called a#1 and a#2", () =>
    Effect.gen(function*() {
      const first = yield* Breaker.make("a", { failureThreshold: 1 })
      const others = yield* Effect.forEach(["a#1", "a#2"], (name) => Breaker.make(name, { failureThreshold: 1 }))
      for (const _ of others) {
        yield* first.reset
        yield* Effect.flip(first.execute(Effect.fail("down")))
      }
      for (const other of others) assert.strictEqual(yield* other.state, "CLOSED")
    }).pipe(Effect.provide(BreakerStore.layerMemory)))

  it.effect("[S3-16] does not count a call that was running at the reset as a failure in a row", () =>
    Effect.gen(function*() {
      const breaker = yield* Breaker.make("a", { failureThreshold: 3 })
      const gate = yield* Deferred.make<void>()
      const late = breaker.execute(Effect.andThen(Deferred.await(gate), Effect.fail("down")))
      const fiber = yield* Effect.forkChild(Effect.exit(late), { startImmediately: true })
      yield* breaker.reset
      yield* Effect.flip(breaker.execute(Effect.fail("down")))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      const { failureCount, totalCalls } = yield* breaker.snapshot
      assert.deepStrictEqual({ failureCount, totalCalls }, { failureCount: 1, totalCalls: 2 })
    }).pipe(Effect.provide(BreakerStore.layerMemory)))
})
