import { assert, describe, it } from "@effect/vitest"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { metric } from "@keelson/testing/observe"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Breaker, Deadline, ErrorCode, KeelsonError, Metrics, RetryPolicy, Throttle } from "../src/index.ts"
import { makeGate } from "../src/internal/retry/gate.ts"
import { RetryExhausted } from "../src/internal/retry/retryExhausted.ts"
import { retryLoop } from "../src/internal/retry/retryLoop.ts"

const policy: Throttle.Policy = { ceiling: Duration.minutes(1), maxWait: Duration.minutes(1), spread: 0.1 }

/** A failure that asks to wait. */
const busy = (retryAfter: Duration.Input) => ({
  code: "RATE_LIMITED" as const,
  retryAfter: Duration.fromInputUnsafe(retryAfter)
})

const errorOf = <E>(exit: Exit.Exit<unknown, E>): E => Option.getOrThrow(Exit.findErrorOption(exit))

/** Calls that note when they were made, in virtual seconds. */
const noted = () => {
  const at: Array<number> = []
  const call = Effect.map(Clock.currentTimeMillis, (now) => void at.push(now / 1000))
  return { at, call }
}

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

const answering = (status: number, headers: Readonly<Record<string, string>> = {}) =>
  HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(null, { status, headers })))
  )

