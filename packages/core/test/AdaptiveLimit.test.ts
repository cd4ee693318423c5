import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Metric } from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { AdaptiveLimit, Breaker, Deadline, ErrorCode, KeelsonError, Metrics } from "../src/index.ts"
import { Gate } from "../src/internal/limit/gate.ts"
import { LatencyWindow } from "../src/internal/limit/latencyWindow.ts"
import { classify } from "../src/internal/limit/sample.ts"
import * as Decoders from "../src/unstable/Decoders.ts"

/** Starts a call that holds its place until its gate opens. */
const hold = Effect.fnUntraced(function*(
  limit: AdaptiveLimit.AdaptiveLimit,
  options?: AdaptiveLimit.CallOptions<void, never>
) {
  const gate = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkChild(limit.execute(Deferred.await(gate), options), { startImmediately: true })
  return { fiber, end: Effect.andThen(Deferred.succeed(gate, undefined), Fiber.await(fiber)) }
})

const small = { minLimit: 1, initialLimit: 1 } as const

const response = (status: number) =>
  HttpClientResponse.fromWeb(HttpClientRequest.get("https://billing.example"), new Response(null, { status }))

/** The series of a metric in the registry in context. */
const metric = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      all.filter(({ id }) => id === `keelson_${name}`).map(({ attributes, state }) => [attributes, state] as const)
  )

