import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Data, Duration, Effect, Exit, Fiber, Metric, Random, Ref, Result, Schedule } from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { type Configuration, Deadline, KeelsonError, Metrics, Retry, RetryBudget, RetryPolicy } from "../src/index.ts"

class Flaky extends Data.TaggedError("Flaky")<{ readonly call: number }> {}

/** Fails until the given call, and counts. */
const script = (succeedsOn = Infinity) =>
  Effect.map(Ref.make(0), (calls) => ({
    calls: Ref.get(calls),
    call: Effect.flatMap(
      Ref.updateAndGet(calls, (n) => n + 1),
      (n) => n >= succeedsOn ? Effect.succeed(`value ${n}`) : Effect.fail(new Flaky({ call: n }))
    )
  }))

const seconds = (maxAttempts: number) =>
  RetryPolicy.make({ maxAttempts, strategy: "fixed", initialDelay: "1 second", jitter: "none" })

describe("Retry", () => {
  describe("attempts", () => {
    it.effect("[S0-10] makes one call and no delay where maxAttempts is 1", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const { elapsed, exit } = yield* runOut(Retry.retry(call, seconds(1)))
        assert.strictEqual(exhausted(exit).stoppedBy, "attempts")
        assert.deepStrictEqual([yield* calls, Duration.toMillis(elapsed)], [1, 0])
      }))

    it.effect("[S3-20] counts every call: 3 attempts are 2 delays, and the error says so and keeps its cause", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const { elapsed, exit } = yield* runOut(Retry.retry(call, seconds(3)))
        const error = exhausted(exit)
        assert.deepStrictEqual([yield* calls, Duration.toSeconds(elapsed)], [3, 2])
        assert.include(error.message, "after 3 attempts")
        assert.deepStrictEqual(error.error, new Flaky({ call: 3 }))
        assert.instanceOf(error.cause, Error)
      }))

    it.effect("makes one attempt where the policy is not enabled", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        yield* runOut(Retry.retry(call, RetryPolicy.make({ enabled: false })))
        assert.strictEqual(yield* calls, 1)
      }))

    it.effect("returns the value of the first attempt that succeeds, in both forms of the call", () =>
      Effect.gen(function*() {
        const first = yield* script(3)
        const second = yield* script(3)
        const policy = seconds(5)
        assert.deepStrictEqual((yield* runOut(Retry.retry(first.call, policy))).exit, Exit.succeed("value 3"))
        assert.deepStrictEqual((yield* runOut(second.call.pipe(Retry.retry(policy)))).exit, Exit.succeed("value 3"))
      }))

    it.effect("does not retry a defect", () =>
      Effect.gen(function*() {
        let calls = 0
        const call = Effect.suspend(() => {
          calls++
          return Effect.die("defect")
        })
        const { exit } = yield* runOut(Retry.retry(call, seconds(3)))
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual(calls, 1)
      }))
  })

  describe("which errors", () => {
    it.effect("[S3-21] fails with the original error after one call where `while` says no", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const { exit } = yield* runOut(Retry.retry(call, seconds(3), { while: () => false }))
        assert.deepStrictEqual(errorOf(exit), new Flaky({ call: 1 }))
        assert.strictEqual(yield* calls, 1)
      }))

    it.effect("fails with an error that is turned down later, as it is", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const { exit } = yield* runOut(Retry.retry(call, seconds(5), { while: (error) => error.call < 3 }))
        assert.deepStrictEqual(errorOf(exit), new Flaky({ call: 3 }))
        assert.strictEqual(yield* calls, 3)
      }))

    it.effect("[S0-10] by default retries codes that the catalogue calls retryable, and no others", () =>
      Effect.gen(function*() {
        const calls: Record<string, number> = {}
        for (const code of ["NETWORK_ERROR", "RATE_LIMITED", "TIMEOUT", "INVALID_CONFIG", "TOKEN_EXPIRED"] as const) {
          calls[code] = 0
          const call = Effect.suspend(() => {
            calls[code]!++
            return Effect.fail(KeelsonError.make({ code }))
          })
          yield* runOut(Retry.retry(call, seconds(2)))
        }
        assert.deepStrictEqual(calls, {
          NETWORK_ERROR: 2,
          RATE_LIMITED: 2,
          TIMEOUT: 2,
          INVALID_CONFIG: 1,
          TOKEN_EXPIRED: 1
        })
      }))

    it.effect("narrows the error type by a refinement", () =>
      Effect.gen(function*() {
        const call: Effect.Effect<string, Flaky | Cause.TimeoutError> = Effect.fail(new Flaky({ call: 1 }))
        const isFlaky = (error: Flaky | Cause.TimeoutError): error is Flaky => error._tag === "Flaky"
        const retried: Effect.Effect<string, Cause.TimeoutError | Retry.RetryExhausted<Flaky>> = Retry.retry(
          call,
          seconds(2),
          { while: isFlaky }
        )
        const { exit } = yield* runOut(retried)
        assert.strictEqual(errorOf(exit)._tag, "RetryExhausted")
      }))
  })

  describe("history", () => {
    it.effect("[K-16] holds number, start, duration, delay and error of every attempt, and why it stopped", () =>
      Effect.gen(function*() {
        const { call } = yield* script()
        yield* TestClock.adjust("1 hour")
        const slow = Effect.delay(call, "250 millis")
        const error = exhausted((yield* runOut(Retry.retry(slow, seconds(3)))).exit)
        assert.strictEqual(error.stoppedBy, "attempts")
        assert.deepStrictEqual(
          error.attempts.map((
            { delay, duration, number, start }
          ) => [number, ...[start, duration, delay].map((d) => Duration.toMillis(d))]),
          [[1, 0, 250, 1000], [2, 1250, 250, 1000], [3, 2500, 250, 0]]
        )
        assert.deepStrictEqual(error.attempts.map((attempt) => attempt.error.name), ["Flaky", "Flaky", "Flaky"])
      }))

    it.effect("[S0-07] [S2-13] gives value or error, attempts, time spent and the operation as a value", () =>
      Effect.gen(function*() {
        const good = yield* script(3)
        const bad = yield* script()
        const policy = seconds(4)
        const success = yield* runOut(Retry.outcome(good.call, policy, { operation: "get_scoped_token" }))
        const failure = yield* runOut(Retry.outcome(bad.call, policy))
        assert.deepStrictEqual(
          Exit.map(success.exit, ({ elapsed, ...rest }) => [rest, Duration.toSeconds(elapsed)]),
          Exit.succeed([{
            operation: "get_scoped_token",
            success: true,
            result: Result.succeed("value 3"),
            attempts: 3
          }, 2])
        )
        assert.deepStrictEqual(
          Exit.map(failure.exit, ({ attempts, result, success }) => [attempts, result, success]),
          Exit.succeed([4, Result.fail(new Flaky({ call: 4 })), false])
        )
      }))

    it.effect("[S3-22] tells onRetry before each retry, with the attempt's number from 1, error and delay", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const told: Array<unknown> = []
        yield* runOut(Retry.retry(call, seconds(3), {
          onRetry: ({ attempt, delay, error }) =>
            Effect.map(calls, (made) => told.push([attempt, made, error, Duration.toMillis(delay)]))
        }))
        assert.deepStrictEqual(told, [
          [1, 1, new Flaky({ call: 1 }), 1000],
          [2, 2, new Flaky({ call: 2 }), 1000]
        ])
      }))

    it.effect("counts retries by server, and none without a name", () =>
      Effect.gen(function*() {
        const { call } = yield* script()
        yield* runOut(Retry.retry(call, seconds(3), { onRetry: () => {} }))
        yield* runOut(Retry.retry(call, seconds(3), { server: "billing" }))
        const retries = (yield* Metric.snapshot).filter(({ id }) => id === "keelson_retry_attempts_total")
        assert.deepStrictEqual(retries.map(({ attributes, state }) => [attributes, state]), [
          [{ server: "billing" }, { count: 2, incremental: true }]
        ])
      }).pipe(Effect.provide(Metrics.layerIsolated)))
  })

  it.effect("[S2-25] with a seed, the delays are the same every time, and others with another", () =>
    Effect.gen(function*() {
      const delays = (seed: string) =>
        Effect.gen(function*() {
          const { call } = yield* script()
          const { exit } = yield* runOut(Random.withSeed(Retry.retry(call, RetryPolicy.tokenGuard), seed))
          return exhausted(exit).attempts.map(({ delay }) => Duration.toMillis(delay))
        })
      assert.deepStrictEqual(yield* delays("one"), yield* delays("one"))
      assert.notDeepEqual(yield* delays("one"), yield* delays("two"))
    }))

  it.effect("[S2-12] classifies errors of an HttpClient: transport, server error and time-out again, a refusal not", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("http://discovery.test/")
      const status = (code: number) =>
        new HttpClientError.StatusCodeError({
          request,
          response: HttpClientResponse.fromWeb(request, new Response(null, { status: code }))
        })
      const calls = (error: unknown) =>
        Effect.map(
          runOut(Retry.outcome(Effect.fail(error), seconds(3))),
          ({ exit }) => Exit.isSuccess(exit) ? exit.value.attempts : 0
        )
      const http = (reason: HttpClientError.HttpClientErrorReason) =>
        calls(new HttpClientError.HttpClientError({ reason }))
      assert.strictEqual(yield* http(new HttpClientError.TransportError({ request })), 3)
      assert.strictEqual(yield* http(status(503)), 3)
      assert.strictEqual(yield* calls(new Cause.TimeoutError()), 3)
      assert.strictEqual(yield* http(status(404)), 1)
      assert.strictEqual(yield* http(new HttpClientError.InvalidUrlError({ request })), 1)
    }))

  describe("a schedule of its own", () => {
    it.effect("[K-25] takes any Schedule and keeps history, attempts and Effect's own retry working", () =>
      Effect.gen(function*() {
        const schedule = Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 }))
        const ours = yield* script()
        const theirs = yield* script()
        const { elapsed, exit } = yield* runOut(
          Retry.retry(ours.call, RetryPolicy.make({ maxAttempts: 9, schedule }))
        )
        yield* runOut(Effect.retry(theirs.call, schedule))
        assert.strictEqual(exhausted(exit).stoppedBy, "schedule")
        assert.deepStrictEqual([yield* ours.calls, yield* theirs.calls, Duration.toSeconds(elapsed)], [3, 3, 4])
      }))

    it.effect("counts the time of the schedule on the monotonic clock, in milliseconds", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const schedule = Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "2500 millis" }))
        yield* runOut(Retry.retry(call, RetryPolicy.make({ maxAttempts: 9, schedule })))
        assert.strictEqual(yield* calls, 4)
      }))

    it.effect("takes a negative delay for none", () =>
      Effect.gen(function*() {
        const { call } = yield* script()
        const schedule = Schedule.spaced("1 second").pipe(
          Schedule.modifyDelay(() => Effect.succeed(Duration.seconds(-5)))
        )
        const { exit } = yield* runOut(Retry.retry(call, RetryPolicy.make({ maxAttempts: 2, schedule })))
        assert.isTrue(Duration.isZero(exhausted(exit).attempts[0]!.delay))
      }))

    it.effect("sees the error of each attempt", () =>
      Effect.gen(function*() {
        const { call } = yield* script()
        const seen: Array<number> = []
        const schedule = Schedule.spaced("1 second").pipe(
          Schedule.setInputType<Flaky>(),
          Schedule.tap(({ input }) => Effect.sync(() => seen.push(input.call)))
        )
        yield* runOut(Retry.retry(call, RetryPolicy.make({ maxAttempts: 3, schedule })))
        assert.deepStrictEqual(seen, [1, 2])
      }))
  })

  describe("retryAfter", () => {
    it.effect("[K-14] is a floor, and above its ceiling the retry stops instead of sleeping", () =>
      Effect.gen(function*() {
        const { call } = yield* script()
        const asked = yield* runOut(Retry.retry(call, seconds(2), { retryAfter: () => Duration.seconds(10) }))
        const day = yield* runOut(Retry.retry(call, seconds(2), { retryAfter: () => Duration.seconds(86_400) }))
        assert.isTrue(Duration.between(asked.elapsed, { minimum: Duration.seconds(10), maximum: Duration.seconds(11) }))
        assert.strictEqual(exhausted(day.exit).stoppedBy, "retryAfterTooLong")
        assert.isTrue(Duration.isZero(day.elapsed))
      }))
  })

  describe("deadline", () => {
    it.effect("[K-15] cuts a hanging attempt at the deadline and stops", () =>
      Effect.gen(function*() {
        const policy = RetryPolicy.make({ maxAttempts: 5, deadline: "3 seconds" })
        const { elapsed, exit } = yield* runOut(Retry.retry(Effect.never, policy))
        const error = exhausted(exit)
        assert.deepStrictEqual([error.stoppedBy, Duration.toSeconds(elapsed)], ["deadline", 3])
        assert.deepStrictEqual(error.code, "TIMEOUT")
        assert.deepInclude(error.error, { limit: "call" })
      }))

    it.effect("[K-15] refuses a delay that would not end before the deadline", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const policy = RetryPolicy.make({ ...seconds(9), budget: undefined, deadline: "2500 millis" })
        const { elapsed, exit } = yield* runOut(Retry.retry(call, policy))
        assert.strictEqual(exhausted(exit).stoppedBy, "deadline")
        assert.deepStrictEqual([yield* calls, Duration.toSeconds(elapsed)], [3, 2])
      }))

    it.effect("cuts each attempt after the attempt timeout and goes on", () =>
      Effect.gen(function*() {
        const policy = RetryPolicy.make({ ...seconds(3), budget: undefined, attemptTimeout: "4 seconds" })
        const { elapsed, exit } = yield* runOut(Retry.retry(Effect.never, policy))
        const error = exhausted(exit)
        assert.deepStrictEqual([error.stoppedBy, error.attempts.length, Duration.toSeconds(elapsed)], [
          "attempts",
          3,
          14
        ])
        assert.deepStrictEqual(
          error.error,
          new Deadline.DeadlineExceeded({ limit: "attempt", after: Duration.seconds(4) })
        )
      }))

    it.effect("tells attempts the sooner of its own deadline and the one around it", () =>
      Effect.gen(function*() {
        const left = Effect.map(Deadline.remaining, (remaining) => Duration.toSeconds(remaining ?? Duration.zero))
        const own = Retry.retry(left, RetryPolicy.make({ deadline: "5 seconds" }))
        const timed = Retry.retry(left, RetryPolicy.make({ attemptTimeout: "5 seconds" }))
        assert.deepStrictEqual([yield* own, yield* timed], [5, 0])
        assert.deepStrictEqual([yield* Deadline.within(own, "3 seconds"), yield* Deadline.within(own, "9 seconds")], [
          3,
          5
        ])
        assert.strictEqual(yield* Deadline.within(timed, "3 seconds"), 3)
      }))

    it.effect("names the limit that was reached: the call's where both come together", () =>
      Effect.gen(function*() {
        const limits = (attemptTimeout: Configuration.DurationInput, deadline: Configuration.DurationInput) =>
          Effect.map(
            runOut(Retry.retry(Effect.never, RetryPolicy.make({ maxAttempts: 1, attemptTimeout, deadline }))),
            ({ exit }) => exhausted(exit).error
          )
        assert.deepInclude(yield* limits("1 second", "2 seconds"), { limit: "attempt", after: Duration.seconds(1) })
        assert.deepInclude(yield* limits("2 seconds", "2 seconds"), { limit: "call", after: Duration.seconds(2) })
      }))

    it.effect("keeps to the deadline that is already running around it", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const { elapsed } = yield* runOut(Deadline.within(Retry.retry(call, seconds(9)), "1500 millis"))
        assert.deepStrictEqual([yield* calls, Duration.toSeconds(elapsed)], [2, 1])
      }))

    it.effect("[K-15] waits for the attempt's finalizers, or ends exactly with detach", () =>
      Effect.gen(function*() {
        const hung = Effect.onInterrupt(Effect.never, () => Effect.sleep("10 seconds"))
        const options = { maxAttempts: 1, deadline: "1 second" } as const
        const waits = yield* runOut(Retry.retry(hung, RetryPolicy.make(options)))
        const exact = yield* runOut(Retry.retry(hung, RetryPolicy.make({ ...options, detach: true })))
        assert.deepStrictEqual([waits, exact].map(({ elapsed }) => Duration.toSeconds(elapsed)), [11, 1])
        assert.strictEqual(exhausted(exact.exit).stoppedBy, "deadline")
      }))
  })

  describe("budget", () => {
    it.effect("[K-17] stops where the budget is spent, without a delay", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
        const { call, calls } = yield* script()
        const policy = RetryPolicy.make({ maxAttempts: 5, jitter: "none", initialDelay: "1 second", budget })
        const { elapsed, exit } = yield* runOut(Retry.retry(call, policy))
        assert.strictEqual(exhausted(exit).stoppedBy, "budget")
        assert.deepStrictEqual([yield* calls, Duration.toSeconds(elapsed)], [2, 1])
      }))

    it.effect("[K-17] reserves before the delay: of two that fail together, one place lets one sleep", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
        const { call, calls } = yield* script()
        const policy = RetryPolicy.make({ maxAttempts: 2, jitter: "none", initialDelay: "1 second", budget })
        const both = Effect.all([Effect.exit(Retry.retry(call, policy)), Effect.exit(Retry.retry(call, policy))], {
          concurrency: 2
        })
        yield* runOut(both)
        assert.strictEqual(yield* calls, 3)
      }))

    it.effect("gives the place back where the delay is interrupted", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
        const { call } = yield* script()
        const policy = RetryPolicy.make({ maxAttempts: 2, jitter: "none", initialDelay: "5 seconds", budget })
        const fiber = yield* Effect.forkChild(Retry.retry(call, policy), { startImmediately: true })
        const during = yield* RetryBudget.available(budget)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual([during, yield* RetryBudget.available(budget)], [0, 1])
      }))
  })

  describe("interruption", () => {
    it.effect("[S0-12] ends at once in a delay, as an interruption, with no further attempt", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const fiber = yield* Effect.forkChild(Retry.retry(call, seconds(5)), { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        yield* TestClock.adjust("1 minute")
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.strictEqual(yield* calls, 1)
      }))

    it.effect("[S0-12] makes no call where it is interrupted before the first attempt", () =>
      Effect.gen(function*() {
        const { call, calls } = yield* script()
        const fiber = yield* Effect.forkChild(Retry.retry(call, seconds(5)))
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* calls, 0)
      }))
  })

  it.effect("builds nothing before the first failure: no randomness, no schedule, no sleep", () =>
    Effect.gen(function*() {
      let built = 0
      const schedule = Schedule.fromStep(Effect.sync(() => {
        built++
        return () => Effect.succeed<[number, Duration.Duration]>([0, Duration.zero])
      }))
      const drawn = { nextDoubleUnsafe: () => built++, nextIntUnsafe: () => built++ }
      const policy = RetryPolicy.make({ schedule, attemptTimeout: "1 second" })
      yield* Effect.provideService(Retry.retry(Effect.succeed(1), policy), Random.Random, drawn)
      assert.strictEqual(built, 0)
    }))
})