describe("Throttle", () => {
  it.effect("[K-32] holds back all callers after one throttled answer, and lets them go one after the other", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing")
      const { at, call } = noted()
      yield* Effect.exit(throttle.execute(Effect.fail(busy("10 seconds"))))
      const callers = yield* fork(
        Effect.all(Array.from({ length: 50 }, () => throttle.execute(call)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(at, [])
      yield* TestClock.adjust("1001 millis")
      yield* Fiber.join(callers)
      assert.lengthOf(at, 50)
      for (const second of at) assert.isTrue(second >= 10 && second <= 11, `${second}`)
      assert.isAbove(new Set(at).size, 40)
    }))

  it.effect("[K-32] goes on holding back where one of the first is throttled again", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing")
      yield* throttle.pause("10 seconds")
      const { at, call } = noted()
      let calls = 0
      const again = Effect.andThen(
        call,
        Effect.suspend(() => ++calls === 1 ? Effect.fail(busy("20 seconds")) : Effect.void)
      )
      const callers = yield* fork(
        Effect.all(Array.from({ length: 20 }, () => Effect.exit(throttle.execute(again))), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(at, 1)
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(callers)
      assert.lengthOf(at, 20)
      assert.isTrue(at.slice(1).every((second) => second >= at[0]! + 20))
    }))

  it.effect("[K-32] shares the pause by name within the process, until the last one closes", () =>
    Effect.gen(function*() {
      const other = yield* Throttle.make("mail")
      yield* Effect.scoped(Effect.gen(function*() {
        const one = yield* Throttle.make("billing")
        yield* one.pause("10 seconds")
        const two = yield* Effect.scoped(Effect.flatMap(Throttle.make("billing"), ({ remaining }) => remaining))
        assert.deepStrictEqual([two, yield* one.remaining], [Duration.seconds(10), Duration.seconds(10)])
        assert.deepStrictEqual(yield* other.remaining, Duration.zero)
      }))
      const later = yield* Throttle.make("billing")
      assert.deepStrictEqual(yield* later.remaining, Duration.zero)
    }))

  it.effect("[K-32] never makes a pause shorter, nor longer than the ceiling", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing", { ceiling: "30 seconds" })
      yield* throttle.pause("20 seconds")
      yield* throttle.pause("5 seconds")
      assert.deepStrictEqual(yield* throttle.remaining, Duration.seconds(20))
      for (const asked of ["1 day", Duration.infinity] as const) {
        yield* throttle.pause(asked)
        assert.deepStrictEqual(yield* throttle.remaining, Duration.seconds(30))
      }
      yield* throttle.resume
      assert.deepStrictEqual(yield* throttle.remaining, Duration.zero)
    }))

  it.effect("[K-32] rejects at once a call whose deadline comes before the end of the pause", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing")
      yield* throttle.pause("10 seconds")
      const { at, call } = noted()
      const { elapsed, exit } = yield* runOut(Deadline.within(throttle.execute(call), "10 seconds"))
      const error = errorOf(exit)
      assert.instanceOf(error, Throttle.Throttled)
      assert.deepStrictEqual([elapsed, at], [Duration.zero, []])
      assert.deepStrictEqual([error.code, error.server, error.retryAfter], [
        "THROTTLED",
        "billing",
        Duration.seconds(10)
      ])
      assert.deepStrictEqual([Breaker.classify(Exit.fail(error))._tag, ErrorCode.codeInfo.THROTTLED.retryable], [
        "Ignored",
        true
      ])
      assert.deepStrictEqual([error.status, error.details], [503, { server: "billing", retry_after_ms: 10_000 }])
    }))

  it.effect("[K-32] rejects a call that would wait longer than maxWait, also after several pauses", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing", { maxWait: "15 seconds", spread: 0 })
      yield* throttle.pause("15001 millis")
      assert.strictEqual((yield* Effect.flip(throttle.execute(Effect.void)))._tag, "Throttled")
      yield* throttle.resume
      yield* throttle.pause("10 seconds")
      const fiber = yield* fork(Effect.flip(throttle.execute(Effect.void)))
      yield* TestClock.adjust("9 seconds")
      yield* throttle.pause("7 seconds")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Throttled")
    }))

  it.effect("[K-32] ends the wait of a call that is interrupted, and leaves the others alone", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing")
      yield* throttle.pause("10 seconds")
      const { at, call } = noted()
      const [one, two] = [yield* fork(throttle.execute(call)), yield* fork(throttle.execute(call))]
      yield* Fiber.interrupt(one)
      const exit = yield* Fiber.await(one)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(two)
      assert.lengthOf(at, 1)
    }))

  it.effect("[K-32] pauses only for a throttled failure that says how long", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing")
      const asked = { "retry-after": "5" }
      yield* Effect.exit(throttle.execute(Effect.fail(new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }))))
      yield* Effect.exit(throttle.execute(Effect.fail(new KeelsonError.NetworkError({ code: "RATE_LIMITED" }))))
      yield* Effect.exit(throttle.execute(Effect.die(busy("5 seconds"))))
      for (const client of [answering(429), answering(200, asked), answering(301, asked), answering(503)]) {
        yield* throttle.http(client).get("http://origin.test/")
      }
      assert.deepStrictEqual(yield* throttle.remaining, Duration.zero)
      yield* throttle.http(answering(503, asked)).get("http://origin.test/")
      assert.deepStrictEqual(yield* throttle.remaining, Duration.seconds(5))
    }))

  it.effect("[K-32] reads the class and the time of a failure by its options", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("storage")
      const slowDown = Effect.fail({ name: "SlowDown", seconds: 4 })
      const pausedBy = (options?: Throttle.CallOptions<{ readonly name: string; readonly seconds: number }>) =>
        Effect.andThen(Effect.exit(throttle.execute(slowDown, options)), throttle.remaining)
      const retryAfter = ({ seconds }: { readonly seconds: number }) => Duration.seconds(seconds)
      assert.deepStrictEqual(yield* pausedBy(), Duration.zero)
      assert.deepStrictEqual(yield* pausedBy({ retryAfter }), Duration.zero)
      assert.deepStrictEqual(
        yield* pausedBy({ retryAfter, failureClass: ({ name }) => name === "SlowDown" ? "throttled" : "transient" }),
        Duration.seconds(4)
      )
    }))

  it.live("[K-32] sends nothing to a real server that has asked to wait", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin({ status: 429, headers: { "retry-after": "3600" } })
      const throttle = yield* Throttle.make("billing", { maxWait: "0 millis" })
      const client = throttle.http(yield* HttpClient.HttpClient)
      assert.strictEqual((yield* client.get(origin.url)).status, 429)
      const errors = yield* Effect.all(
        Array.from({ length: 10 }, () => Effect.flip(client.post(origin.url))),
        { concurrency: "unbounded" }
      )
      assert.isTrue(errors.every(({ _tag }) => _tag === "Throttled"))
      assert.lengthOf(origin.received, 1)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.effect("[K-32] counts pauses, calls held back and calls rejected, and shows the time left", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make("billing", { maxWait: "10 seconds" })
      const figures = Effect.all([
        metric("throttle_pauses_total", "server=\"billing\""),
        metric("throttle_held_calls_total", "server=\"billing\""),
        metric("throttle_rejections_total", "server=\"billing\""),
        metric("throttle_pause_seconds", "server=\"billing\"")
      ])
      assert.deepStrictEqual(yield* figures, [0, 0, 0, 0])
      yield* throttle.pause("8 seconds")
      yield* throttle.pause("10 seconds")
      const held = yield* fork(throttle.execute(Effect.void))
      assert.deepStrictEqual(yield* figures, [1, 1, 0, 10])
      yield* throttle.pause("20 seconds")
      yield* Effect.exit(throttle.execute(Effect.void))
      assert.deepStrictEqual(yield* figures, [1, 1, 1, 20])
      yield* Fiber.interrupt(held)
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("fails for an option out of its range", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Throttle.make("billing", { spread: 2 }))
      assert.include(error.message, "spread")
    }))

  describe("in a retry", () => {
    it.effect("[K-32] holds the first attempt and every other one back, outside of the attempt's timeout", () =>
      Effect.gen(function*() {
        const gate = yield* makeGate("billing", policy)
        gate.pause(Duration.seconds(10), yield* Clock.monotonicTimeNanos)
        const { at, call } = noted()
        let calls = 0
        const flaky = Effect.andThen(call, Effect.suspend(() => ++calls < 2 ? Effect.fail("busy") : Effect.void))
        const retries = RetryPolicy.make({ initialDelay: "5 seconds", jitter: "none", attemptTimeout: "2 seconds" })
        const pauseAgain = Effect.andThen(
          Effect.sleep("12 seconds"),
          Effect.map(Clock.monotonicTimeNanos, (now) => gate.pause(Duration.seconds(30), now))
        )
        yield* fork(pauseAgain)
        assert.isTrue(Exit.isSuccess((yield* runOut(retryLoop(flaky, retries, { gate }))).exit))
        assert.isTrue(at[0]! >= 10 && at[0]! <= 11)
        assert.isAtLeast(at[1]!, 42)
      }))

    it.effect("[K-32] is what the retry pauses itself, for a failure that it gives up on too", () =>
      Effect.gen(function*() {
        const gate = yield* makeGate("billing", policy)
        const now = yield* Clock.monotonicTimeNanos
        const asking = { gate, retryAfter: (error: ReturnType<typeof busy>) => error.retryAfter, while: () => false }
        yield* Effect.exit(retryLoop(Effect.fail(busy("7 seconds")), RetryPolicy.make(), asking))
        assert.deepStrictEqual(gate.delay(now, 0), Duration.seconds(7))
      }))

    it.effect("[K-32] ends with the last error where the pause is too long for the call", () =>
      Effect.gen(function*() {
        const gate = yield* makeGate("billing", { ...policy, maxWait: Duration.seconds(5) })
        const retries = RetryPolicy.make({ initialDelay: "1 second", jitter: "none" })
        yield* fork(Effect.andThen(
          Effect.sleep("500 millis"),
          Effect.map(Clock.monotonicTimeNanos, (now) => gate.pause(Duration.seconds(30), now))
        ))
        const error = errorOf((yield* runOut(retryLoop(Effect.fail("busy"), retries, { gate }))).exit)
        assert.instanceOf(error, RetryExhausted)
        assert.deepStrictEqual([error.stoppedBy, error.error, error.attempts.length], ["throttled", "busy", 1])
      }))
  })
})
