import { assert, describe, it } from "@effect/vitest"
import { Simulate } from "@keelson/core/testing"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { Effect } from "effect"
import fc from "fast-check"
import { TimerQueue } from "../../src/internal/simulation/timerQueue.ts"

/** The queue as a list that is searched. */
interface Model {
  waiting: Array<{ readonly at: number; readonly id: number }>
}

interface Real {
  readonly queue: TimerQueue
  readonly timers: Map<number, ReturnType<TimerQueue["add"]>>
  readonly fired: Array<number>
}

let ids = 0

const next = ({ waiting }: Model) =>
  waiting.reduce<{ readonly at: number; readonly id: number } | undefined>(
    (first, one) => first === undefined || one.at < first.at ? one : first,
    undefined
  )

class Add implements fc.Command<Model, Real> {
  readonly at: number
  constructor(at: number) {
    this.at = at
  }
  check = () => true
  run(model: Model, { fired, queue, timers }: Real) {
    const id = ids++
    model.waiting.push({ at: this.at, id })
    timers.set(id, queue.add(this.at, () => fired.push(id)))
    assert.strictEqual(queue.size, model.waiting.length)
  }
  toString = () => `add ${this.at}`
}

class Cancel implements fc.Command<Model, Real> {
  readonly pick: number
  constructor(pick: number) {
    this.pick = pick
  }
  check = ({ waiting }: Readonly<Model>) => waiting.length > 0
  run(model: Model, { queue, timers }: Real) {
    const [gone] = model.waiting.splice(this.pick % model.waiting.length, 1)
    const timer = timers.get(gone!.id)!
    queue.cancel(timer)
    // Again, as an interruption after a race would.
    queue.cancel(timer)
    assert.strictEqual(queue.size, model.waiting.length)
  }
  toString = () => `cancel ${this.pick}`
}

class Fire implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model, { fired, queue, timers }: Real) {
    const first = next(model)
    assert.strictEqual(queue.nextAt(), first?.at ?? Infinity)
    if (first === undefined) return
    queue.take()()
    assert.strictEqual(fired.at(-1), first.id)
    // A timer that has fired cannot be cancelled.
    queue.cancel(timers.get(first.id)!)
    model.waiting = model.waiting.filter(({ id }) => id !== first.id)
    assert.strictEqual(queue.size, model.waiting.length)
  }
  toString = () => "fire"
}

const commands = fc.commands(
  [
    fc.nat(20).map((at) => new Add(at)),
    fc.nat(20).map((at) => new Add(at)),
    fc.nat().map((pick) => new Cancel(pick)),
    fc.constant(new Fire())
  ],
  { maxCommands: 200, size: "max" }
)

const setup = (): { model: Model; real: Real } => ({
  model: { waiting: [] },
  real: { queue: new TimerQueue(), timers: new Map(), fired: [] }
})

const share = fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100)
const millis = (min: number, max: number) => fc.integer({ min, max }).map((value) => `${value} millis` as const)

const outage = fc.record({
  begin: fc.constant("3 seconds" as const),
  end: millis(3001, 9000),
  mode: fc.constantFrom("refuse", "error", "hang", "slow", "shrink" as const),
  share,
  capacity: share
})

const policy = fc.record({
  attemptTimeout: fc.option(millis(10, 2000), { nil: undefined }),
  retry: fc.option(fc.record({ maxAttempts: fc.integer({ min: 1, max: 5 }), initialDelay: millis(0, 500) }), {
    nil: undefined
  }),
  breaker: fc.option(fc.record({ failureThreshold: fc.integer({ min: 1, max: 5 }), openDuration: millis(0, 5000) }), {
    nil: undefined
  })
})

const options: fc.Arbitrary<Simulate.Options> = fc.record({
  processes: fc.integer({ min: 1, max: 6 }),
  duration: fc.constant("15 seconds" as const),
  seed: fc.nat(),
  load: fc.record({
    perSecond: fc.integer({ min: 1, max: 10 }),
    arrivals: fc.constantFrom("poisson", "even" as const)
  }),
  server: fc.record({
    concurrency: fc.integer({ min: 1, max: 10 }),
    queue: fc.integer({ min: 0, max: 20 }),
    overload: fc.constantFrom("reject", "hang" as const),
    serviceTime: millis(0, 500),
    slowShare: share,
    abandoned: fc.constantFrom("serve", "drop" as const)
  }),
  outage,
  policy,
  circuits: fc.constantFrom("own", "shared" as const),
  startWithin: millis(0, 5000)
})

describe("simulation", () => {
  it("timers fire by time, then in the order in which they were added, and never after they were cancelled", (context) => {
    forAll(context, 300, commands, (run) => fc.modelRun(setup, run))
  })

  it("cancelled timers take no more memory than waiting ones", () => {
    const queue = new TimerQueue()
    const fired: Array<number> = []
    for (let at = 0; at < 20_000; at++) {
      const timer = queue.add((at * 7919) % 20_000, () => fired.push((at * 7919) % 20_000))
      if (at % 10 !== 0) queue.cancel(timer)
    }
    assert.strictEqual(queue.size, 2000)
    while (queue.nextAt() < Infinity) queue.take()()
    assert.strictEqual(fired.length, 2000)
    assert.deepStrictEqual(fired, fired.toSorted((a, b) => a - b))
  })

  it("[S1] a simulation with the same seed is the same to the byte, and its counts add up", (context) =>
    forAllEffect(context, 100, options, (one) =>
      Effect.gen(function*() {
        const report = yield* Simulate.fleet(one)
        const again = yield* Simulate.fleet(one)
        assert.isTrue(JSON.stringify(report) === JSON.stringify(again))
        const { after, before, during, timeline, total } = report
        for (const field of ["calls", "good", "failed", "unfinished", "requests", "wasted"] as const) {
          assert.strictEqual(before[field] + during[field] + after[field], total[field], field)
        }
        for (const phase of [before, during, after, total]) {
          assert.strictEqual(phase.good + phase.failed + phase.unfinished, phase.calls)
          assert.strictEqual(Object.values(phase.errors).reduce((a, b) => a + b, 0), phase.failed)
        }
        assert.strictEqual(timeline.reduce((calls, moment) => calls + moment.calls, 0), total.calls)
        assert.strictEqual(timeline.reduce((requests, moment) => requests + moment.requests, 0), total.requests)
        // No policy makes a call succeed without a request, or makes more requests than attempts.
        assert.isAtMost(total.good, total.requests)
        assert.isAtMost(total.requests, total.calls * 5)
        assert.strictEqual(report.metastable, report.recoveryMillis === null)
      })))
})
