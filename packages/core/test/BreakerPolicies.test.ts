import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Metric, Random, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Breaker, type BreakerPolicy, BreakerStore, Metrics } from "../src/index.ts"

const make = (options?: BreakerPolicy.Options) => Breaker.make("billing", options)
const fail = (breaker: Breaker.Breaker) => Effect.exit(breaker.execute(Effect.fail("down")))
const succeed = (breaker: Breaker.Breaker) => Effect.exit(breaker.execute(Effect.void))
/** A call that takes a time. */
const take = Effect.fnUntraced(function*(breaker: Breaker.Breaker, time: Duration.Input) {
  const fiber = yield* Effect.forkChild(Effect.exit(breaker.execute(Effect.sleep(time))), { startImmediately: true })
  yield* TestClock.adjust(time)
  return yield* Fiber.join(fiber)
})
/** A call that runs until it is ended. */
const hang = (breaker: Breaker.Breaker) => Effect.forkChild(breaker.execute(Effect.never), { startImmediately: true })
const rejection = (breaker: Breaker.Breaker) =>
  Effect.flatMap(Effect.flip(breaker.execute(Effect.void)), (error) => {
    assert.instanceOf(error, Breaker.CircuitOpen)
    return Effect.succeed(error)
  })

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

const metric = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) => all.filter(({ id }) => id === `keelson_${name}`).map(({ attributes, state }) => [attributes, state])
  )

