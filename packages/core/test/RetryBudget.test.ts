import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Retry, RetryBudget, RetryPolicy } from "../src/index.ts"
import { forAll } from "./support.ts"

const second = 1_000_000_000n

/** What a budget promises, kept as a plain list of events. */
interface Model {
  now: bigint
  deposits: Array<bigint>
  withdrawals: Array<bigint>
  open: Array<{ readonly at: bigint; readonly place: number }>
}

class Advance implements fc.Command<Model, RetryBudget.RetryBudget> {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
  check = () => true
  run(model: Model) {
    model.now += BigInt(this.millis) * 1_000_000n
  }
  toString = () => `advance ${this.millis} ms`
}

class Call implements fc.Command<Model, RetryBudget.RetryBudget> {
  check = () => true
  run(model: Model, budget: RetryBudget.RetryBudget) {
    budget.deposit(model.now)
    model.deposits.push(model.now)
  }
  toString = () => "call"
}

class Reserve implements fc.Command<Model, RetryBudget.RetryBudget> {
  check = () => true
  run(model: Model, budget: RetryBudget.RetryBudget) {
    const { minPerSecond, ratio, window } = budget.policy
    const width = Duration.toNanosUnsafe(window)
    const within = (events: ReadonlyArray<bigint>, span: bigint) => events.filter((at) => model.now - at < span).length
    const floor = minPerSecond * Duration.toSeconds(window)
    const place = budget.reserve(model.now)
    if (place === undefined) {
      // Refused: even by what is surely still counted there was no place.
      const least = floor + ratio * within(model.deposits, width - width / 10n) -
        within(model.withdrawals, width + width / 5n)
      assert.isBelow(least, 1)
      return
    }
    model.withdrawals.push(model.now)
    model.open.push({ at: model.now, place })
    assert.isAtMost(within(model.withdrawals, width), floor + ratio * within(model.deposits, width))
  }
  toString = () => "reserve"
}

class Refund implements fc.Command<Model, RetryBudget.RetryBudget> {
  check = (model: Readonly<Model>) => model.open.length > 0
  run(model: Model, budget: RetryBudget.RetryBudget) {
    const { at, place } = model.open.pop()!
    budget.refund(place)
    model.withdrawals.splice(model.withdrawals.indexOf(at), 1)
  }
  toString = () => "refund"
}

const commands = fc.commands([
  fc.nat(3_000).map((millis) => new Advance(millis)),
  fc.constant(new Call()),
  fc.constant(new Reserve()),
  fc.constant(new Refund())
], { maxCommands: 200, size: "max" })

const policies = fc.record({
  ratio: fc.integer({ min: 0, max: 20 }).map((n) => n / 10),
  minPerSecond: fc.integer({ min: 0, max: 20 }).map((n) => n / 10)
})

describe("RetryBudget", () => {
  it("[K-17] never allows more retries in a window than its share of the calls and the floor (model)", (context) => {
    forAll(context, 500, fc.tuple(policies, commands), ([policy, steps]) =>
      fc.modelRun(() => ({
        model: { now: 1_000n * second, deposits: [], withdrawals: [], open: [] },
        real: RetryBudget.make(policy)
      }), steps))
  })

  it("allows the floor to a client that is quiet, and again after the window", () => {
    const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.2, window: "10 seconds" })
    const take = (now: bigint) => [1, 2, 3].map(() => budget.reserve(now) !== undefined)
    assert.deepStrictEqual(take(0n), [true, true, false])
    assert.deepStrictEqual(take(9n * second), [false, false, false])
    assert.deepStrictEqual(take(12n * second), [true, true, false])
  })

  it("allows a share of the calls", () => {
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
