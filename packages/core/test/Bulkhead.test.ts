import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { Breaker, Bulkhead, Deadline, ErrorCode, Metrics } from "../src/index.ts"
import * as Decoders from "../src/unstable/Decoders.ts"

/** Starts a call that holds its place until its gate opens. */
const hold = Effect.fnUntraced(function*(bulkhead: Bulkhead.Bulkhead, options?: Bulkhead.CallOptions) {
  const gate = yield* Deferred.make<void>()
  const call = bulkhead.execute(Deferred.await(gate), options)
  const fiber = yield* Effect.forkChild(call, { startImmediately: true })
  const end = Effect.andThen(Deferred.succeed(gate, undefined), Fiber.await(fiber))
  return { fiber, end }
})

const counts = (bulkhead: Bulkhead.Bulkhead) =>
  Effect.map(bulkhead.snapshot, ({ inFlight, queued, rejected }) => [inFlight, queued, rejected])

/** The series of a metric in the registry in context. */
const metric = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      all.filter(({ id }) => id === `keelson_${name}`).map(({ attributes, state }) => [attributes, state] as const)
  )

describe("Bulkhead", () => {
  it.effect("[K-19] runs as many calls as allowed, and rejects the next one without making it", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 2 })
      const one = yield* hold(bulkhead)
      yield* hold(bulkhead)
      const error = yield* Effect.flip(bulkhead.execute(Effect.die("called")))
      assert.instanceOf(error, Bulkhead.BulkheadFull)
      assert.deepInclude(error, { code: "BULKHEAD_FULL", server: "billing", reason: "queue", maxConcurrent: 2 })
      yield* one.end
      assert.strictEqual(yield* bulkhead.execute(Effect.succeed("paid")), "paid")
    }))

  it.effect("[K-19] the rejection is a 503 that may be repeated, and no evidence for a breaker", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1 })
      yield* hold(bulkhead)
      const [error, other] = [
        yield* Effect.flip(bulkhead.execute(Effect.void)),
        yield* Effect.flip(bulkhead.execute(Effect.void))
      ]
      assert.deepStrictEqual([error.name, error.status], ["BulkheadFull", 503])
      assert.strictEqual(error.message, "Bulkhead rejected the call: the queue is full")
      assert.deepStrictEqual(error.details, {
        server: "billing",
        reason: "queue",
        max_concurrent: 1,
        max_queued: 0
      })
      assert.isTrue(ErrorCode.codeInfo[error.code].retryable)
      assert.strictEqual(Breaker.classify(Exit.fail(error)), Breaker.ignored)
      assert.strictEqual(error, other)
      assert.isTrue(Object.isFrozen(error))
    }))

  it.effect("[K-19] waiting calls get their places in the order in which they came", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 3 })
      const first = yield* hold(bulkhead)
      const order: Array<number> = []
      const waiting = yield* Effect.forEach([1, 2, 3], (number) =>
        Effect.forkChild(bulkhead.execute(Effect.sync(() => order.push(number))), { startImmediately: true }))
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 3, 0])
      assert.strictEqual((yield* Effect.flip(bulkhead.execute(Effect.void))).reason, "queue")
      yield* first.end
      yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(order, [1, 2, 3])
      assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 1])
    }))

  it.effect("[K-19] a call that comes when a place becomes free does not overtake those that wait", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 5 })
      const order: Array<string> = []
      const note = (name: string) => bulkhead.execute(Effect.sync(() => order.push(name)))
      const waiting = yield* Deferred.make<void>()
      yield* bulkhead.execute(Effect.gen(function*() {
        yield* Effect.forkDetach(Effect.ensuring(note("first"), Deferred.succeed(waiting, undefined)), {
          startImmediately: true
        })
      }))
      yield* note("second")
      yield* Deferred.await(waiting)
      assert.deepStrictEqual(order, ["first", "second"])
    }))

  it.effect("[K-19] a call waits for at most maxWait", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 1, maxWait: "3 seconds" })
      const first = yield* hold(bulkhead)
      const waiting = yield* hold(bulkhead)
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 1, 0])
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Fiber.join(waiting.fiber))
      assert.deepInclude(error, { reason: "wait", maxWait: Duration.seconds(3) })
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 0, 1])
      yield* first.end
      assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 1])
    }))

  it.effect("[K-19] the wait limit ends with the wait: a call that got its place may take longer", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 1, maxWait: "1 second" })
      const first = yield* hold(bulkhead)
      const second = yield* hold(bulkhead)
      yield* first.end
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 0, 0])
      assert.isTrue(Exit.isSuccess(yield* second.end))
    }))

  it.effect("[K-19] a call does not wait past its deadline", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 2, maxWait: "1 minute" })
      yield* hold(bulkhead)
      const until = Duration.toNanosUnsafe(Duration.seconds(5))
      const call = Effect.provideService(bulkhead.execute(Effect.void), Deadline.CurrentDeadline, until)
      const fiber = yield* Effect.forkChild(Effect.flip(call), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 1, 0])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "deadline")
      // The deadline has passed: the call does not enter the queue.
      assert.strictEqual((yield* Effect.flip(call)).reason, "deadline")
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 0, 2])
    }))

  it.effect("[K-19] an interrupted waiter leaves the queue, and an interrupted call gives its place to the next", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 2 })
      const first = yield* hold(bulkhead)
      const second = yield* hold(bulkhead)
      const third = yield* hold(bulkhead)
      yield* Fiber.interrupt(second.fiber)
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 1, 0])
      yield* Fiber.interrupt(first.fiber)
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 0, 0])
      yield* third.end
      assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 0])
    }))

  it.effect("[K-19] a waiter that is interrupted in the moment it gets a place passes it on", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 2 })
      const second = yield* Deferred.make<Fiber.Fiber<void, Bulkhead.BulkheadFull>>()
      const first = bulkhead.execute(Deferred.await(second))
      const running = yield* Effect.forkChild(first, { startImmediately: true })
      const waiting = yield* Effect.forkChild(bulkhead.execute(Effect.never), { startImmediately: true })
      const last = yield* Effect.forkChild(bulkhead.execute(Effect.succeed("ran")), { startImmediately: true })
      // The place is handed over in this step, and the fiber is interrupted before it runs again.
      running.addObserver(() => waiting.interruptUnsafe())
      yield* Deferred.succeed(second, waiting)
      assert.strictEqual(yield* Fiber.join(last), "ran")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waiting)))
      assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 0])
    }))

  it.effect("[K-19] a place is free after a failure, a defect and an interruption, and after the finalizers of the call", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1 })
      for (const call of [Effect.fail("down"), Effect.die("defect"), Effect.interrupt]) {
        yield* Effect.exit(bulkhead.execute(call))
        assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 0])
      }
      const finalizer = yield* Deferred.make<void>()
      const call = Effect.ensuring(Effect.never, Deferred.await(finalizer))
      const fiber = yield* Effect.forkChild(bulkhead.execute(call), { startImmediately: true })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      assert.deepStrictEqual(yield* counts(bulkhead), [1, 0, 0])
      yield* Deferred.succeed(finalizer, undefined)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(yield* counts(bulkhead), [0, 0, 0])
    }))

  it.effect("[K-19] an effect that runs twice takes a place each time", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1 })
      const call = bulkhead.execute(Effect.never)
      yield* Effect.forkChild(call, { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(call)).reason, "queue")
    }))

  it.effect("[K-19] thousands of calls that end at once do not run one inside the other", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 4000 })
      const first = yield* hold(bulkhead)
      let ran = 0
      const call = bulkhead.execute(Effect.sync(() => void ran++))
      const all = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 4000 }), () => call, { concurrency: "unbounded", discard: true }),
        { startImmediately: true }
      )
      yield* first.end
      yield* Fiber.join(all)
      assert.strictEqual(ran, 4000)
    }))

  describe("keys", () => {
    it.effect("[K-19] each key has its own places and its own queue", () =>
      Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 1 })
        yield* hold(bulkhead, { key: "a" })
        yield* hold(bulkhead, { key: "a" })
        assert.strictEqual((yield* Effect.flip(bulkhead.execute(Effect.void, { key: "a" }))).reason, "queue")
        yield* hold(bulkhead, { key: "b" })
        yield* hold(bulkhead)
        assert.deepStrictEqual(yield* bulkhead.snapshot, { inFlight: 3, queued: 1, rejected: 1, keys: 2 })
      }))

    it.effect("[K-19] a key is forgotten when it has no call, and no more keys than allowed have calls", () =>
      Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxKeys: 2 })
        const a = yield* hold(bulkhead, { key: "a" })
        yield* hold(bulkhead, { key: "__proto__" })
        const error = yield* Effect.flip(bulkhead.execute(Effect.void, { key: "c" }))
        assert.strictEqual(error.reason, "keys")
        assert.strictEqual((yield* Effect.flip(bulkhead.execute(Effect.void, { key: "a" }))).reason, "queue")
        yield* a.end
        assert.strictEqual((yield* bulkhead.snapshot).keys, 1)
        yield* bulkhead.execute(Effect.void, { key: "c" })
        assert.strictEqual((yield* bulkhead.snapshot).keys, 1)
      }))
  })

  it.effect("[K-19] counts calls in flight, waiting and rejected while its scope is open", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make("billing", { maxConcurrent: 1, maxQueued: 1 })
        yield* hold(bulkhead)
        yield* hold(bulkhead, { key: "tenant" })
        yield* hold(bulkhead)
        yield* Effect.flip(bulkhead.execute(Effect.void))
        const server = "billing"
        assert.deepEqual(yield* metric("bulkhead_in_flight"), [[{ server }, { value: 2 }]])
        assert.deepEqual(yield* metric("bulkhead_queued"), [[{ server }, { value: 1 }]])
        const rejections = yield* metric("bulkhead_rejections_total")
        assert.deepEqual(rejections.map(([attributes, state]) => [attributes?.["reason"], state]), [
          ["queue", { count: 1, incremental: true }],
          ["wait", { count: 0, incremental: true }],
          ["deadline", { count: 0, incremental: true }],
          ["keys", { count: 0, incremental: true }]
        ])
      }))
      assert.deepStrictEqual(yield* Metric.snapshot, [])
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-19] fails with the option that is out of its range", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [Bulkhead.Options, string]> = [
        [{ maxConcurrent: 0 }, "maxConcurrent"],
        [{ maxConcurrent: 100_001 }, "maxConcurrent"],
        [{ maxQueued: -1 }, "maxQueued"],
        [{ maxWait: "0 millis" }, "maxWait"],
        [{ maxWait: "601 seconds" }, "maxWait"],
        [{ maxKeys: 0 }, "maxKeys"]
      ]
      for (const [options, path] of wrong) {
        const error = yield* Effect.flip(Bulkhead.make("billing", options))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", path])
      }
      // Does not compile unless the interface and the schema have the same options.
      Decoders.maker<Bulkhead.Options, typeof Bulkhead.Policy>(Bulkhead.Policy)
      const { policy } = yield* Bulkhead.make("billing")
      assert.deepEqual(policy, { maxConcurrent: 25, maxQueued: 0, maxWait: Duration.seconds(1), maxKeys: 1000 })
    }))
})
