import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Breaker, BreakerStore, Metrics } from "../../src/index.ts"

/** A store elsewhere, which counts what it freed. */
const leased = (freed: { count: number }) =>
  Layer.effect(
    BreakerStore.BreakerStore,
    Effect.map(BreakerStore.BreakerStore, ({ admit, isolate, record, reset, state }) => ({
      isolate,
      record,
      reset,
      state,
      admit: (...args: Parameters<typeof admit>) => {
        const answer = admit(...args)
        const release = Effect.sync(() => void freed.count++)
        return Effect.isEffect(answer) || answer._tag === "Rejected" ? answer : { ...answer, release }
      }
    }))
  ).pipe(Layer.provide(BreakerStore.layerMemory))

describe("A probe whose classify returns no outcome", () => {
  for (const outcome of ["undefined", "{}", "{\"_tag\":\"success\"}"]) {
    it.effect(`[H1] ends the call with a defect and frees the probe: ${outcome}`, () => {
      const freed = { count: 0 }
      return Effect.gen(function*() {
        const breaker = yield* Breaker.make("a", { failureThreshold: 1, openDuration: "1 second" })
        yield* Effect.exit(breaker.execute(Effect.fail("down")))
        assert.strictEqual(freed.count, 1)
        yield* TestClock.adjust("1 second")
        const classify = () => outcome === "undefined" ? undefined : JSON.parse(outcome)
        const exit = yield* Effect.exit(breaker.execute(Effect.succeed("ok"), { classify }))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.strictEqual(freed.count, 2)
        assert.strictEqual(yield* breaker.state, "HALF_OPEN")
        assert.strictEqual(yield* breaker.execute(Effect.succeed("ok")), "ok")
        assert.strictEqual(yield* breaker.state, "CLOSED")
      }).pipe(Effect.scoped, Effect.provide([leased(freed), Metrics.layerIsolated]))
    })
  }
})
