import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Data, Duration, Effect, Exit, Metric, Ref, type Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Breaker, BreakerStore, Deadline, Metrics, Resilience, Retry, RetryBudget } from "../src/index.ts"

class Flaky extends Data.TaggedError("Flaky")<{ readonly call: number }> {}

const script = (succeedsOn = Infinity) =>
  Effect.map(Ref.make(0), (calls) => ({
    calls: Ref.get(calls),
    call: Effect.flatMap(
      Ref.updateAndGet(calls, (n) => n + 1),
      (n) => n >= succeedsOn ? Effect.succeed(n) : Effect.fail(new Flaky({ call: n }))
    )
  }))

const make = (options: Resilience.Options) => Resilience.make("billing", options)

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 second", jitter: "none" } as const

describe("Resilience", () => {
  test(
    "passes a call through where the policy is empty",
    Effect.gen(function*() {
      const { call, calls } = yield* script()
      const resilience = yield* make({})
      assert.deepStrictEqual(yield* Effect.flip(resilience.execute(call)), new Flaky({ call: 1 }))
      assert.deepStrictEqual([yield* calls, resilience.breaker], [1, undefined])
    })
  )

  test(
    "order: the breaker sees one outcome per call, however many attempts there were",
    Effect.gen(function*() {
      const { call, calls } = yield* script()
      const resilience = yield* make({ retry, breaker: { failureThreshold: 2 } })
      const first = yield* runOut(resilience.execute(call))
      assert.strictEqual(yield* resilience.breaker!.state, "CLOSED")
      yield* runOut(resilience.execute(call))
      assert.deepStrictEqual([yield* resilience.breaker!.state, yield* calls], ["OPEN", 6])
      assert.instanceOf(errorOf(first.exit), Retry.RetryExhausted)
    })
  )

  test(
    "order: an open circuit rejects at once, and is not retried",
    Effect.gen(function*() {
      const { call, calls } = yield* script()
      const resilience = yield* make({ retry, breaker: { failureThreshold: 1 } })
      yield* runOut(resilience.execute(call), "10 seconds")
      const { elapsed, exit } = yield* runOut(resilience.execute(call), "10 seconds")
      assert.strictEqual(errorOf(exit)._tag, "CircuitOpen")
      assert.deepStrictEqual([yield* calls, Duration.toMillis(elapsed)], [3, 0])
    })
  )

  test(
    "a call that a retry rescues is a success for the breaker",
    Effect.gen(function*() {
      const { call } = yield* script(3)
      const resilience = yield* make({ retry, breaker: { failureThreshold: 1 } })
      assert.deepStrictEqual((yield* runOut(resilience.execute(call))).exit, Exit.succeed(3))
      assert.deepInclude(yield* resilience.breaker!.snapshot, { successCount: 1, failureCount: 0 })
    })
  )

  test(
    "[K-15] a service that hangs opens the circuit, since attempts are cut inside the breaker",
    Effect.gen(function*() {
      const resilience = yield* make({ deadline: "1 second", breaker: { failureThreshold: 3 } })
      let calls = 0
      const hung = Effect.suspend(() => {
        calls++
        return Effect.never
      })
      for (let n = 0; n < 50; n++) {
        const fiber = yield* Effect.forkChild(Effect.exit(resilience.execute(hung)), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.isDefined(fiber.pollUnsafe())
      }
      assert.strictEqual(calls, 3)
      assert.strictEqual(yield* resilience.breaker!.state, "OPEN")
    })
  )

  test(
    "[K-15] the deadline bounds attempts and delays together",
    Effect.gen(function*() {
      const resilience = yield* make({ deadline: "5 seconds", attemptTimeout: "2 seconds", retry, breaker: {} })
      const { elapsed, exit } = yield* runOut(resilience.execute(Effect.never))
      const error = exhausted(exit)
      assert.deepStrictEqual([error.stoppedBy, error.attempts.length], ["deadline", 2])
      assert.strictEqual(Duration.toSeconds(elapsed), 5)
    })
  )

  test(
    "without retries the attempt timeout or the deadline cuts, whichever is sooner, as a typed error",
    Effect.gen(function*() {
      const attempt = yield* make({ attemptTimeout: "2 seconds", deadline: "5 seconds" })
      const call = yield* make({ deadline: "3 seconds" })
      const first = yield* runOut(attempt.execute(Effect.never))
      const second = yield* runOut(call.execute(Effect.never))
      assert.deepInclude(errorOf(first.exit), { _tag: "DeadlineExceeded", limit: "attempt" })
      assert.deepInclude(errorOf(second.exit), { _tag: "DeadlineExceeded", limit: "call" })
      assert.deepStrictEqual([first, second].map(({ elapsed }) => Duration.toSeconds(elapsed)), [2, 3])
    })
  )

  test(
    "an outer deadline that is sooner is the one that counts",
    Effect.gen(function*() {
      const resilience = yield* make({ deadline: "30 seconds", retry })
      const { elapsed } = yield* runOut(Deadline.within(resilience.execute(Effect.never), "2 seconds"))
      assert.strictEqual(Duration.toSeconds(elapsed), 2)
    })
  )

  test(
    "[K-15] cuts inside the breaker at a deadline around it too, with retries and without",
    Effect.gen(function*() {
      for (const options of [{ retry }, {}] satisfies Array<Resilience.Options>) {
        const resilience = yield* Resilience.make("around", { ...options, breaker: { failureThreshold: 2 } })
        const call = Deadline.within(resilience.execute(Effect.never), "1 second")
        yield* runOut(call, "1 second")
        yield* runOut(call, "1 second")
        assert.strictEqual(yield* resilience.breaker!.state, "OPEN")
        yield* resilience.breaker!.reset
      }
    })
  )

  test(
    "[K-15] ends exactly at the deadline with detach, whatever the finalizers do, and the breaker still counts it",
    Effect.gen(function*() {
      const hung = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 hour"))
      const resilience = yield* make({ deadline: "1 second", detach: true, breaker: { failureThreshold: 1 } })
      const { elapsed } = yield* runOut(resilience.execute(hung))
      assert.deepStrictEqual([Duration.toSeconds(elapsed), yield* resilience.breaker!.state], [1, "OPEN"])
    })
  )

  test(
    "[K-17] shares a retry budget between services",
    Effect.gen(function*() {
      const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
      const one = yield* make({ retry: { ...retry, budget } })
      const other = yield* Resilience.make("mail", { retry: { ...retry, budget } })
      const { call, calls } = yield* script()
      yield* Effect.all([Effect.exit(one.execute(call)), Effect.exit(other.execute(call))], { concurrency: 2 }).pipe(
        runOut
      )
      assert.strictEqual(yield* calls, 3)
    })
  )

  test(
    "[K-17] counts the calls that a spent budget ends, and no others",
    Effect.gen(function*() {
      const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
      const { call } = yield* script()
      const spent = Effect.map(
        Metric.snapshot,
        (metrics) =>
          metrics.filter(({ id }) => id === "keelson_retry_budget_spent_total").map(({ attributes, state }) => [
            attributes,
            state
          ])
      )
      yield* runOut((yield* make({ retry })).execute(call))
      assert.deepStrictEqual(yield* spent, [])
      const resilience = yield* make({ retry: { ...retry, budget } })
      yield* runOut(resilience.execute(call))
      assert.deepStrictEqual(yield* spent, [[{ server: "billing" }, { count: 1, incremental: true }]])
    })
  )

  test(
    "retries, failures and their codes are counted by the name of the service",
    Effect.gen(function*() {
      const { call } = yield* script()
      const resilience = yield* make({ retry })
      yield* runOut(resilience.execute(call))
      const counted = (yield* Metric.snapshot).map(({ attributes, id, state }) => [id, attributes, state])
      assert.deepStrictEqual(counted, [
        ["keelson_retry_attempts_total", { server: "billing" }, { count: 2, incremental: true }],
        ["keelson_errors_total", { server: "billing", error_code: "INT-002", category: "INTERNAL" }, {
          count: 1,
          incremental: true
        }]
      ])
    })
  )

  test(
    "hands the options of a call to the retry and to the breaker",
    Effect.gen(function*() {
      const { call, calls } = yield* script()
      const resilience = yield* make({ retry, breaker: { failureThreshold: 1 } })
      const told: Array<number> = []
      yield* runOut(resilience.execute(call, {
        onRetry: ({ attempt }) => {
          told.push(attempt)
        },
        while: (error) => error.call < 2,
        ignore: (error) => error._tag === "Flaky"
      }))
      assert.deepStrictEqual([told, yield* calls, yield* resilience.breaker!.state], [[1], 2, "CLOSED"])
    })
  )

  test(
    "http: one policy for a client, with retries by status and a breaker that counts what is left",
    Effect.gen(function*() {
      let calls = 0
      const client = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(null, { status: ++calls > 6 ? 200 : 503 })))
      )
      const resilience = yield* make({ retry, breaker: { failureThreshold: 2 } })
      const get = runOut(resilience.http(client).get("http://billing.test/"), "5 seconds")
      assert.strictEqual(errorOf((yield* get).exit)._tag, "RetryExhausted")
      assert.strictEqual(errorOf((yield* get).exit)._tag, "RetryExhausted")
      assert.deepStrictEqual([errorOf((yield* get).exit)._tag, calls], ["CircuitOpen", 6])
    })
  )

  test(
    "a retry that is disabled makes one attempt, and fails as one that is used up",
    Effect.gen(function*() {
      const { call, calls } = yield* script()
      const resilience = yield* make({ retry: { ...retry, enabled: false } })
      const { exit } = yield* runOut(resilience.execute(call))
      assert.deepStrictEqual([exhausted(exit).attempts.length, yield* calls], [1, 1])
    })
  )

  test(
    "http: hands classify and ignore to the breaker",
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 500 })))
      )
      const resilience = yield* make({ breaker: { failureThreshold: 1 } })
      const http = resilience.http(client, { classify: () => Breaker.success })
      yield* http.get("http://billing.test/")
      assert.deepInclude(yield* resilience.breaker!.snapshot, { state: "CLOSED", successCount: 1 })
    })
  )

  test(
    "http: without retries every response passes, and a server error counts against the service",
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 500 })))
      )
      const resilience = yield* make({ breaker: { failureThreshold: 1 } })
      const http = resilience.http(client)
      assert.strictEqual((yield* http.get("http://billing.test/")).status, 500)
      assert.strictEqual((yield* Effect.flip(http.get("http://billing.test/")))._tag, "CircuitOpen")
    })
  )
})
