import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Effect, Exit, Fiber, Logger, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { BreakerStore, Resilience } from "../../src/index.ts"

/** A policy by its parts: each number is a variant of the options, 0 is none. */
interface Variant {
  readonly breaker: number
  readonly budget: number
  readonly attempts: number
}

type Step =
  | { readonly _tag: "policy"; readonly variant: Variant }
  | { readonly _tag: "bad" }
  | { readonly _tag: "start" }
  | { readonly _tag: "end"; readonly index: number; readonly how: "ok" | "fail" | "interrupt" }

const variant = fc.record({ breaker: fc.nat(2), budget: fc.nat(2), attempts: fc.integer({ min: 1, max: 2 }) })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("policy" as const), variant }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("bad" as const) }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("start" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      index: fc.nat(5),
      how: fc.constantFrom("ok" as const, "fail" as const, "interrupt" as const)
    })
  }
)

const optionsOf = ({ attempts, breaker, budget }: Variant): Resilience.Options => ({
  ...(breaker === 0 ? undefined : { breaker: { failureThreshold: 1000 + breaker } }),
  retry: {
    maxAttempts: attempts,
    initialDelay: "1 hour",
    ...(budget === 0 ? undefined : { budget: { ratio: budget } })
  }
})

/** A part of the model: which policies have it. */
interface Part {
  readonly variant: number
  policies: number
}

interface Policy {
  readonly variant: Variant
  readonly parts: Readonly<Record<"breaker" | "budget", Part | undefined>>
  calls: number
  isReplaced: boolean
}

class Model {
  applied = 0
  rejected = 0
  disposed = 0
  isRejected = false
  readonly policies: Array<Policy> = []

  get current(): Policy {
    return this.policies.at(-1)!
  }
  get draining(): number {
    return this.policies.filter(({ calls, isReplaced }) => isReplaced && calls > 0).length
  }
  apply(next: Variant): void {
    this.isRejected = false
    const before = this.policies.at(-1)
    if (before !== undefined && JSON.stringify(before.variant) === JSON.stringify(next)) return
    const part = (key: "breaker" | "budget"): Part | undefined => {
      if (next[key] === 0) return undefined
      const known = before?.parts[key]
      const same = known?.variant === next[key] ? known : { variant: next[key], policies: 0 }
      same.policies++
      return same
    }
    this.applied++
    this.policies.push({
      variant: next,
      parts: { breaker: part("breaker"), budget: part("budget") },
      calls: 0,
      isReplaced: false
    })
    if (before === undefined) return
    before.isReplaced = true
    if (before.calls === 0) this.retire(before)
  }
  retire(policy: Policy): void {
    for (const part of Object.values(policy.parts)) if (part !== undefined && --part.policies === 0) this.disposed++
  }
  end(policy: Policy): void {
    if (--policy.calls === 0 && policy.isReplaced) this.retire(policy)
  }
}

const run = Effect.fnUntraced(function*(first: Variant, steps: ReadonlyArray<Step>) {
  const model = new Model()
  const queue = yield* Queue.unbounded<Resilience.Options>()
  yield* Queue.offer(queue, optionsOf(first))
  model.apply(first)
  const resilience = yield* Resilience.reloadable("model", Stream.fromQueue(queue))
  const open: Array<{
    readonly policy: Policy
    readonly gate: Deferred.Deferred<string>
    readonly fiber: Fiber.Fiber<string, unknown>
  }> = []
  for (const step of steps) {
    switch (step._tag) {
      case "policy":
        model.apply(step.variant)
        yield* Queue.offer(queue, optionsOf(step.variant))
        yield* TestClock.adjust("1 millis")
        break
      case "bad":
        model.rejected++
        model.isRejected = true
        yield* Queue.offer(queue, { retry: { maxAttempts: 0 } })
        yield* TestClock.adjust("1 millis")
        break
      case "start": {
        const gate = yield* Deferred.make<string>()
        const fiber = yield* Effect.forkChild(resilience.execute(Deferred.await(gate)), { startImmediately: true })
        model.current.calls++
        open.push({ policy: model.current, gate, fiber })
        break
      }
      case "end": {
        const [call] = open.splice(step.index % Math.max(1, open.length), 1)
        if (call === undefined) break
        if (step.how === "interrupt") yield* Fiber.interrupt(call.fiber)
        else yield* Deferred.completeWith(call.gate, step.how === "ok" ? Effect.succeed("done") : Effect.die("bug"))
        const exit = yield* Fiber.await(call.fiber)
        assert.strictEqual(Exit.isSuccess(exit), step.how === "ok")
        model.end(call.policy)
      }
    }
    const { rejection, source: _, ...status } = yield* resilience.status
    const { applied, disposed, draining, rejected } = model
    assert.deepStrictEqual(status, { applied, rejected, draining, disposed })
    assert.strictEqual(rejection !== undefined, model.isRejected)
    assert.strictEqual(resilience.policy.retry?.maxAttempts, model.current.variant.attempts)
  }
  yield* Effect.forEach(open, ({ fiber }) => Fiber.interrupt(fiber))
  const { draining } = yield* resilience.status
  assert.strictEqual(draining, 0)
})

describe("Resilience.reloadable", () => {
  it("[K-21] no call is lost, and the parts of each replaced policy are closed once, after its last call (model)", (context) =>
    forAllEffect(
      context,
      300,
      fc.tuple(variant, fc.array(step, { maxLength: 40 })),
      ([first, steps]) => Effect.provide(run(first, steps), [BreakerStore.layerMemory, Logger.layer([])])
    ))
})
