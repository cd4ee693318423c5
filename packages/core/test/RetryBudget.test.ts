import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Retry, RetryBudget, RetryPolicy } from "../src/index.ts"

const second = 1_000_000_000n

describe("RetryBudget", () => {
  it("allows the floor to a client that is quiet, and again after the window", () => {
    const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.2, window: "10 seconds" })
    const take = (now: bigint) => [1, 2, 3].map(() => budget.reserve(now) !== undefined)
    assert.deepStrictEqual(take(0n), [true, true, false])
    assert.deepStrictEqual(take(9n * second), [false, false, false])
    assert.deepStrictEqual(take(12n * second), [true, true, false])
  })

  it("[S2-17] allows a share of the calls", () => {
    const budget = RetryBudget.make({ ratio: 0.1, minPerSecond: 0 })
    for (let n = 0; n < 50; n++) budget.deposit(0n)
    assert.strictEqual(budget.available(0n), 5)
    assert.strictEqual(budget.available(11n * second), 0)
  })

  it("does not count a refund twice, nor one whose window has passed", () => {
    const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
    const place = budget.reserve(0n)!
    assert.strictEqual(budget.available(60n * second), 1)
    budget.refund(place)
    assert.strictEqual(budget.available(60n * second), 1)
  })

  it("is not disturbed by a clock that stands still or gives an older instant", () => {
    const budget = RetryBudget.make({ ratio: 1, minPerSecond: 0 })
    budget.deposit(20n * second)
    budget.deposit(19n * second)
    assert.strictEqual(budget.available(18n * second), 2)
  })

  it.effect("gets a place back where onRetry ends the call before its delay", () =>
    Effect.gen(function*() {
      const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
      const call = Retry.retry(Effect.fail("down"), RetryPolicy.make({ budget }), { onRetry: () => Effect.interrupt })
      yield* Effect.exit(call)
      assert.strictEqual(yield* RetryBudget.available(budget), 1)
    }))

  it.effect("is a service with a layer, shared by all that ask for it", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.RetryBudget
      assert.strictEqual(yield* RetryBudget.available(budget), 30)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* RetryBudget.available(budget), 30)
    }).pipe(Effect.provide(RetryBudget.layer({ minPerSecond: 3 }))))

  it("refuses options out of range", () => {
    for (const options of [{ ratio: -1 }, { ratio: 11 }, { minPerSecond: -1 }, { window: "0 seconds" as const }]) {
      assert.throws(() => RetryBudget.make(options), /Invalid configuration: \w+ must be/)
    }
  })
})
