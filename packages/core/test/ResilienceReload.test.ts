import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { type Cause, Deferred, Effect, Exit, Fiber, Logger, Metric, Queue, Result, Scope, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { BreakerStore, KeelsonError, Metrics, Resilience } from "../src/index.ts"

type Update = Resilience.Options | Result.Result<Resilience.Options, "unreadable">

/** A reloadable with the queue of its policies. */
const reloadable = Effect.fnUntraced(function*(first: Resilience.Options) {
  const queue = yield* Queue.unbounded<Update, "gone" | Cause.Done>()
  yield* Queue.offer(queue, first)
  const resilience = yield* Resilience.reloadable("billing", Stream.fromQueue(queue))
  /** Offers a policy and lets the watcher run. */
  const update = (next: Update) => Effect.andThen(Queue.offer(queue, next), TestClock.adjust("1 millis"))
  return { resilience, update, queue }
})

/** A call that waits for a gate. */
const running = Effect.fnUntraced(function*(resilience: Resilience.Resilience) {
  const gate = yield* Deferred.make<string, string>()
  const fiber = yield* Effect.forkChild(Effect.exit(resilience.execute(Deferred.await(gate))), {
    startImmediately: true
  })
  return { gate, fiber }
})

const values = (id: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      Object.fromEntries(
        all.filter((one) => one.id === `keelson_${id}`).map(({ attributes, state }) => [
          attributes?.["status"] ?? attributes?.["server"],
          "count" in state ? state.count : "value" in state ? state.value : undefined
        ])
      )
  )

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

describe("Resilience.reloadable", () => {
  test(
    "[K-21] runs new calls under the new policy, and running ones under their own",
    Effect.gen(function*() {
      const { resilience, update } = yield* reloadable({ deadline: "10 seconds" })
      const before = yield* Effect.forkChild(Effect.timed(Effect.exit(resilience.execute(Effect.never))), {
        startImmediately: true
      })
      yield* update({ deadline: "2 seconds" })
      const after = yield* Effect.forkChild(Effect.timed(Effect.exit(resilience.execute(Effect.never))), {
        startImmediately: true
      })
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(errorOf((yield* Fiber.join(after))[1]), { _tag: "DeadlineExceeded" })
      assert.isUndefined(before.pollUnsafe())
      yield* TestClock.adjust("8 seconds")
      assert.deepInclude(errorOf((yield* Fiber.join(before))[1]), { _tag: "DeadlineExceeded" })
    })
  )

  test(
    "[K-21] a bad policy keeps the last good one, and says so in the status, a metric and the log",
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        logged.push(message)
      })
      yield* Effect.gen(function*() {
        const { resilience, update } = yield* reloadable({ retry: { maxAttempts: 2 } })
        yield* update({ retry: { maxAttempts: 0 } })
        const status = yield* resilience.status
        assert.deepInclude(status, { applied: 1, rejected: 1, source: "open" })
        assert.instanceOf(status.rejection, KeelsonError.ConfigurationError)
        assert.include(
          status.rejection.message,
          "retry.maxAttempts must be a whole number from 1 to 100"
        )
        assert.strictEqual(resilience.policy.retry?.maxAttempts, 2)
        assert.deepStrictEqual(yield* values("policy_reloads_total"), { applied: 1, unchanged: 0, rejected: 1 })
        yield* update(Result.fail("unreadable"))
        assert.deepInclude(yield* resilience.status, { rejected: 2, rejection: "unreadable" })
        yield* update({ retry: { maxAttempts: 3 } })
        assert.deepInclude(yield* resilience.status, { applied: 2, rejected: 2, rejection: undefined })
        assert.strictEqual(resilience.policy.retry?.maxAttempts, 3)
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.include(String(logged[0]), "New resilience policy rejected; the last valid one stays in effect")
      assert.include(String(logged[0]), "retry.maxAttempts must be a whole number from 1 to 100")
    })
  )

  test(
    "[K-21] the same policy again changes nothing, and ends a rejection",
    Effect.gen(function*() {
      const { resilience, update } = yield* reloadable({ breaker: {}, deadline: "1 second" })
      const { breaker } = resilience
      yield* update({ deadline: "-1 second" })
      yield* update({ deadline: "1000 millis", breaker: {} })
      assert.strictEqual(resilience.breaker, breaker)
      assert.deepInclude(yield* resilience.status, { applied: 1, rejected: 1, rejection: undefined })
      assert.deepStrictEqual(yield* values("policy_reloads_total"), { applied: 1, unchanged: 1, rejected: 1 })
    })
  )

  test(
    "[K-21] a circuit stays open when its options change, and also when other options do",
    Effect.gen(function*() {
      const { resilience, update } = yield* reloadable({ breaker: { failureThreshold: 1 } })
      yield* Effect.exit(resilience.execute(Effect.fail("down")))
      const { breaker } = resilience
      yield* update({ breaker: { failureThreshold: 1 }, deadline: "1 second" })
      assert.strictEqual(resilience.breaker, breaker)
      assert.deepInclude(yield* Effect.flip(resilience.execute(Effect.void)), { _tag: "CircuitOpen" })
      yield* update({ breaker: { failureThreshold: 9 } })
      assert.notStrictEqual(resilience.breaker, breaker)
      assert.deepInclude(yield* Effect.flip(resilience.execute(Effect.void)), { _tag: "CircuitOpen" })
    })
  )

  test(
    "[K-21] a budget keeps its counts while its options stay the same",
    Effect.gen(function*() {
      const budget = { ratio: 0, minPerSecond: 0.1, window: "10 seconds" } as const
      const retry = { maxAttempts: 9, initialDelay: "0 millis", budget } as const
      const { resilience, update } = yield* reloadable({ retry })
      const attempts = Effect.map(
        Effect.flip(resilience.execute(Effect.fail("down"))),
        (error) => typeof error !== "string" && error._tag === "RetryExhausted" ? error.attempts.length : 0
      )
      assert.strictEqual(yield* attempts, 2)
      yield* update({ retry: { ...retry, maxAttempts: 8 } })
      assert.strictEqual(yield* attempts, 1)
      yield* update({ retry: { ...retry, budget: { ...budget, minPerSecond: 0.2 } } })
      assert.strictEqual(yield* attempts, 3)
    })
  )

  test(
    "[K-21] the parts of a replaced policy are closed after their last call, and counted",
    Effect.gen(function*() {
      const { resilience, update } = yield* reloadable({ breaker: { failureThreshold: 1 } })
      const one = yield* running(resilience)
      const other = yield* running(resilience)
      yield* update({ breaker: { failureThreshold: 2 } })
      assert.deepInclude(yield* resilience.status, { draining: 1, disposed: 0 })
      yield* Deferred.succeed(one.gate, "done")
      assert.deepStrictEqual(yield* Fiber.join(one.fiber), Exit.succeed("done"))
      assert.deepInclude(yield* resilience.status, { draining: 1, disposed: 0 })
      yield* Fiber.interrupt(other.fiber)
      assert.deepInclude(yield* resilience.status, { draining: 0, disposed: 1 })
      assert.deepStrictEqual(
        [yield* values("policies_draining"), yield* values("policy_parts_disposed_total")],
        [{ billing: 0 }, { billing: 1 }]
      )
    })
  )

  test(
    "[K-21] a policy that is replaced while idle is closed at once",
    Effect.gen(function*() {
      const { resilience, update } = yield* reloadable({ breaker: {} })
      yield* resilience.execute(Effect.void)
      yield* update({})
      assert.deepInclude(yield* resilience.status, { applied: 2, draining: 0, disposed: 1 })
      assert.isUndefined(resilience.breaker)
    })
  )

  test(
    "[K-21] a client made before follows the policy",
    Effect.gen(function*() {
      let calls = 0
      const { resilience, update } = yield* reloadable({ retry: { maxAttempts: 3, initialDelay: "0 millis" } })
      const client = resilience.http(HttpClient.make((request) => {
        calls++
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 503 })))
      }))
      const attempts = Effect.map(Effect.exit(client.get("http://billing.test/")), () => {
        const made = calls
        calls = 0
        return made
      })
      assert.strictEqual(yield* attempts, 3)
      yield* update({ retry: { maxAttempts: 2, initialDelay: "0 millis" } })
      assert.strictEqual(yield* attempts, 2)
      yield* update({})
      assert.strictEqual((yield* client.get("http://billing.test/")).status, 503)
    })
  )

  test(
    "[K-21] a stream that ends or fails leaves its last policy, and says so",
    Effect.gen(function*() {
      const { queue, resilience } = yield* reloadable({ deadline: "1 second" })
      yield* Queue.fail(queue, "gone")
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* resilience.status, { source: "failed", rejection: "gone", rejected: 1 })
      assert.strictEqual(yield* resilience.execute(Effect.succeed(1)), 1)
      const ended = yield* Resilience.reloadable("other", Stream.make<[Resilience.Options]>({ deadline: "1 second" }))
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* ended.status, { source: "ended", rejection: undefined })
    })
  )

  describe("without a first policy", () => {
    const make = <E>(policies: Stream.Stream<Update, E>) => Effect.flip(Resilience.reloadable("billing", policies))

    test(
      "[K-21] fails with what is wrong: bad options, an unreadable source, a failed or an empty stream",
      Effect.gen(function*() {
        const bad = Stream.make<[Update, Update]>({ retry: { maxAttempts: 0 } }, { deadline: "1 second" })
        assert.deepInclude(yield* make(bad), { code: "INVALID_CONFIG" })
        assert.strictEqual(yield* make(Stream.make<[Update]>(Result.fail("unreadable"))), "unreadable")
        assert.strictEqual(yield* make(Stream.fail("gone")), "gone")
        assert.deepInclude(yield* make(Stream.empty), { code: "CONFIG_MISSING" })
      })
    )

    test(
      "[K-21] dies as the stream does, and does not hang",
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Resilience.reloadable("billing", Stream.die("broken")))
        assert.isTrue(Exit.hasDies(exit))
      })
    )
  })

  test(
    "[K-21] closing the scope ends the watcher and removes every series",
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { resilience, update } = yield* Effect.provideService(reloadable({ breaker: {} }), Scope.Scope, scope)
      yield* update({ breaker: { failureThreshold: 2 } })
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Metric.snapshot, [])
      yield* update({})
      assert.deepInclude(yield* resilience.status, { applied: 2 })
    })
  )
})
