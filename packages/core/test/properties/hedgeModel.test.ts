import { assert, describe, it } from "@effect/vitest"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Hedge, Metrics, RetryBudget } from "../../src/index.ts"
import { Latencies } from "../../src/internal/hedge/latencies.ts"

const delay = 10
const maxHedges = 2

type How = "ok" | "fail" | "die"

/** One step: a call, the end of one of its executions, its interruption, the end of its scope, or time. */
type Step =
  | { readonly _tag: "start" }
  | { readonly _tag: "end"; readonly call: number; readonly execution: number; readonly how: How }
  | { readonly _tag: "interrupt"; readonly call: number }
  | { readonly _tag: "wait"; readonly millis: number }

const call = fc.nat(5)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("start" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      call,
      execution: fc.nat(2),
      how: fc.constantFrom<How>("ok", "fail", "fail", "die")
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("interrupt" as const), call }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("wait" as const), millis: fc.integer({ min: 1, max: 25 }) }) }
)

/** A call as the documentation describes it. */
interface Expected {
  readonly running: Set<number>
  started: number
  /** When the next hedge may be made; `undefined` if none will be. */
  due: number | undefined
  /** The order in which timers were set, which decides between equal times. */
  order: number
  firstFailure: number | undefined
  outcome: string | undefined
}

class Model {
  now = 0
  tokens: number
  #order = 0
  readonly calls: Array<Expected> = []

  constructor(tokens: number) {
    this.tokens = tokens
  }
  start() {
    this.calls.push({
      running: new Set([0]),
      started: 1,
      due: this.now + delay,
      order: this.#order++,
      firstFailure: undefined,
      outcome: undefined
    })
  }
  settle(call: Expected, outcome: string) {
    call.outcome = outcome
    call.running.clear()
    call.due = undefined
  }
  end(call: Expected, execution: number, how: How) {
    if (!call.running.delete(execution)) return
    if (how !== "fail") return this.settle(call, `${how} ${execution}`)
    call.firstFailure ??= execution
    if (call.running.size === 0) this.settle(call, `fail ${call.firstFailure}`)
  }
  wait(millis: number) {
    const end = this.now + millis
    for (;;) {
      const [next] = this.calls.filter(({ due }) => due !== undefined && due <= end)
        .toSorted((a, b) => a.due! - b.due! || a.order - b.order)
      if (next === undefined) break
      this.now = next.due!
      next.due = undefined
      if (this.tokens === 0) continue
      this.tokens--
      next.running.add(next.started++)
      if (next.started <= maxHedges) {
        next.due = this.now + delay
        next.order = this.#order++
      }
    }
    this.now = end
  }
}

/** A budget that is a number of tokens. */
const tokenBudget = (tokens: number): RetryBudget.RetryBudget => {
  let left = tokens
  return { ...RetryBudget.make(), deposit() {}, reserve: () => left === 0 ? undefined : --left, available: () => left }
}

interface Call {
  readonly fiber: Fiber.Fiber<number, number>
  readonly scope: Scope.Closeable
  readonly gates: ReadonlyArray<Deferred.Deferred<number, number>>
  readonly running: Set<number>
  readonly held: Set<number>
  started: number
}

const shown = (exit: Exit.Exit<number, number> | undefined): string | undefined => {
  if (exit === undefined) return undefined
  if (Exit.isSuccess(exit)) return `ok ${exit.value}`
  const [reason] = exit.cause.reasons
  if (reason?._tag === "Fail") return `fail ${reason.error}`
  return reason?._tag === "Die" ? `die ${String(reason.defect)}` : "interrupt"
}

const begin = Effect.fnUntraced(function*(hedge: Hedge.Hedge) {
  const gates = yield* Effect.forEach(Array.from({ length: maxHedges + 1 }), () => Deferred.make<number, number>())
  const scope = yield* Scope.make()
  const call: Omit<Call, "fiber"> = { scope, gates, running: new Set(), held: new Set(), started: 0 }
  const execution = (hedge: number) =>
    Effect.gen(function*() {
      call.started++
      call.running.add(hedge)
      yield* Effect.acquireRelease(Effect.sync(() => call.held.add(hedge)), () =>
        Effect.sync(() => call.held.delete(hedge)))
      return yield* Deferred.await(gates[hedge]!)
    }).pipe(Effect.onExit(() =>
      Effect.sync(() => call.running.delete(hedge))
    ))
  const fiber = yield* Effect.forkChild(Scope.provide(hedge.execute(execution), scope), { startImmediately: true })
  return Object.assign(call, { fiber })
})

