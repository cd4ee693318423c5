import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Breaker, BreakerStore } from "../../src/index.ts"

const threshold = 3
const openSeconds = 10

/** One step: a call that ends at once, a call left under way, the end of one, time, a reset. */
type Step =
  | { readonly _tag: "call"; readonly ok: boolean }
  | { readonly _tag: "start" }
  | { readonly _tag: "end"; readonly index: number; readonly how: "ok" | "fail" | "interrupt" }
  | { readonly _tag: "wait"; readonly seconds: number }
  | { readonly _tag: "reset" }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("call" as const), ok: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("start" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      index: fc.nat(5),
      how: fc.constantFrom("ok" as const, "fail" as const, "interrupt" as const)
    })
  },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("reset" as const) }) }
)

interface Call {
  readonly gate: Deferred.Deferred<void, string>
  readonly fiber: Fiber.Fiber<void, unknown>
  /** The era in which it was admitted: an outcome of an older one changes nothing. */
  readonly era: number
  readonly probe: boolean
}

/** The circuit as its documentation tells it. */
class Model {
  state: Breaker.State = "CLOSED"
  streak = 0
  openUntil = 0
  era = 0
  probing = false
  now = 0
  calls = 0
  rejected = 0

  admit(): { readonly era: number; readonly probe: boolean } | undefined {
    this.calls++
    if (this.state === "OPEN" && this.now >= this.openUntil) this.state = "HALF_OPEN"
    if (this.state === "OPEN" || (this.state === "HALF_OPEN" && this.probing)) {
      this.rejected++
      return undefined
    }
    if (this.state === "CLOSED") return { era: this.era, probe: false }
    this.probing = true
    return { era: ++this.era, probe: true }
  }
  record({ era, probe }: { readonly era: number; readonly probe: boolean }, how: "ok" | "fail" | "interrupt") {
    if (era !== this.era) return
    if (probe) this.probing = false
    if (how === "interrupt") return
    if (how === "fail" && (probe || ++this.streak >= threshold)) this.open()
    else if (how === "ok") this.close(probe)
  }
  open() {
    this.state = "OPEN"
    this.openUntil = this.now + openSeconds
    this.streak = 0
    this.era++
  }
  close(probe: boolean) {
    this.state = "CLOSED"
    this.streak = 0
    if (probe) this.era++
  }
  reset() {
    this.state = "CLOSED"
    this.streak = 0
    this.probing = false
    this.era += 1000
  }
}

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  // Longer than all waits together: this model has no limit for a probe.
  const probeTimeout = "1 hour"
  const openDuration = `${openSeconds} seconds` as const
  const breaker = yield* Breaker.make("model", { failureThreshold: threshold, openDuration, probeTimeout })
  const model = new Model()
  const open: Array<Call> = []
  const begin = Effect.fnUntraced(function*() {
    const admission = model.admit()
    const gate = yield* Deferred.make<void, string>()
    const fiber = yield* Effect.forkChild(breaker.execute(Deferred.await(gate)), { startImmediately: true })
    const isRejected = fiber.pollUnsafe() !== undefined
    assert.strictEqual(isRejected, admission === undefined, "admitted as the model says")
    if (admission !== undefined) open.push({ gate, fiber, ...admission })
  })
  const end = Effect.fnUntraced(function*(call: Call, how: "ok" | "fail" | "interrupt") {
    if (how === "interrupt") yield* Fiber.interrupt(call.fiber)
    else yield* Deferred.completeWith(call.gate, how === "ok" ? Effect.void : Effect.fail("failed"))
    yield* Fiber.await(call.fiber)
    model.record(call, how)
  })
  for (const step of steps) {
    switch (step._tag) {
      case "call": {
        const before = open.length
        yield* begin()
        const call = open.length > before ? open.pop() : undefined
        if (call !== undefined) yield* end(call, step.ok ? "ok" : "fail")
        break
      }
      case "start":
        yield* begin()
        break
      case "end": {
        const [call] = open.splice(step.index % Math.max(1, open.length), 1)
        if (call !== undefined) yield* end(call, step.how)
        break
      }
      case "wait":
        yield* TestClock.adjust(`${step.seconds} seconds`)
        model.now += step.seconds
        break
      case "reset":
        yield* breaker.reset
        model.reset()
    }
    const snapshot = yield* breaker.snapshot
    assert.deepInclude(snapshot, { state: model.state, totalCalls: model.calls, rejectedCount: model.rejected })
  }
  yield* Effect.forEach(open, (call) => Fiber.interrupt(call.fiber))
})

describe("Breaker", () => {
  it("[S3-10] [S3-12] [S3-13] [S3-16] admits, rejects and moves as its model, whatever the order of events (model)", (context) =>
    forAllEffect(
      context,
      400,
      fc.array(step, { maxLength: 40 }),
      (steps) => Effect.provide(run(steps), BreakerStore.layerMemory)
    ))
})
