/** The edges of a retried call: how many calls, the last error, and the deadline that holds. */
import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Data, Duration, Effect } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { BreakerStore, Deadline, HttpRetry, Metrics, Resilience, Retry, RetryPolicy } from "../src/index.ts"

class Numbered extends Data.TaggedError("Numbered")<{ readonly message: string }> {}

/** Fails each time with another error. */
const numbered = () => {
  let calls = 0
  return Effect.suspend(() => Effect.fail(new Numbered({ message: `failure ${++calls}` })))
}

const fixed = (options: RetryPolicy.Options) =>
  RetryPolicy.make({ strategy: "fixed", initialDelay: "1 second", jitter: "none", ...options })
const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 second", jitter: "none" } as const

const stores = Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])

const served = (...statuses: ReadonlyArray<number>) => {
  let calls = 0
  const client = HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(null, { status: statuses[calls++] ?? 200 })))
  )
  return { client, calls: () => calls }
}

describe("the edges of a retried call", () => {
  it.effect("[K-28 J14] [S3-20] [K-16] the cause is the last error, and each attempt of the history has its own", () =>
    Effect.gen(function*() {
      const error = exhausted((yield* runOut(Retry.retry(numbered(), fixed({ maxAttempts: 3 })))).exit)
      assert.instanceOf(error.error, Numbered)
      assert.strictEqual(error.error instanceof Numbered && error.error.message, "failure 3")
      assert.strictEqual(error.cause.message, "failure 3")
      assert.deepStrictEqual(error.attempts.map((attempt) => attempt.error.message), [
        "failure 1",
        "failure 2",
        "failure 3"
      ])
      assert.deepStrictEqual(
        error.attempts.map((
          { delay, number, start }
        ) => [number, Duration.toSeconds(start), Duration.toSeconds(delay)]),
        [
          [1, 0, 1],
          [2, 1, 1],
          [3, 2, 0]
        ]
      )
    }))

  it.effect("[K-28 J14] the cause is the last error too where time, budget or method end the retries", () =>
    Effect.gen(function*() {
      const timed = exhausted((yield* runOut(Retry.retry(numbered(), fixed({ deadline: "1500 millis" })))).exit)
      assert.deepStrictEqual([timed.stoppedBy, timed.cause.message], ["deadline", "failure 2"])
      const slow = Effect.andThen(Effect.sleep("400 millis"), numbered())
      const late = exhausted(
        (yield* runOut(Retry.retry(slow, fixed({ attemptTimeout: "100 millis", maxAttempts: 2 })))).exit
      )
      assert.deepStrictEqual([late.error, late.code], [late.error, "TIMEOUT"])
      assert.include(late.cause.message, "The attempt did not end within")
    }))

  it.effect("[K-28 J15] Resilience.http sends a request once, and each attempt once", () =>
    Effect.gen(function*() {
      for (
        const options of [{}, { retry }, { retry, breaker: {}, deadline: "1 minute" }] satisfies Array<
          Resilience.Options
        >
      ) {
        const { http } = yield* Resilience.make("billing", options)
        const once = served(200)
        yield* http(once.client).get("http://billing.test/")
        assert.strictEqual(once.calls(), 1)
      }
      const { http } = yield* Resilience.make("billing", { retry })
      const twice = served(503)
      yield* runOut(http(twice.client).get("http://billing.test/"))
      assert.strictEqual(twice.calls(), 2)
      const always = served(503, 503, 503, 503, 503, 503)
      yield* runOut(http(always.client).get("http://billing.test/"))
      assert.strictEqual(always.calls(), 3)
      const plain = served(503, 503)
      yield* runOut(HttpRetry.retry(plain.client, fixed({ maxAttempts: 2 })).get("http://billing.test/"))
      assert.strictEqual(plain.calls(), 2)
    }).pipe(Effect.scoped, stores))

  const exact: ReadonlyArray<
    readonly [string, (call: Effect.Effect<never, Numbered>) => Effect.Effect<unknown, unknown>]
  > = [
    ["of the policy", (call) => Retry.retry(call, fixed({ maxAttempts: 5, deadline: "1 second" }))],
    ["around the call", (call) => Deadline.within(Retry.retry(call, fixed({ maxAttempts: 5 })), "1 second")]
  ]
  for (const [which, run] of exact) {
    it.effect(`[K-28 J15] a delay that ends exactly at the deadline ${which} is not slept`, () =>
      Effect.gen(function*() {
        const { elapsed, exit } = yield* runOut(run(numbered()))
        assert.strictEqual(exhausted(exit).stoppedBy, "deadline")
        assert.strictEqual(Duration.toMillis(elapsed), 0)
      }))
  }

  it.effect("[K-28 J15] a delay that ends a millisecond before the deadline is slept", () =>
    Effect.gen(function*() {
      const { elapsed, exit } = yield* runOut(
        Retry.retry(numbered(), fixed({ maxAttempts: 5, deadline: "1001 millis" }))
      )
      assert.deepStrictEqual([exhausted(exit).attempts.length, Duration.toMillis(elapsed)], [2, 1000])
    }))

  it.effect("[K-28 J22] an error about which nothing is known is not retried over HTTP", () =>
    Effect.gen(function*() {
      let calls = 0
      const failing = HttpClient.transformResponse(served().client, () =>
        Effect.suspend(() => {
          calls++
          return Effect.fail(new Numbered({ message: "unknown" }))
        }))
      const bare = yield* runOut(HttpRetry.retry(failing, fixed({ maxAttempts: 3 })).get("http://billing.test/"))
      assert.instanceOf(errorOf(bare.exit), Numbered)
      const { http } = yield* Resilience.make("billing", { retry })
      const guarded = yield* runOut(http(failing).get("http://billing.test/"))
      assert.instanceOf(errorOf(guarded.exit), Numbered)
      assert.strictEqual(calls, 2)
    }).pipe(Effect.scoped, stores))

  it.effect("[K-28 J22] the sooner of two deadlines holds, wherever the later one is set", () =>
    Effect.gen(function*() {
      const { execute } = yield* Resilience.make("plain", { deadline: "30 seconds" })
      const retrying = yield* Resilience.make("retrying", { deadline: "30 seconds", retry })
      const client = HttpClient.transformResponse(served().client, Effect.tap(() => seen))
      const seconds: Array<number | undefined> = []
      const seen = Effect.map(Deadline.remaining, (left) => {
        seconds.push(left === undefined ? undefined : Duration.toSeconds(left))
      })
      const inner: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        Deadline.within(seen, "10 seconds"),
        execute(seen),
        retrying.execute(seen),
        retrying.http(client).get("http://billing.test/"),
        Retry.retry(seen, fixed({ deadline: "20 seconds" })),
        HttpRetry.retry(client, fixed({ deadline: "20 seconds" })).get("http://billing.test/")
      ]
      for (const call of inner) yield* Deadline.within(call, "2 seconds")
      assert.deepStrictEqual(seconds, inner.map(() => 2))
      seconds.length = 0
      for (const call of inner) yield* Deadline.within(call, "1 hour")
      assert.deepStrictEqual(seconds, [10, 30, 30, 30, 20, 20])
    }).pipe(Effect.scoped, stores))
})
