import { assert, describe, it } from "@effect/vitest"
import { RetryBudget } from "../../src/index.ts"

describe("A retry budget whose clock jumps", () => {
  it("returns at once for any jump", () => {
    const budget = RetryBudget.make({ ratio: 1, minPerSecond: 0, window: "1 second" })
    for (const now of [0n, 10n ** 22n, 10n ** 30n, 10n ** 30n + 10n ** 15n]) {
      budget.deposit(now)
      assert.isAtMost(budget.available(now), 1, String(now))
    }
  })

  it("forgets one slice after another", () => {
    const budget = RetryBudget.make({ ratio: 1, minPerSecond: 0, window: "10 seconds" })
    const second = 1_000_000_000n
    for (let now = 0n; now < 10n; now++) budget.deposit(now * second)
    assert.deepStrictEqual([9n, 10n, 15n, 19n, 20n].map((now) => budget.available(now * second)), [10, 9, 4, 0, 0])
  })
})
