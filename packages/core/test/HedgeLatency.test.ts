/** What hedging gains and costs, on virtual time: a service of which one answer in a hundred takes half a second. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Hedge, Metrics } from "../src/index.ts"

const calls = 4000
const slow = 500

/** Answers in 5 to 15 ms, evenly spread, and every 97th execution in half a second. */
const service = () => {
  let executions = 0
  const execute = Effect.suspend(() => {
    const number = ++executions
    // A multiplicative hash, so that neighbours differ.
    const spread = (number * 2_654_435_761 % 4_294_967_296) / 4_294_967_296
    return Effect.sleep(number % 97 === 0 ? slow : 5 + 10 * spread)
  })
  return { execute, executions: () => executions }
}

/** The 99th percentile of the latencies of calls that begin every 5 ms, in milliseconds. */
const p99 = Effect.fnUntraced(function*(call: Effect.Effect<void>) {
  const latencies: Array<number> = []
  const clock = yield* Clock.Clock
  const timed = Effect.suspend(() => {
    const began = clock.monotonicTimeNanosUnsafe()
    return Effect.map(call, () => void latencies.push(Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6))
  })
  const load = Effect.forEach(
    Array.from({ length: calls }),
    () => Effect.andThen(Effect.forkDetach(timed, { startImmediately: true }), Effect.sleep(5)),
    { discard: true }
  )
  const fiber = yield* Effect.forkChild(load, { startImmediately: true })
  yield* TestClock.adjust(calls * 5)
  yield* Fiber.join(fiber)
  yield* TestClock.adjust("1 second")
  assert.strictEqual(latencies.length, calls)
  return latencies.toSorted((a, b) => a - b)[Math.ceil(0.99 * calls) - 1]!
})

describe("Hedge", () => {
  it.effect("[K-20] the default halves P99 of a service with 1 % slow answers for at most 5 % more calls", () =>
    Effect.gen(function*() {
      const plain = service()
      const before = yield* p99(plain.execute)
      assert.deepStrictEqual([before, plain.executions()], [slow, calls])
      const hedged = service()
      const hedge = yield* Hedge.make("search")
      const after = yield* p99(hedge.execute(hedged.execute))
      assert.isAtMost(after, before / 2)
      assert.isAtMost(hedged.executions(), calls * 1.05)
      // In fact it is far less: the delay of 15 ms and a fast answer.
      assert.isAtMost(after, 32)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-20] a service that slows down as a whole gets at most the budget's share of calls more", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make("search", { delay: "20 millis", budget: { ratio: 0.05, minPerSecond: 0 } })
      let executions = 0
      const execute = Effect.suspend(() => {
        executions++
        return Effect.sleep("200 millis")
      })
      yield* p99(hedge.execute(execute))
      assert.isAbove(executions, calls)
      assert.isAtMost(executions, calls * 1.05)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
})
