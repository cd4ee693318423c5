import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Duration } from "effect"
import fc from "fast-check"
import { RetryBudget } from "../../src/index.ts"

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
})
