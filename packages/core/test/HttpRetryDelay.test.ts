import { assert, describe, it } from "@effect/vitest"
import { runOut, skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Fiber, Metric, Option, Random } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Breaker, BreakerStore, HttpRetry, Metrics, Resilience, Retry, RetryPolicy } from "../src/index.ts"

interface Scripted {
  readonly status: number
  readonly retryAfter?: string
}

/** Answers by a script, then with 200, and notes when each call came. */
const scripted = (...script: ReadonlyArray<Scripted>) => {
  const calls: Array<number> = []
  const client = HttpClient.make((request) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const { retryAfter, status } = script[calls.length] ?? { status: 200 }
      calls.push(now)
      const headers = new Headers(retryAfter === undefined ? {} : { "retry-after": retryAfter })
      return HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
    })
  )
  const gaps = () => calls.slice(1).map((at, index) => at - (calls[index] ?? at))
  return { client, calls, gaps }
}

const every = (delay: `${number} millis`, options?: RetryPolicy.Options & { attemptTimeout?: never }) =>
  RetryPolicy.make({ strategy: "fixed", initialDelay: delay, jitter: "none", ...options, deadline: undefined })

const run = (
  { client }: ReturnType<typeof scripted>,
  policy: RetryPolicy.RetryPolicy,
  options?: HttpRetry.Options
) => runOut(HttpRetry.retry(client, policy, options).get("http://origin.test/"))

const exhausted = (exit: Exit.Exit<unknown, unknown>): Retry.RetryExhausted<unknown> => {
  const error = Option.getOrThrow(Exit.findErrorOption(exit))
  assert.instanceOf(error, Retry.RetryExhausted)
  return error
}

const assertWithin = (actual: number | undefined, least: number, most: number) => {
  assert.isAtLeast(actual ?? -1, least)
  assert.isAtMost(actual ?? -1, most)
}