const check = (real: Call, expected: Expected) => {
  assert.strictEqual(shown(real.fiber.pollUnsafe()), expected.outcome)
  assert.strictEqual(real.started, expected.started)
  assert.deepStrictEqual(real.running, expected.running)
  // H1: what is held belongs to executions that run, to the failure that may still be the outcome, or to the outcome.
  const kept = expected.outcome === undefined ? expected.firstFailure : Number(expected.outcome.split(" ")[1])
  const may = new Set([...expected.running, ...(kept === undefined || Number.isNaN(kept) ? [] : [kept])])
  assert.deepStrictEqual(real.held, may)
}

const run = Effect.fnUntraced(function*(tokens: number, steps: ReadonlyArray<Step>) {
  const hedge = yield* Hedge.make("model", { delay: `${delay} millis`, maxHedges, budget: tokenBudget(tokens) })
  const model = new Model(tokens)
  const calls: Array<Call> = []
  for (const step of steps) {
    if (step._tag === "start") {
      model.start()
      calls.push(yield* begin(hedge))
    } else if (step._tag === "wait") {
      model.wait(step.millis)
      yield* TestClock.adjust(`${step.millis} millis`)
    } else {
      const [real, expected] = [calls[step.call], model.calls[step.call]]
      if (real === undefined || expected === undefined) continue
      if (step._tag === "interrupt") {
        if (expected.outcome === undefined) {
          model.settle(expected, "interrupt")
          expected.firstFailure = undefined
        }
        yield* Fiber.interrupt(real.fiber)
      } else if (expected.running.has(step.execution)) {
        const { execution, how } = step
        model.end(expected, execution, how)
        yield* Deferred.completeWith(
          real.gates[execution]!,
          how === "ok" ? Effect.succeed(execution) : how === "fail" ? Effect.fail(execution) : Effect.die(execution)
        )
        yield* TestClock.adjust(0)
      }
    }
    for (const [index, real] of calls.entries()) check(real, model.calls[index]!)
  }
  const { hedges } = yield* hedge.snapshot
  assert.strictEqual(hedges, tokens - model.tokens)
  for (const { fiber, held, running, scope } of calls) {
    yield* Fiber.interrupt(fiber)
    yield* Scope.close(scope, Exit.failCause(Cause.interrupt()))
    assert.deepStrictEqual([running.size, held.size], [0, 0])
  }
})

describe("Hedge", () => {
  it("[K-20][H1] at most one answer is used and every loser is released, whatever the order of events (model)", (context) =>
    forAllEffect(
      context,
      500,
      fc.tuple(fc.nat(6), fc.array(step, { maxLength: 40, size: "max" })),
      ([tokens, steps]) => Effect.provide(run(tokens, steps), Metrics.layerIsolated)
    ))

  it("[K-20] the quantile of latencies is that of the last ones, rounded up by at most 4.5 % (property)", (context) => {
    const latencies = fc.array(fc.integer({ min: 1001, max: 100_000_000_000 }), { minLength: 1, maxLength: 400 })
    forAll(context, 300, fc.tuple(latencies, fc.integer({ min: 10, max: 100 }), fc.integer({ min: 50, max: 99 })), ([
      all,
      window,
      percent
    ]) => {
      const seen = new Latencies(window, percent / 100)
      for (const latency of all) seen.add(latency)
      assert.isAtLeast(seen.count, Math.min(all.length, window))
      assert.isBelow(seen.count, 2 * window)
      const kept = all.slice(all.length - seen.count).toSorted((a, b) => a - b)
      const exact = kept[Math.ceil(percent / 100 * kept.length) - 1]!
      assert.isAtLeast(seen.quantile(), exact * 0.999999)
      assert.isAtMost(seen.quantile(), exact * 1.045)
    })
  })
})
