import { assert, describe, it } from "@effect/vitest"
import { runOut } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Option } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import {
  Configuration,
  HttpRetry,
  KeelsonError,
  ResiliencePolicy,
  Retry,
  RetryBudget,
  RetryDescription,
  RetryPolicy
} from "../src/index.ts"

const network = (code: "NETWORK_ERROR" | "RATE_LIMITED" | "TIMEOUT") => new KeelsonError.NetworkError({ code })

/** Fails with the errors in turn, and notes when each call came. */
const failing = <E>(...errors: ReadonlyArray<E>) => {
  const calls: Array<number> = []
  const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const error = errors[calls.length]
    calls.push(now)
    return error === undefined ? Effect.succeed("done") : Effect.fail(error)
  })
  return { call, gaps: () => calls.slice(1).map((at, index) => at - calls[index]!) }
}

const base = { maxAttempts: 9, initialDelay: "1 second", maxDelay: "3 seconds", jitter: "none" } as const

describe("Classes of failures", () => {
  it.effect("[K-32] each has its own delay, which grows with the attempts as that of the policy does", () =>
    Effect.gen(function*() {
      const { call, gaps } = failing(
        network("NETWORK_ERROR"),
        network("RATE_LIMITED"),
        network("TIMEOUT"),
        network("RATE_LIMITED"),
        network("NETWORK_ERROR")
      )
      const policy = RetryPolicy.make({
        ...base,
        throttled: { initialDelay: "10 seconds", maxDelay: "1 minute" },
        timedOut: { maxDelay: "2 seconds" }
      })
      yield* runOut(Retry.retry(call, policy))
      assert.deepStrictEqual(gaps(), [1_000, 20_000, 2_000, 60_000, 3_000])
    }))

  it.effect("[K-32] without them every failure is treated alike", () =>
    Effect.gen(function*() {
      const { call, gaps } = failing(network("RATE_LIMITED"), network("TIMEOUT"), network("NETWORK_ERROR"))
      yield* runOut(Retry.retry(call, RetryPolicy.make(base)))
      assert.deepStrictEqual(gaps(), [1_000, 2_000, 3_000])
    }))

  it.effect("[K-32] an attempt that is cut is timed out, and its class can be decided by the caller", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({
        ...base,
        maxAttempts: 2,
        attemptTimeout: "1 second",
        timedOut: { maxDelay: "9 seconds", initialDelay: "7 seconds" }
      })
      const { elapsed } = yield* runOut(Retry.retry(Effect.never, policy))
      assert.strictEqual(Duration.toSeconds(elapsed), 9)
      const { call, gaps } = failing({ name: "SlowDown" })
      const throttled = RetryPolicy.make({ ...base, throttled: { initialDelay: "2 seconds" } })
      yield* runOut(Retry.retry(call, throttled, { failureClass: () => "throttled" }))
      assert.deepStrictEqual(gaps(), [2_000])
    }))

  it.effect("[K-32] a 429, and any response that asks to wait, is throttled; a 504 is timed out", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<readonly [number, Record<string, string>]> = [
        [429, {}],
        [503, {}],
        [503, { "retry-after": "1" }],
        [503, { "retry-after": "0" }],
        [504, {}]
      ]
      const calls: Array<number> = []
      const client = HttpClient.make((request) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const [status, headers] = answers[calls.length] ?? [200, {}]
          calls.push(now)
          return HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
        })
      )
      const policy = RetryPolicy.make({
        maxAttempts: 9,
        strategy: "fixed",
        initialDelay: "1 second",
        jitter: "none",
        throttled: { initialDelay: "20 seconds" },
        timedOut: { initialDelay: "5 seconds" }
      })
      yield* runOut(HttpRetry.retry(client, policy).get("http://origin.test/"))
      assert.deepStrictEqual(calls.slice(1).map((at, index) => at - calls[index]!), [
        20_000,
        1_000,
        20_000,
        1_000,
        5_000
      ])
    }))

  it.effect("[K-32] each takes its own cost from the budget, and gives it back where the delay is interrupted", () =>
    Effect.gen(function*() {
      const retriesOf = (code: "NETWORK_ERROR" | "RATE_LIMITED" | "TIMEOUT") =>
        Effect.gen(function*() {
          const budget = RetryBudget.make({ ratio: 0, minPerSecond: 1, window: "10 seconds" })
          const policy = RetryPolicy.make({
            maxAttempts: 50,
            initialDelay: "0 millis",
            budget,
            throttled: { cost: 0.4 },
            timedOut: { cost: 3 }
          })
          const exit = yield* Effect.exit(Retry.retry(Effect.fail(network(code)), policy))
          const error = Option.getOrThrow(Exit.findErrorOption(exit))
          assert.instanceOf(error, Retry.RetryExhausted)
          assert.strictEqual(error.stoppedBy, "budget")
          return error.attempts.length - 1
        })
      assert.deepStrictEqual(
        [yield* retriesOf("NETWORK_ERROR"), yield* retriesOf("RATE_LIMITED"), yield* retriesOf("TIMEOUT")],
        [10, 25, 3]
      )
      const budget = RetryBudget.make({ ratio: 0, minPerSecond: 1, window: "10 seconds" })
      const policy = RetryPolicy.make({ initialDelay: "1 minute", jitter: "none", budget, throttled: { cost: 4 } })
      const fiber = yield* Effect.forkChild(Retry.retry(Effect.fail(network("RATE_LIMITED")), policy), {
        startImmediately: true
      })
      assert.strictEqual(yield* RetryBudget.available(budget), 6)
      fiber.interruptUnsafe()
      yield* Effect.yieldNow
      assert.strictEqual(yield* RetryBudget.available(budget), 10)
    }))

  it.effect("[K-32] can be given in a file, for the retries of a resilience policy too", () =>
    Effect.gen(function*() {
      const retry = { throttled: { initialDelay: "5 seconds", cost: 0.5 }, timedOut: {} }
      const data = yield* Configuration.decode(RetryPolicy.Data)(retry)
      assert.deepStrictEqual(data.throttled, { initialDelay: Duration.seconds(5), cost: 0.5 })
      assert.deepStrictEqual(data.timedOut, { cost: 1 })
      assert.deepStrictEqual(ResiliencePolicy.make({ retry: { throttled: { cost: 2 } } }).retry?.throttled, { cost: 2 })
    }))

  it.each(
    [
      [
        { maxDelay: "1 second", throttled: { initialDelay: "2 seconds" } },
        "throttled.initialDelay",
        "at most maxDelay"
      ],
      [{ throttled: { maxDelay: "500 millis" } }, "throttled.maxDelay", "at least initialDelay"],
      [{ timedOut: { initialDelay: "2 seconds", maxDelay: "1 second" } }, "timedOut.initialDelay", "at most maxDelay"],
      [{ timedOut: { cost: 101 } }, "timedOut.cost", "from 0 to 100"]
    ] as const
  )("[K-32] refuses %o", (options, path, bound) => {
    for (const make of [() => RetryPolicy.make(options), () => ResiliencePolicy.make({ retry: options })]) {
      assert.throws(make, new RegExp(`${path}[^]*${bound}`))
    }
  })

  it.effect("[K-22 K-32] the description has the longest delays that any class may have", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({
        ...base,
        maxAttempts: 3,
        throttled: { initialDelay: "2 seconds", maxDelay: "9 seconds" }
      })
      const { delays, longestDelays } = yield* RetryDescription.describe(policy)
      assert.deepStrictEqual(delays.map(({ max, min }) => [min, max]), [
        [Duration.seconds(1), Duration.seconds(2)],
        [Duration.seconds(2), Duration.seconds(4)]
      ])
      assert.deepStrictEqual(longestDelays, Duration.seconds(6))
    }))
})