describe("HttpRetry: delays", () => {
  it.effect("[S0-11] waits for what Retry-After asks in seconds, and at most a tenth more", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503, retryAfter: "7" }, { status: 429, retryAfter: "2" })
      assert.isTrue(Exit.isSuccess((yield* run(origin, every("100 millis"))).exit))
      assertWithin(origin.gaps()[0], 7_000, 7_700)
      assertWithin(origin.gaps()[1], 2_000, 2_200)
    }))

  it.effect("[S0-11] waits for the backoff where that is longer than Retry-After", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503, retryAfter: "7" }, { status: 503, retryAfter: "0" })
      yield* run(origin, every("9000 millis"))
      assert.deepStrictEqual(origin.gaps(), [9_000, 9_000])
    }))

  it.effect("[S0-11] waits until an HTTP date, by the wall clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 10, 20, 12, 0, 0))
      const { clock, skew } = yield* skewedClock
      skew.millis = Duration.toMillis("1 hour")
      const origin = scripted({ status: 503, retryAfter: "Fri, 20 Nov 2026 13:00:05 GMT" })
      yield* Effect.provideService(run(origin, every("100 millis")), Clock.Clock, clock)
      assertWithin(origin.gaps()[0], 5_000, 5_500)
    }))

  it.effect.each(["", "soon", "-5", "Fri, 20 Nov 1970 13:00:05 GMT", "1."])(
    "[S0-06] takes no notice of Retry-After: %s",
    (retryAfter) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2026, 10, 20))
        const origin = scripted({ status: 503, retryAfter })
        yield* run(origin, every("100 millis"))
        assert.deepStrictEqual(origin.gaps(), [100])
      })
  )

  it.effect("[K-14] stops at once where Retry-After is above the ceiling, and says so", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503, retryAfter: "1" }, { status: 503, retryAfter: "86400" })
      const { elapsed, exit } = yield* run(origin, every("100 millis", { maxAttempts: 9 }))
      assert.strictEqual(exhausted(exit).stoppedBy, "retryAfterTooLong")
      assert.strictEqual(origin.calls.length, 2)
      assertWithin(Duration.toMillis(elapsed), 1_000, 1_100)
    }))

  it.effect("[K-14] accepts exactly the ceiling, which is a minute by default", () =>
    Effect.gen(function*() {
      const accepted = scripted({ status: 503, retryAfter: "60" })
      yield* run(accepted, every("100 millis"))
      assertWithin(accepted.gaps()[0], 60_000, 66_000)
      const refused = scripted({ status: 503, retryAfter: "61" })
      assert.strictEqual(exhausted((yield* run(refused, every("100 millis"))).exit).stoppedBy, "retryAfterTooLong")
    }))

  it.effect("[S0-11] waits for the ceiling where the policy clamps", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503, retryAfter: "86400" })
      yield* run(origin, every("100 millis", { retryAfterBeyond: "clamp", retryAfterCeiling: "30 seconds" }))
      assertWithin(origin.gaps()[0], 30_000, 33_000)
    }))

  it.effect("sends clients with the same Retry-After back at different times", () =>
    Effect.gen(function*() {
      const gaps = yield* Effect.forEach(["a", "b", "c"], (seed) => {
        const origin = scripted({ status: 503, retryAfter: "10" })
        return Effect.as(Random.withSeed(run(origin, every("100 millis")), seed), origin).pipe(
          Effect.map(({ gaps }) => gaps()[0])
        )
      })
      assert.strictEqual(new Set(gaps).size, 3)
    }))

  it.effect("stops where Retry-After leaves no time before the deadline", () =>
    Effect.gen(function*() {
      const { calls, client } = scripted({ status: 503, retryAfter: "10" })
      const policy = RetryPolicy.make({ initialDelay: "0 millis", jitter: "none", deadline: "5 seconds" })
      const { elapsed, exit } = yield* runOut(HttpRetry.retry(client, policy).get("http://origin.test/"))
      assert.strictEqual(exhausted(exit).stoppedBy, "deadline")
      assert.deepStrictEqual([calls.length, Duration.toMillis(elapsed)], [1, 0])
    }))

  it.effect("takes the policy's own schedule for its delays, and Retry-After as a floor for it", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503 }, { status: 503, retryAfter: "3" })
      yield* run(origin, RetryPolicy.make({ schedule: RetryPolicy.toSchedule(every("500 millis")) }))
      assert.strictEqual(origin.gaps()[0], 500)
      assertWithin(origin.gaps()[1], 3_000, 3_300)
    }))

  it.effect("tells onRetry before each delay, and counts retries by server", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503 }, { status: 502 })
      const told: Array<readonly [number, number]> = []
      yield* run(origin, every("100 millis"), {
        server: "origin",
        onRetry: ({ attempt, delay }) => void told.push([attempt, Duration.toMillis(delay)])
      })
      assert.deepStrictEqual(told, [[1, 100], [2, 100]])
      const found = (yield* Metric.snapshot).find(({ id }) => id === "keelson_retry_attempts_total")
      assert.deepInclude(found, { attributes: { server: "origin" } })
      assert.deepInclude(found?.state, { count: 2 })
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("works the same as a method of a Resilience, with its breaker outside the retry", () =>
    Effect.gen(function*() {
      const origin = scripted(...Array.from({ length: 6 }, () => ({ status: 503, retryAfter: "2" })))
      const resilience = yield* Resilience.make("origin", {
        retry: { initialDelay: "100 millis", jitter: "none" },
        breaker: { failureThreshold: 2 }
      })
      const call = Effect.exit(resilience.http(origin.client).get("http://origin.test/"))
      const fiber = yield* Effect.forkChild(Effect.all([call, call, call]))
      yield* TestClock.adjust("20 seconds")
      const [first, second, third] = yield* Fiber.join(fiber)
      assert.deepStrictEqual([first, second].map((exit) => exhausted(exit).stoppedBy), ["attempts", "attempts"])
      assert.instanceOf(Option.getOrThrow(Exit.findErrorOption(third)), Breaker.CircuitOpen)
      assert.strictEqual(origin.calls.length, 6)
      assertWithin(origin.gaps()[0], 2_000, 2_200)
    }).pipe(Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))

  it.effect("gives a response with a retryable status as it is, where a Resilience has no retry", () =>
    Effect.gen(function*() {
      const origin = scripted({ status: 503 })
      const resilience = yield* Resilience.make("origin", { attemptTimeout: "1 second" })
      const response = yield* resilience.http(origin.client).get("http://origin.test/")
      assert.deepStrictEqual([response.status, origin.calls.length], [503, 1])
    }).pipe(Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))
})
