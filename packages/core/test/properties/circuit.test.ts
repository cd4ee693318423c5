import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Breaker, BreakerStore } from "../../src/index.ts"
import { type Admission, Model, type Outcome, policyOf, type Rules, rules, type Step, step } from "./circuitModel.ts"

interface Call {
  readonly gate: Deferred.Deferred<void, string>
  readonly fiber: Fiber.Fiber<void, unknown>
  readonly admission: Admission
}

const ignore = (error: string) => error === "ignored"

const run = Effect.fnUntraced(function*([rules, steps]: readonly [Rules, ReadonlyArray<Step>]) {
  const breaker = yield* Breaker.make("model", policyOf(rules, 1000))
  const model = new Model(rules)
  const running: Array<Call> = []
  const moves: Array<Breaker.Transition> = []
  yield* Effect.forkScoped(
    Stream.runForEach(breaker.transitions, (move) => Effect.sync(() => void moves.push(move))),
    { startImmediately: true }
  )
  const begin = Effect.fnUntraced(function*() {
    const admission = model.admit()
    const gate = yield* Deferred.make<void, string>()
    const call = breaker.execute(Deferred.await(gate), { ignore })
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    assert.strictEqual(fiber.pollUnsafe() === undefined, admission !== undefined, "admitted as the model says")
    if (admission !== undefined) running.push({ gate, fiber, admission })
    return admission === undefined ? undefined : running.at(-1)
  })
  const end = Effect.fnUntraced(function*({ admission, fiber, gate }: Call, how: Outcome | "interrupt") {
    if (how === "interrupt") yield* Fiber.interrupt(fiber)
    else yield* Deferred.completeWith(gate, how === "ok" ? Effect.void : Effect.fail(how))
    yield* Fiber.await(fiber)
    model.record(admission, how === "interrupt" ? "ignored" : how)
  })
  for (const step of steps) {
    switch (step._tag) {
      case "call": {
        const call = yield* begin()
        if (call !== undefined) yield* end(running.pop()!, step.how)
        break
      }
      case "start":
        yield* begin()
        break
      case "end": {
        const [call] = running.splice(step.index % Math.max(1, running.length), 1)
        if (call !== undefined) yield* end(call, step.how)
        break
      }
      case "wait":
        yield* TestClock.adjust(`${step.units} seconds`)
        model.now += step.units
        break
      case "reset":
        yield* breaker.reset
        model.reset()
        break
      case "isolate":
        yield* breaker.isolate
        model.isolate()
    }
    yield* shows(breaker, model)
    // [B2] At most one probe of the current half-open period runs, and at most `probes` of it count.
    const probing = running.filter(({ admission }) => admission.isProbe && admission.era === model.era)
    assert.isAtMost(probing.length, 1)
    assert.isAtMost(model.passed + model.failed, rules.probes)
  }
  yield* Effect.yieldNow
  moves.reduce((state, { from, to }) => {
    assert.strictEqual(from, state, "each change starts where the one before ended")
    return to
  }, "CLOSED")
  yield* Effect.forEach(running, ({ fiber }) => Fiber.interrupt(fiber))
})

const shows = (breaker: Breaker.Breaker, model: Model) =>
  Effect.map(breaker.snapshot, (snapshot) => {
    const state = model.shown
    assert.strictEqual(snapshot.state, state)
    if (model.rules.strategy !== "consecutive" && state === "CLOSED") {
      assert.deepStrictEqual(snapshot.window, model.window)
    }
    if (model.rules.multiplier > 1) assert.strictEqual(snapshot.openings, model.shownOpenings)
    if (model.rules.probes > 1 && state === "HALF_OPEN") {
      assert.deepStrictEqual(snapshot.probes, { passed: model.passed, failed: model.failed })
    }
  })

describe("A circuit in memory", () => {
  const cases = fc.tuple(
    rules({ bucket: 1, probeLimit: 5, maxOpen: 30, open: [0, 1, 4, 10] }),
    fc.array(step(12), { maxLength: 50 })
  )
  it("[K-18] [B2] [D7] windows, slow calls, probes and their limit, open times, isolation and reset are as in the model", (context) =>
    forAllEffect(context, 600, cases, (one) => Effect.scoped(Effect.provide(run(one), BreakerStore.layerMemory))))
})