describe("A breaker with a time window", () => {
  const policy = { strategy: "timeWindow", windowDuration: "10 seconds", failureRatio: 0.5, minimumCalls: 4 } as const

  test(
    "[K-18] opens at a share of failures among the calls of the last while, not before the minimum of calls",
    Effect.gen(function*() {
      const breaker = yield* make(policy)
      yield* Effect.all([succeed(breaker), succeed(breaker), fail(breaker)])
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* fail(breaker)
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "[K-18] forgets failures that are older than the window",
    Effect.gen(function*() {
      const breaker = yield* make(policy)
      yield* Effect.all([fail(breaker), fail(breaker), fail(breaker)])
      assert.deepInclude(yield* breaker.snapshot, { window: { calls: 3, failures: 3, slow: 0 } })
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* breaker.snapshot, { window: { calls: 0, failures: 0, slow: 0 } })
      yield* Effect.all([fail(breaker), fail(breaker), fail(breaker)])
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* TestClock.adjust("8 seconds")
      yield* fail(breaker)
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )
})

describe("A breaker that counts slow calls", () => {
  const policy = {
    strategy: "ratio",
    windowSize: 4,
    minimumCalls: 4,
    failureRatio: 1,
    slowCallDuration: "2 seconds",
    slowCallRatio: 0.5
  } as const

  test(
    "[K-18] opens at a share of slow calls that all succeed",
    Effect.gen(function*() {
      const breaker = yield* make(policy)
      for (const time of [2000, 100, 1999]) yield* take(breaker, time)
      assert.deepInclude(yield* breaker.snapshot, { state: "CLOSED", slowCount: 1, successCount: 3 })
      yield* take(breaker, 2000)
      assert.deepInclude(yield* breaker.snapshot, { state: "OPEN", slowCount: 2 })
      assert.deepStrictEqual(yield* metric("circuit_breaker_slow_calls_total"), [[{ server: "billing" }, {
        count: 2,
        incremental: true
      }]])
    })
  )

  test(
    "[K-18] takes a slow probe for a failed one",
    Effect.gen(function*() {
      const breaker = yield* make({ ...policy, minimumCalls: 1, openDuration: "1 second" })
      yield* take(breaker, 2000)
      yield* TestClock.adjust("1 second")
      yield* take(breaker, 3000)
      assert.strictEqual(yield* breaker.state, "OPEN")
      yield* TestClock.adjust("1 second")
      yield* take(breaker, 1000)
      assert.strictEqual(yield* breaker.state, "CLOSED")
    })
  )
})

describe("A half-open breaker", () => {
  const policy = { failureThreshold: 1, openDuration: "1 second", probes: 3, probeSuccesses: 2 } as const

  test(
    "[K-18] [B2] closes after enough successes of its probes, which run one at a time",
    Effect.gen(function*() {
      const breaker = yield* make(policy)
      yield* fail(breaker)
      yield* TestClock.adjust("1 second")
      const probe = yield* hang(breaker)
      assert.deepInclude(yield* rejection(breaker), { state: "HALF_OPEN", retryAfter: Duration.zero })
      yield* Fiber.interrupt(probe)
      yield* succeed(breaker)
      assert.deepInclude(yield* breaker.snapshot, { state: "HALF_OPEN", probes: { passed: 1, failed: 0 } })
      yield* fail(breaker)
      assert.deepInclude(yield* breaker.snapshot, { state: "HALF_OPEN", probes: { passed: 1, failed: 1 } })
      yield* succeed(breaker)
      assert.strictEqual(yield* breaker.state, "CLOSED")
      assert.deepStrictEqual(yield* metric("circuit_breaker_probes_total"), [[{ server: "billing" }, {
        count: 4,
        incremental: true
      }]])
    })
  )

  test(
    "[K-18] opens once enough successes are out of reach",
    Effect.gen(function*() {
      const breaker = yield* make(policy)
      yield* fail(breaker)
      yield* TestClock.adjust("1 second")
      yield* fail(breaker)
      assert.strictEqual(yield* breaker.state, "HALF_OPEN")
      yield* fail(breaker)
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "[K-18] [D7] is open again after the limit of a probe that does not end, in state, snapshot, metrics and rejections",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "20 seconds", probeTimeout: "5 seconds" })
      yield* fail(breaker)
      yield* TestClock.adjust("20 seconds")
      const gate = yield* Deferred.make<void>()
      const probe = yield* Effect.forkChild(breaker.execute(Deferred.await(gate)), { startImmediately: true })
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [[{ server: "billing" }, { value: 2 }]])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [[{ server: "billing" }, { value: 1 }]])
      assert.strictEqual(yield* breaker.state, "OPEN")
      assert.deepInclude(yield* rejection(breaker), { state: "OPEN", retryAfter: Duration.seconds(20) })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(probe)
      assert.strictEqual(yield* breaker.state, "OPEN")
      yield* TestClock.adjust("20 seconds")
      yield* succeed(breaker)
      assert.strictEqual(yield* breaker.state, "CLOSED")
    })
  )

  test(
    "[D7] a probe of six days ago holds nobody up",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      yield* fail(breaker)
      yield* TestClock.adjust("1 second")
      yield* hang(breaker)
      yield* TestClock.adjust("6 days")
      assert.strictEqual(yield* breaker.state, "OPEN")
      yield* breaker.execute(Effect.void)
      assert.strictEqual(yield* breaker.state, "CLOSED")
    })
  )
})

describe("The open duration", () => {
  test(
    "[K-18] grows each time that the circuit opens again, up to its bound, and starts anew after it recovered",
    Effect.gen(function*() {
      const breaker = yield* make({
        failureThreshold: 1,
        openDuration: "10 seconds",
        openMultiplier: 2,
        maxOpenDuration: "35 seconds"
      })
      const opens = Effect.gen(function*() {
        yield* fail(breaker)
        const { retryAfter } = yield* rejection(breaker)
        yield* TestClock.adjust(retryAfter)
        return Duration.toSeconds(retryAfter)
      })
      assert.deepStrictEqual([yield* opens, yield* opens, yield* opens, yield* opens], [10, 20, 35, 35])
      assert.strictEqual((yield* breaker.snapshot).openings, 4)
      yield* succeed(breaker)
      yield* TestClock.adjust("34 seconds")
      assert.strictEqual(yield* opens, 35)
      yield* succeed(breaker)
      yield* TestClock.adjust("35 seconds")
      assert.strictEqual(yield* opens, 10)
    })
  )

  test(
    "[K-18] is lengthened at random by the share that openJitter allows, from the Random in context",
    Effect.gen(function*() {
      const openFor = (seed: string) =>
        Effect.gen(function*() {
          const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds", openJitter: 0.5 })
          yield* breaker.reset
          yield* fail(breaker)
          return Duration.toMillis((yield* rejection(breaker)).retryAfter)
        }).pipe(Random.withSeed(seed))
      const all = yield* Effect.forEach(Array.from({ length: 50 }, (_, index) => String(index)), openFor)
      for (const millis of all) assert.isTrue(millis >= 10_000 && millis <= 15_000)
      assert.isAbove(new Set(all).size, 40)
      assert.strictEqual(yield* openFor("1"), all[1])
    })
  )
})

