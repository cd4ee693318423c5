import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Deferred, Duration, Effect, Exit, Fiber, type Scope } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { BreakerStore, KeelsonError, Metrics, Resilience } from "../src/index.ts"

const make = (options: Resilience.Options) => Resilience.make("billing", options)

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(self), { startImmediately: true })
const tagOf = (exit: Exit.Exit<unknown, { readonly _tag: string } | string>) => {
  const error = errorOf(exit)
  return typeof error === "string" ? error : error._tag
}

/** Calls that fail, each after a second; with how many were made. */
const failing = () => {
  const made = { calls: 0 }
  const call = Effect.suspend(() => {
    made.calls++
    return Effect.delay(Effect.fail("down"), "1 second")
  })
  return { made, call }
}

const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 second", jitter: "none" } as const
const hedge = { delay: "100 millis", budget: { ratio: 1 } } as const
const one = { maxConcurrent: 1 } as const
const limitOne = { minLimit: 1, initialLimit: 1, maxLimit: 1 } as const

describe("the order of the parts", () => {
  describe("deadline and hedge", () => {
    test(
      "[K-20] the deadline is one for all executions: a hedge has what is left of it",
      Effect.gen(function*() {
        const { execute } = yield* make({ deadline: "1 second", hedge })
        const { elapsed, exit } = yield* runOut(execute(Effect.never))
        assert.deepStrictEqual([tagOf(exit), Duration.toMillis(elapsed)], ["DeadlineExceeded", 1000])
      })
    )
  })

  describe("throttle and the parts inside", () => {
    const throttled = Effect.fail(
      Object.assign(new KeelsonError.NetworkError({ code: "RATE_LIMITED" }), { retryAfter: Duration.seconds(10) })
    )
    test(
      "[K-32] a call that waits for the end of a pause holds no place, is not timed, and is not hedged",
      Effect.gen(function*() {
        const billing = yield* make({ throttle: {}, hedge, bulkhead: one, limit: limitOne, breaker: {} })
        yield* Effect.exit(billing.execute(throttled))
        let calls = 0
        const waiting = yield* start(billing.execute(Effect.sync(() => ++calls)))
        yield* TestClock.adjust("5 seconds")
        assert.deepInclude(yield* billing.bulkhead!.snapshot, { inFlight: 0, queued: 0 })
        assert.deepInclude(yield* billing.limit!.snapshot, { inFlight: 0 })
        assert.deepInclude(yield* billing.hedge!.snapshot, { hedges: 0 })
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual([yield* Fiber.join(waiting), calls], [Exit.succeed(1), 1])
      })
    )

    test(
      "[K-32] a pause that is longer than a call may wait rejects it before the breaker sees it",
      Effect.gen(function*() {
        const billing = yield* make({ throttle: { maxWait: "1 second" }, breaker: { failureThreshold: 1 } })
        yield* Effect.exit(billing.execute(throttled))
        const before = yield* billing.breaker!.snapshot
        assert.strictEqual(tagOf(yield* Effect.exit(billing.execute(Effect.void))), "Throttled")
        assert.strictEqual((yield* billing.breaker!.snapshot).totalCalls, before.totalCalls)
      })
    )
  })

  describe("hedge and breaker", () => {
    test(
      "[K-20] each execution is a call for the breaker, and one that loses is no evidence",
      Effect.gen(function*() {
        const billing = yield* make({ hedge, breaker: { failureThreshold: 1 } })
        let calls = 0
        const call = Effect.suspend(() => ++calls === 1 ? Effect.never : Effect.succeed("fast"))
        assert.deepStrictEqual((yield* runOut(billing.execute(call))).exit, Exit.succeed("fast"))
        assert.deepInclude(yield* billing.breaker!.snapshot, { state: "CLOSED", totalCalls: 2, successCount: 1 })
      })
    )

    test(
      "[K-20] an open circuit rejects the call at once, and no hedge is made",
      Effect.gen(function*() {
        const billing = yield* make({ hedge, breaker: { failureThreshold: 1 } })
        yield* Effect.exit(billing.execute(Effect.fail("down")))
        const { elapsed, exit } = yield* runOut(billing.execute(Effect.void))
        assert.deepStrictEqual([tagOf(exit), Duration.toMillis(elapsed)], ["CircuitOpen", 0])
        assert.deepInclude(yield* billing.hedge!.snapshot, { hedges: 0 })
      })
    )
  })

  describe("hedge and bulkhead", () => {
    test(
      "[K-20] a hedge needs a place of its own; without one the first execution goes on",
      Effect.gen(function*() {
        const billing = yield* make({ hedge, bulkhead: one })
        let calls = 0
        const call = Effect.suspend(() => {
          calls++
          return Effect.delay(Effect.succeed("slow"), "1 second")
        })
        assert.deepStrictEqual((yield* runOut(billing.execute(call))).exit, Exit.succeed("slow"))
        assert.deepStrictEqual([calls, (yield* billing.bulkhead!.snapshot).rejected], [1, 1])
      })
    )
  })

  describe("hedge and retry", () => {
    test(
      "[K-20] all executions share the attempts",
      Effect.gen(function*() {
        const billing = yield* make({ hedge, retry })
        const { call, made } = failing()
        yield* runOut(billing.execute(call))
        assert.strictEqual(made.calls, 3)
      })
    )

    test(
      "[K-20] a call may opt out",
      Effect.gen(function*() {
        const billing = yield* make({ hedge })
        const { call, made } = failing()
        yield* runOut(billing.execute(call, { hedge: false }))
        assert.strictEqual(made.calls, 1)
      })
    )
  })

  const limits = [
    ["bulkhead", { bulkhead: one }, "BulkheadFull"],
    ["limit", { limit: limitOne }, "LimitExceeded"]
  ] as const
  for (const [name, options, tag] of limits) {
    describe(`breaker and ${name}`, () => {
      test(
        "[K-19] [K-31] a rejection is no failure for the breaker, and is not retried",
        Effect.gen(function*() {
          const billing = yield* make({ ...options, retry, breaker: { failureThreshold: 1 } })
          const gate = yield* Deferred.make<void>()
          const held = yield* start(billing.execute(Deferred.await(gate)))
          const { elapsed, exit } = yield* runOut(billing.execute(Effect.void), "10 seconds")
          assert.deepStrictEqual([tagOf(exit), Duration.toMillis(elapsed)], [tag, 0])
          assert.deepInclude(yield* billing.breaker!.snapshot, { state: "CLOSED", failureCount: 0, totalCalls: 2 })
          yield* Deferred.succeed(gate, undefined)
          assert.isTrue(Exit.isSuccess(yield* Fiber.join(held)))
        })
      )

      test(
        "[K-19] [K-31] an open circuit takes no place",
        Effect.gen(function*() {
          const billing = yield* make({ ...options, breaker: { failureThreshold: 1 } })
          yield* Effect.exit(billing.execute(Effect.fail("down")))
          assert.strictEqual(tagOf(yield* Effect.exit(billing.execute(Effect.void))), "CircuitOpen")
          const { rejected } = yield* (billing.bulkhead ?? billing.limit)!.snapshot
          assert.strictEqual(rejected, 0)
        })
      )

      test(
        "[K-19] [K-31] a probe that is rejected leaves the circuit half-open for the next one",
        Effect.gen(function*() {
          const billing = yield* make({ ...options, breaker: { failureThreshold: 1, openDuration: "1 second" } })
          const gate = yield* Deferred.make<void, string>()
          const held = yield* start(billing.execute(Deferred.await(gate)))
          yield* billing.breaker!.execute(Effect.fail("down")).pipe(Effect.exit)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(tagOf(yield* Effect.exit(billing.execute(Effect.void))), tag)
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.join(held)
          yield* billing.execute(Effect.void)
          assert.strictEqual(yield* billing.breaker!.state, "CLOSED")
        })
      )
    })

    describe(`${name} and retry`, () => {
      test(
        "[K-19] [K-31] a call keeps its place over all its attempts and delays",
        Effect.gen(function*() {
          const billing = yield* make({ ...options, retry })
          const { call } = failing()
          const fiber = yield* start(billing.execute(call))
          for (let second = 0; second < 4; second++) {
            assert.strictEqual(tagOf(yield* Effect.exit(billing.execute(Effect.void))), tag)
            yield* TestClock.adjust("1 second")
          }
          yield* TestClock.adjust("1 second")
          assert.strictEqual(exhausted(yield* Fiber.join(fiber)).attempts.length, 3)
          yield* billing.execute(Effect.void)
        })
      )
    })

    describe(`deadline and ${name}`, () => {
      test(
        "[K-19] [K-31] the deadline ends the wait in the queue",
        Effect.gen(function*() {
          const waiting = name === "bulkhead"
            ? { bulkhead: { ...one, maxQueued: 1, maxWait: "1 minute" } } as const
            : { limit: { ...limitOne, maxQueued: 1, maxWait: "1 minute" } } as const
          const billing = yield* make({ ...waiting, deadline: "2 seconds" })
          const held = yield* start(billing.execute(Effect.never))
          yield* TestClock.adjust("1 second")
          const { elapsed, exit } = yield* runOut(billing.execute(Effect.void), "10 seconds")
          // The place is free when the first call ends at its deadline, a second before that of the waiting one.
          assert.deepStrictEqual([exit, Duration.toMillis(elapsed)], [Exit.void, 1000])
          yield* Fiber.join(held)
          const other = yield* start(billing.execute(Effect.sleep("3 seconds"), {}))
          const late = yield* start(billing.execute(Effect.never))
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(tagOf(yield* Fiber.join(other)), "DeadlineExceeded")
          assert.include(["DeadlineExceeded", tag], tagOf(yield* Fiber.join(late)))
        })
      )
    })
  }

  describe("bulkhead and limit", () => {
    test(
      "[K-19] a call that the bulkhead rejects is not measured by the limit",
      Effect.gen(function*() {
        const billing = yield* make({ bulkhead: one, limit: { ...limitOne, initialLimit: 2, maxLimit: 2 } })
        const held = yield* start(billing.execute(Effect.never))
        assert.strictEqual(tagOf(yield* Effect.exit(billing.execute(Effect.void))), "BulkheadFull")
        assert.deepInclude(yield* billing.limit!.snapshot, { inFlight: 1, rejected: 0 })
        yield* Fiber.interrupt(held)
        assert.deepInclude(yield* billing.bulkhead!.snapshot, { inFlight: 0 })
        assert.deepInclude(yield* billing.limit!.snapshot, { inFlight: 0 })
      })
    )

    test(
      "[K-19] [K-31] priority and key of a call reach the limit and the bulkhead",
      Effect.gen(function*() {
        const billing = yield* make({
          bulkhead: { maxConcurrent: 2 },
          limit: { ...limitOne, maxQueued: 1, maxWait: "1 minute" }
        })
        const gate = yield* Deferred.make<void>()
        const held = yield* start(billing.execute(Deferred.await(gate), { bulkheadKey: "a" }))
        const low = yield* start(billing.execute(Effect.succeed("low"), { bulkheadKey: "b", priority: "low" }))
        const high = yield* start(billing.execute(Effect.succeed("high"), { bulkheadKey: "c", priority: "high" }))
        assert.strictEqual(tagOf(yield* Fiber.join(low)), "LimitExceeded")
        assert.strictEqual((yield* billing.bulkhead!.snapshot).keys, 2)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(held)
        assert.deepStrictEqual(yield* Fiber.join(high), Exit.succeed("high"))
      })
    )
  })

  describe("http", () => {
    /** Answers by the number of the request: a status, or never. */
    const scripted = (...answers: ReadonlyArray<number | "never">) => {
      const sent: Array<string> = []
      const client = HttpClient.make((request) =>
        Effect.suspend(() => {
          const answer = answers[Math.min(sent.length, answers.length - 1)]!
          sent.push(request.method)
          return answer === "never"
            ? Effect.never
            : Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: answer })))
        })
      )
      return { client, sent }
    }

    test(
      "[K-20] hedges safe methods only, unless asked",
      Effect.gen(function*() {
        const billing = yield* make({ hedge, retry, deadline: "10 seconds" })
        const get = scripted("never", 200)
        const { exit } = yield* runOut(billing.http(get.client).get("http://billing.test/"))
        assert.strictEqual(Exit.isSuccess(exit) && exit.value.status, 200)
        assert.lengthOf(get.sent, 2)
        const post = scripted("never", 200)
        const late = yield* runOut(billing.http(post.client).post("http://billing.test/"))
        assert.isTrue(Exit.isFailure(late.exit))
        assert.lengthOf(post.sent, 1)
        const asked = scripted("never", 200)
        yield* runOut(billing.http(asked.client, { hedgeUnsafe: () => true }).post("http://billing.test/"))
        assert.lengthOf(asked.sent, 2)
      })
    )

    test(
      "[K-20] retries, breaker, bulkhead and limit are inside the hedge, deadline and error count outside",
      Effect.gen(function*() {
        const billing = yield* make({
          deadline: "5 seconds",
          hedge,
          retry: { ...retry, initialDelay: "0 millis" },
          breaker: {},
          bulkhead: {},
          limit: {}
        })
        const { client, sent } = scripted(503, 503, 200)
        assert.strictEqual((yield* billing.http(client).get("http://billing.test/")).status, 200)
        assert.lengthOf(sent, 3)
        assert.deepInclude(yield* billing.breaker!.snapshot, { totalCalls: 1, successCount: 1 })
        const { exit } = yield* runOut(billing.http(scripted("never").client).get("http://billing.test/"))
        const error = errorOf(exit)
        assert.isFalse(HttpClientError.isHttpClientError(error))
      })
    )

    test(
      "[K-32] one throttled response holds back the other requests",
      Effect.gen(function*() {
        const billing = yield* make({ throttle: {} })
        let requests = 0
        const client = billing.http(HttpClient.make((request) =>
          Effect.sync(() =>
            HttpClientResponse.fromWeb(
              request,
              ++requests === 1
                ? new Response(null, { status: 429, headers: { "retry-after": "5" } })
                : new Response(null, { status: 200 })
            )
          )
        ))
        assert.strictEqual((yield* client.get("http://billing.test/")).status, 429)
        const { elapsed, exit } = yield* runOut(client.get("http://billing.test/"))
        assert.isTrue(Exit.isSuccess(exit))
        assert.isAtLeast(Duration.toSeconds(elapsed), 5)
      })
    )
  })

  test(
    "a part that is left out or disabled is not built",
    Effect.gen(function*() {
      const none = yield* make({ hedge: { enabled: false }, breaker: { enabled: false } })
      const { breaker, bulkhead, hedge, limit, throttle } = none
      assert.deepStrictEqual([breaker, bulkhead, hedge, limit, throttle], Array.from({ length: 5 }))
    })
  )
})