describe("AdaptiveLimit", () => {
  it.effect("[K-31] rejects calls over the limit with a typed error, a 503 that says when to come back", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { ...small, retryAfter: "3 seconds" })
      yield* hold(limit)
      const error = yield* Effect.flip(limit.execute(Effect.die("called")))
      assert.instanceOf(error, AdaptiveLimit.LimitExceeded)
      assert.strictEqual(error.name, "LimitExceeded")
      assert.deepInclude(error, { code: "LIMIT_EXCEEDED", server: "billing", reason: "queue", limit: 1, status: 503 })
      assert.strictEqual(error.message, "Adaptive limit rejected the call: the queue is full")
      assert.deepStrictEqual(error.details, { server: "billing", reason: "queue", limit: 1, retry_after_ms: 3000 })
      assert.isTrue(ErrorCode.codeInfo[error.code].retryable)
      assert.strictEqual(Breaker.classify(Exit.fail(error)), Breaker.ignored)
      assert.strictEqual(error, yield* Effect.flip(limit.execute(Effect.void)))
      assert.isTrue(Object.isFrozen(error))
    }))

  it.effect("[K-31] calls of a higher priority leave the queue first, and first come first within one", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { ...small, maxQueued: 10 })
      const first = yield* hold(limit)
      const order: Array<string> = []
      const call = (name: string, priority?: AdaptiveLimit.Priority) =>
        Effect.forkChild(limit.execute(Effect.sync(() => order.push(name)), { priority }), { startImmediately: true })
      const waiting = [
        yield* call("low", "low"),
        yield* call("normal 1"),
        yield* call("critical", "critical"),
        yield* call("normal 2", "normal"),
        yield* call("high", "high")
      ]
      yield* first.end
      yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(order, ["critical", "high", "normal 1", "normal 2", "low"])
    }))

  it.effect("[K-31] in a full queue, the newest call of the lowest priority loses its place to a higher one", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { ...small, maxQueued: 3 })
      yield* hold(limit)
      const normal = yield* hold(limit)
      const low = [yield* hold(limit, { priority: "low" }), yield* hold(limit, { priority: "low" })]
      const high = yield* hold(limit, { priority: "high" })
      assert.strictEqual((yield* Effect.flip(Fiber.join(low[1]!.fiber))).reason, "displaced")
      // Nobody of a lower priority waits for it to displace.
      assert.strictEqual((yield* Effect.flip(limit.execute(Effect.void, { priority: "low" }))).reason, "queue")
      yield* hold(limit, { priority: "high" })
      assert.strictEqual((yield* Effect.flip(Fiber.join(low[0]!.fiber))).reason, "displaced")
      yield* hold(limit, { priority: "critical" })
      assert.strictEqual((yield* Effect.flip(Fiber.join(normal.fiber))).reason, "displaced")
      assert.isUndefined(high.fiber.pollUnsafe())
      assert.deepInclude(yield* limit.snapshot, { inFlight: 1, queued: 3, rejected: 4 })
    }))

  it.effect("[K-31] a call waits for at most maxWait, and not past its deadline", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { ...small, maxQueued: 2, maxWait: "3 seconds" })
      yield* hold(limit)
      const waiting = yield* hold(limit)
      const until = Duration.toNanosUnsafe(Duration.seconds(1))
      const call = Effect.provideService(limit.execute(Effect.void), Deadline.CurrentDeadline, until)
      const hurried = yield* Effect.forkChild(call, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(hurried))).reason, "deadline")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting.fiber))).reason, "wait")
    }))

  it.effect("[K-31] an interrupted waiter leaves the queue, and an interrupted call gives its place to the next", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { ...small, maxQueued: 3 })
      const [first, second, third] = [yield* hold(limit), yield* hold(limit), yield* hold(limit)]
      yield* Fiber.interrupt(second.fiber)
      assert.deepInclude(yield* limit.snapshot, { inFlight: 1, queued: 1 })
      yield* Fiber.interrupt(first.fiber)
      assert.deepInclude(yield* limit.snapshot, { inFlight: 1, queued: 0 })
      yield* third.end
      assert.deepInclude(yield* limit.snapshot, { inFlight: 0, queued: 0, rejected: 0 })
    }))

  it.effect("[K-31] a place is free after a failure, a defect, and a classify that throws", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", small)
      yield* Effect.exit(limit.execute(Effect.fail("down")))
      yield* Effect.exit(limit.execute(Effect.die("defect")))
      const exit = yield* Effect.exit(limit.execute(Effect.void, {
        classify: () => {
          throw new Error("classify")
        }
      }))
      assert.isTrue(Exit.hasDies(exit))
      assert.deepInclude(yield* limit.snapshot, { inFlight: 0 })
    }))

  it.effect("[K-31] measures the latency of a call without its time in the queue", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", {
        ...small,
        maxQueued: 20,
        minSamples: 5,
        maxWait: "1 minute"
      })
      const calls = yield* Effect.forEach(
        Array.from({ length: 12 }),
        () => Effect.forkChild(limit.execute(Effect.sleep("100 millis")), { startImmediately: true })
      )
      for (let step = 0; step < 12; step++) yield* TestClock.adjust("100 millis")
      yield* Effect.forEach(calls, Fiber.join)
      assert.deepStrictEqual((yield* limit.snapshot).baseline, Duration.millis(100))
    }))

  it.effect("[K-31] a call that is interrupted counts as dropped if it was slower than tolerated, else it does not count", () =>
    Effect.gen(function*() {
      for (const [interruptedAfter, shrinks] of [["150 millis", false], ["151 millis", true]] as const) {
        const limit = yield* AdaptiveLimit.make("billing", {
          minLimit: 2,
          initialLimit: 10,
          minSamples: 5,
          window: "10 millis"
        })
        for (let round = 0; round < 2; round++) {
          const fibers = yield* Effect.forEach(
            Array.from({ length: 6 }),
            () => Effect.forkChild(limit.execute(Effect.sleep("100 millis")), { startImmediately: true })
          )
          yield* TestClock.adjust("100 millis")
          yield* Effect.forEach(fibers, Fiber.await)
        }
        assert.deepStrictEqual((yield* limit.snapshot).baseline, Duration.millis(100))
        const before = (yield* limit.snapshot).limit
        const hanging = yield* Effect.forEach(
          Array.from({ length: 6 }),
          () => Effect.forkChild(limit.execute(Effect.never), { startImmediately: true })
        )
        yield* TestClock.adjust(interruptedAfter)
        yield* Effect.forEach(hanging, Fiber.interrupt)
        assert.strictEqual((yield* limit.snapshot).limit < before, shrinks, interruptedAfter)
      }
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-31] shows the baseline in seconds, and takes an unknown priority for normal", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("billing", { minSamples: 5, window: "10 millis" })
      const priority: AdaptiveLimit.Priority = JSON.parse("\"urgent\"")
      for (let call = 0; call < 8; call++) {
        const fiber = yield* Effect.forkChild(limit.execute(Effect.sleep("250 millis"), { priority }), {
          startImmediately: true
        })
        yield* TestClock.adjust("250 millis")
        yield* Fiber.join(fiber)
      }
      assert.deepEqual(yield* metric("adaptive_limit_baseline_seconds"), [[{ server: "billing" }, { value: 0.25 }]])
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it("[K-31] a window measures mean latency with its error, mean calls in flight and the most of them", () => {
    const window = new LatencyWindow(0)
    window.start(7)
    for (const [latency, inFlight] of [[100, 2], [300, 4], [100, 3], [300, 3]] as const) window.add(latency, inFlight)
    // The deviation is 100 of 200, and its share of a mean of four calls is half of that.
    assert.deepStrictEqual(window.measurement, { latency: 200, error: 0.25, inFlight: 3, peak: 7 })
    window.add(200, 9)
    assert.strictEqual(window.measurement.peak, 9)
    window.drops = 15
    assert.strictEqual(window.dropShare, 0.75)
  })

  it("[K-31] a limit that grows admits calls that wait, in their order", () => {
    const gate = new Gate(1, 5)
    const admitted: Array<number> = []
    assert.isTrue(gate.tryAcquire())
    for (let number = 0; number < 3; number++) {
      const waiter = { priority: 0, previous: undefined, next: undefined, admit: () => void admitted.push(number) }
      assert.isTrue(gate.enqueue({ ...waiter, displace: () => assert.fail("displaced") }))
    }
    gate.resize(3)
    assert.deepStrictEqual([admitted, gate.inFlight, gate.queued], [[0, 1], 3, 1])
  })

  it.effect("[K-31] counts limit, calls and rejections while its scope is open", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const limit = yield* AdaptiveLimit.make("billing", { ...small, maxQueued: 1 })
        yield* hold(limit)
        yield* hold(limit)
        yield* Effect.flip(limit.execute(Effect.void, { priority: "low" }))
        const server = "billing"
        assert.deepEqual(yield* metric("adaptive_limit"), [[{ server }, { value: 1 }]])
        assert.deepEqual(yield* metric("adaptive_limit_in_flight"), [[{ server }, { value: 1 }]])
        assert.deepEqual(yield* metric("adaptive_limit_queued"), [[{ server }, { value: 1 }]])
        assert.deepEqual(yield* metric("adaptive_limit_baseline_seconds"), [[{ server }, { value: 0 }]])
        const rejections = yield* metric("adaptive_limit_rejections_total")
        assert.deepEqual(rejections.map(([attributes, state]) => [attributes?.["priority"], state]), [
          ["critical", { count: 0, incremental: true }],
          ["high", { count: 0, incremental: true }],
          ["normal", { count: 0, incremental: true }],
          ["low", { count: 1, incremental: true }]
        ])
      }))
      assert.deepStrictEqual(yield* Metric.snapshot, [])
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-31] fails with the option that is out of its range", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [AdaptiveLimit.Options, string]> = [
        [{ minLimit: 0 }, "minLimit"],
        [{ minLimit: 21 }, "initialLimit"],
        [{ maxLimit: 19 }, "initialLimit"],
        [{ tolerance: 1 }, "tolerance"],
        [{ window: "9 millis" }, "window"],
        [{ minSamples: 4 }, "minSamples"],
        [{ maxQueued: -1 }, "maxQueued"],
        [{ maxWait: "0 millis" }, "maxWait"],
        [{ retryAfter: "2 hours" }, "retryAfter"]
      ]
      for (const [options, path] of wrong) {
        const error = yield* Effect.flip(AdaptiveLimit.make("billing", options))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", path])
      }
      const low = yield* Effect.flip(AdaptiveLimit.make("billing", { minLimit: 21 }))
      assert.include(low.message, "at least minLimit, which is 21")
      const high = yield* Effect.flip(AdaptiveLimit.make("billing", { maxLimit: 19 }))
      assert.include(high.message, "at most maxLimit, which is 19")
      const fixed = yield* AdaptiveLimit.make("billing", { minLimit: 7, initialLimit: 7, maxLimit: 7 })
      assert.strictEqual((yield* fixed.snapshot).limit, 7)
      // Does not compile unless the interface and the schema have the same options.
      Decoders.maker<AdaptiveLimit.Options, typeof AdaptiveLimit.Policy>(AdaptiveLimit.Policy)
      const { policy } = yield* AdaptiveLimit.make("billing")
      assert.deepEqual(policy, {
        minLimit: 5,
        maxLimit: 1000,
        initialLimit: 20,
        tolerance: 1.5,
        window: Duration.millis(500),
        minSamples: 50,
        maxQueued: 0,
        maxWait: Duration.seconds(1),
        retryAfter: Duration.seconds(1)
      })
    }))

  describe("classify", () => {
    const failed = (status: number) => {
      const { request } = response(status)
      const reason = new HttpClientError.StatusCodeError({ request, response: response(status) })
      return Exit.fail(new HttpClientError.HttpClientError({ reason }))
    }
    const samples: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, AdaptiveLimit.Sample]> = [
      ["a value", Exit.succeed(1), "success"],
      ["a response 200", Exit.succeed(response(200)), "success"],
      ["a response 404", Exit.succeed(response(404)), "success"],
      ["a response 408", Exit.succeed(response(408)), "dropped"],
      ["a response 429", Exit.succeed(response(429)), "dropped"],
      ["a response 500", Exit.succeed(response(500)), "ignored"],
      ["a response 503", Exit.succeed(response(503)), "dropped"],
      ["a response 504", Exit.succeed(response(504)), "dropped"],
      ["the error of a 404", failed(404), "success"],
      ["the error of a 502", failed(502), "ignored"],
      ["the error of a 503", failed(503), "dropped"],
      ["a timeout", Exit.fail(KeelsonError.make({ code: "TIMEOUT" })), "dropped"],
      ["a rate limit", Exit.fail(KeelsonError.make({ code: "RATE_LIMITED" })), "dropped"],
      ["a refused connection", Exit.fail(Object.assign(new Error("no"), { code: "ECONNREFUSED" })), "ignored"],
      ["an error without a code", Exit.fail("down"), "ignored"],
      ["a defect", Exit.die("defect"), "ignored"]
    ]
    for (const [what, exit, sample] of samples) {
      it(`[K-31] ${what} is ${sample}`, () => assert.strictEqual(classify(exit), sample))
    }
  })
})