describe("An isolated breaker", () => {
  test(
    "[K-18] rejects every call until it is reset, however long that is",
    Effect.gen(function*() {
      const breaker = yield* make({ openDuration: "10 seconds" })
      const other = yield* make({ openDuration: "10 seconds" })
      const moves = yield* Effect.forkChild(Stream.runCollect(Stream.take(breaker.transitions, 2)), {
        startImmediately: true
      })
      const running = yield* Effect.forkChild(breaker.execute(Effect.sleep("1 hour")), { startImmediately: true })
      yield* breaker.isolate
      yield* breaker.isolate
      yield* TestClock.adjust("30 days")
      yield* Fiber.join(running)
      const error = yield* rejection(other)
      assert.deepStrictEqual(
        [error.state, error.message, error.retryAfter, error.details.retry_after_ms],
        ["ISOLATED", "Circuit breaker is ISOLATED", Duration.seconds(10), 10_000]
      )
      assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [[{ server: "billing" }, { value: 3 }]])
      assert.strictEqual((yield* Schema.encodeEffect(Breaker.Snapshot)(yield* breaker.snapshot)).state, "ISOLATED")
      yield* breaker.reset
      assert.strictEqual(yield* breaker.execute(Effect.succeed(1)), 1)
      assert.deepStrictEqual(yield* Fiber.join(moves), [
        { from: "CLOSED", to: "ISOLATED" },
        { from: "ISOLATED", to: "CLOSED" }
      ])
      const isolations = (yield* metric("circuit_breaker_transitions_total")).filter(([labels]) =>
        JSON.stringify(labels).includes("ISOLATED")
      )
      assert.deepStrictEqual(isolations.map(([labels, state]) => [labels, state]), [
        [{ server: "billing", from: "CLOSED", to: "ISOLATED" }, { count: 1, incremental: true }],
        [{ server: "billing", from: "ISOLATED", to: "CLOSED" }, { count: 1, incremental: true }]
      ])
    })
  )
})

describe("The metrics of many breakers", () => {
  test(
    "[K-18] show each circuit while its scope is open, and the sum of breakers of one name; a counter does not fall",
    Effect.gen(function*() {
      const calls = Effect.map(metric("circuit_breaker_calls_total"), (all) => all.map(([, state]) => state))
      const first = yield* make()
      yield* Effect.scoped(Effect.gen(function*() {
        const second = yield* make()
        yield* Breaker.make("other")
        yield* Effect.all([succeed(first), succeed(second), succeed(second)])
        assert.deepStrictEqual(yield* calls, [{ count: 3, incremental: true }, { count: 0, incremental: true }])
      }))
      assert.deepStrictEqual(yield* calls, [{ count: 3, incremental: true }])
      yield* succeed(first)
      assert.deepStrictEqual(yield* calls, [{ count: 4, incremental: true }])
    })
  )

  test(
    "a stream of transitions that is followed after the scope of its breaker closed is empty",
    Effect.gen(function*() {
      const breaker = yield* Effect.scoped(make())
      assert.deepStrictEqual(yield* Stream.runCollect(breaker.transitions), [])
    })
  )
})
