import { assert, describe, it } from "@effect/vitest"
import { skewedClock } from "@keelson/testing/virtualTime"
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Metric,
  Result,
  Schema,
  type Scope,
  Stream
} from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Breaker, type BreakerPolicy, BreakerStore, KeelsonError, Metrics, Retry, RetryPolicy } from "../src/index.ts"

const boom = KeelsonError.make({ code: "UPSTREAM_UNAVAILABLE" })
const rejected = KeelsonError.make({ code: "UPSTREAM_REJECTED" })
const limited = KeelsonError.make({ code: "RATE_LIMITED" })

const make = (options?: BreakerPolicy.Options) => Breaker.make("billing", options)
const failing = (breaker: Breaker.Breaker, error: unknown = boom) => Effect.flip(breaker.execute(Effect.fail(error)))

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

/** The value of a metric in the registry in context. */
const metric = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) => all.filter(({ id }) => id === `keelson_${name}`).map(({ attributes, state }) => [attributes, state])
  )

describe("Breaker", () => {
  test(
    "the error that rejected callers share is frozen",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      yield* failing(breaker)
      const [one, other] = [yield* failing(breaker), yield* failing(breaker)]
      assert.instanceOf(one, Breaker.CircuitOpen)
      assert.strictEqual(one, other)
      assert.isTrue(Object.isFrozen(one))
    })
  )

  test(
    "[S3-09] is closed at first, with a threshold of 5 and 60 seconds by default",
    Effect.gen(function*() {
      const breaker = yield* make()
      assert.strictEqual(yield* breaker.state, "CLOSED")
      assert.deepInclude(breaker.policy, { failureThreshold: 5, openDuration: Duration.seconds(60), enabled: true })
    })
  )

  test(
    "[S3-10] opens at the n-th failure in a row and not before; a success starts the count anew",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 3 })
      for (const outcome of [boom, boom, undefined, boom, boom]) {
        yield* Effect.exit(breaker.execute(outcome === undefined ? Effect.void : Effect.fail(outcome)))
        assert.strictEqual(yield* breaker.state, "CLOSED")
      }
      yield* failing(breaker)
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "[S3-11] rejects without calling while it is open, with a typed error",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      yield* failing(breaker)
      yield* TestClock.adjust("20 seconds")
      const error = yield* Effect.flip(breaker.execute(Effect.die("called")))
      assert.instanceOf(error, Breaker.CircuitOpen)
      assert.deepStrictEqual([error.message, error.code, error.server], [
        "Circuit breaker is OPEN",
        "CIRCUIT_OPEN",
        "billing"
      ])
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(40))
    })
  )

  test(
    "[S3-12] admits a call after the open duration: a success closes it, a failure opens it again",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      yield* failing(breaker)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* failing(breaker), boom)
      assert.strictEqual(yield* breaker.state, "OPEN")
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* breaker.execute(Effect.succeed(1)), 1)
      assert.strictEqual(yield* breaker.state, "CLOSED")
    })
  )

  test(
    "[S3-13] admits exactly one call while half-open",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      yield* failing(breaker)
      yield* TestClock.adjust("1 second")
      const gate = yield* Deferred.make<void>()
      const probe = yield* Effect.forkChild(breaker.execute(Deferred.await(gate)), { startImmediately: true })
      assert.strictEqual(yield* breaker.state, "HALF_OPEN")
      const error = yield* Effect.flip(breaker.execute(Effect.die("called")))
      assert.deepStrictEqual([error.state, error.message], ["HALF_OPEN", "Circuit breaker is HALF_OPEN"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(probe)
      assert.strictEqual(yield* breaker.state, "CLOSED")
    })
  )

  test(
    "frees the place of a probe that is interrupted",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      yield* failing(breaker)
      yield* TestClock.adjust("1 second")
      const probe = yield* Effect.forkChild(breaker.execute(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* breaker.execute(Effect.succeed(1)), 1)
    })
  )

  test(
    "[S3-14] passes filtered errors through uncounted",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 2 })
      const call = (error: string) => Effect.flip(breaker.execute(Effect.fail(error), { ignore: (e) => e === "mine" }))
      yield* call("theirs")
      assert.deepStrictEqual([yield* call("mine"), yield* call("mine")], ["mine", "mine"])
      assert.deepInclude(yield* breaker.snapshot, { state: "CLOSED", failureCount: 1 })
      yield* call("theirs")
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "[S3-15] shows exactly the members of a snapshot, rejected calls among the total",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 2, openDuration: "30 seconds" })
      yield* breaker.execute(Effect.void)
      yield* failing(breaker)
      yield* failing(breaker)
      yield* failing(breaker)
      const snapshot = yield* breaker.snapshot
      const encoded = yield* Schema.encodeEffect(Breaker.Snapshot)(snapshot)
      assert.deepStrictEqual(encoded, {
        state: "OPEN",
        failure_count: 2,
        failure_threshold: 2,
        total_calls: 4,
        success_count: 1,
        rejected_count: 1,
        timeout_seconds: 30
      })
      assert.deepStrictEqual(yield* Schema.decodeEffect(Breaker.Snapshot)(encoded), snapshot)
    })
  )

  test(
    "[S3-16] closes at a reset; what was under way is not recorded, and it can open again",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      const gate = yield* Deferred.make<void>()
      const slow = yield* Effect.forkChild(breaker.execute(Effect.andThen(Deferred.await(gate), Effect.fail(boom))), {
        startImmediately: true
      })
      yield* failing(breaker)
      yield* breaker.reset
      assert.deepInclude(yield* breaker.snapshot, { state: "CLOSED", failureCount: 0, totalCalls: 2 })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.await(slow)
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* failing(breaker)
      assert.strictEqual((yield* Effect.flip(breaker.execute(Effect.void))).code, "CIRCUIT_OPEN")
    })
  )

  test(
    "[S3-16] keeps its counts under many concurrent calls",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 50 })
      const call = (n: number) =>
        Effect.exit(breaker.execute(Effect.andThen(Effect.yieldNow, n % 2 === 0 ? Effect.void : Effect.fail(boom))))
      yield* Effect.forEach(Array.from({ length: 100 }, (_, n) => n), call, { concurrency: "unbounded" })
      assert.deepInclude(yield* breaker.snapshot, { totalCalls: 100, successCount: 50, rejectedCount: 0 })
    })
  )

  test(
    "opens at a share of failures in the last calls, once there are enough",
    Effect.gen(function*() {
      const breaker = yield* make({ strategy: "ratio", failureRatio: 0.5, windowSize: 4, minimumCalls: 4 })
      for (const ok of [true, false, true]) yield* Effect.exit(breaker.execute(ok ? Effect.void : Effect.fail(boom)))
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* failing(breaker)
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "counts by the catalogue: a refusal shows the service well, a rate limit says nothing",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 2 })
      for (const error of [boom, limited, rejected, boom]) yield* failing(breaker, error)
      assert.deepInclude(yield* breaker.snapshot, { state: "CLOSED", failureCount: 1, successCount: 1 })
      yield* failing(breaker, limited)
      yield* failing(breaker, new Error("without a code"))
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "takes a classification of its own, which can keep it open longer",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      const classify = () => ({ _tag: "Failure", retryAfter: Duration.seconds(30) }) as const
      yield* breaker.execute(Effect.succeed(1), { classify })
      const error = yield* Effect.flip(breaker.execute(Effect.void))
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(30))
    })
  )

  test(
    "counts a defect as a failure and passes it on",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(breaker.execute(Effect.die("defect")))))
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "an interruption says nothing about the service",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      const fiber = yield* Effect.forkChild(breaker.execute(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.deepInclude(yield* breaker.snapshot, {
        state: "CLOSED",
        failureCount: 0,
        successCount: 0,
        totalCalls: 1
      })
    })
  )

  test(
    "runs every call where it is not enabled",
    Effect.gen(function*() {
      const breaker = yield* make({ enabled: false, failureThreshold: 1 })
      yield* failing(breaker)
      assert.strictEqual(yield* failing(breaker), boom)
    })
  )

  test(
    "an inner breaker's rejection passes as it is, and is not this one's",
    Effect.gen(function*() {
      const inner = yield* Breaker.make("inner", { failureThreshold: 1 })
      const outer = yield* Breaker.make("outer")
      yield* failing(inner)
      const error = yield* Effect.flip(outer.execute(inner.execute(Effect.void)))
      assert.strictEqual(error.server, "inner")
      assert.deepInclude(yield* outer.snapshot, { state: "CLOSED", rejectedCount: 0 })
    })
  )

  test(
    "breakers of one name share a circuit",
    Effect.gen(function*() {
      const one = yield* make({ failureThreshold: 1 })
      const other = yield* make({ failureThreshold: 1 })
      yield* failing(one)
      assert.strictEqual(yield* other.state, "OPEN")
    })
  )

  test(
    "[S3-28] shows state, calls, rejections and transitions as metrics while its scope is open",
    Effect.gen(function*() {
      const label = { server: "billing" }
      yield* Effect.scoped(Effect.gen(function*() {
        const breaker = yield* make({ failureThreshold: 1 })
        assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [[label, { value: 0 }]])
        yield* failing(breaker)
        yield* failing(breaker)
        assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [[label, { value: 1 }]])
        assert.deepStrictEqual(yield* metric("circuit_breaker_rejections_total"), [[label, {
          count: 1,
          incremental: true
        }]])
        assert.deepStrictEqual(yield* metric("circuit_breaker_calls_total"), [[label, { count: 2, incremental: true }]])
        const moves = yield* metric("circuit_breaker_transitions_total")
        assert.deepInclude(moves, [{ ...label, from: "CLOSED", to: "OPEN" }, { count: 1, incremental: true }])
        assert.deepInclude(moves, [{ ...label, from: "OPEN", to: "HALF_OPEN" }, { count: 0, incremental: true }])
      }))
      assert.deepStrictEqual(yield* metric("circuit_breaker_state"), [])
      assert.deepStrictEqual(yield* metric("circuit_breaker_transitions_total"), [])
    })
  )

  test(
    "gives its transitions as a stream",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      const seen = yield* Effect.forkChild(Stream.runCollect(Stream.take(breaker.transitions, 3)), {
        startImmediately: true
      })
      yield* failing(breaker)
      yield* TestClock.adjust("1 second")
      yield* breaker.execute(Effect.void)
      assert.deepStrictEqual(yield* Fiber.join(seen), [
        { from: "CLOSED", to: "OPEN" },
        { from: "OPEN", to: "HALF_OPEN" },
        { from: "HALF_OPEN", to: "CLOSED" }
      ])
    })
  )

  test(
    "a classification that throws is the call's defect and says nothing of the service",
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1 })
      const classify = () => {
        throw new Error("wrong")
      }
      const good = yield* Effect.exit(breaker.execute(Effect.succeed(1), { classify }))
      const bad = yield* Effect.exit(breaker.execute(Effect.fail("no"), { classify }))
      assert.isTrue(Exit.hasDies(good) && Exit.hasDies(bad) && Exit.hasFails(bad))
      assert.deepInclude(yield* breaker.snapshot, { state: "CLOSED", failureCount: 0, successCount: 0 })
    })
  )

  test(
    "[K-14] stays open as long as the response of a failure asks for, by itself or as the last of a retry",
    Effect.gen(function*() {
      const request = HttpClientRequest.get("http://billing.test/")
      const answer = (headers: Readonly<Record<string, string>>) =>
        HttpClientResponse.fromWeb(request, new Response(null, { status: 503, headers: { ...headers } }))
      const response = (retryAfter: string) => answer({ "retry-after": retryAfter })
      const failed = (retryAfter: string) =>
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.StatusCodeError({ request, response: response(retryAfter) })
        })
      const openFor = Effect.fnUntraced(function*(call: Effect.Effect<unknown, unknown>) {
        const breaker = yield* Breaker.make("asks", {
          failureThreshold: 1,
          openDuration: "1 second",
          maxOpenDuration: "2 minutes"
        })
        yield* Effect.exit(breaker.execute(call))
        const error = yield* Effect.flip(breaker.execute(Effect.void))
        yield* breaker.reset
        return Duration.toSeconds(error.retryAfter)
      })
      const retried = Retry.retry(Effect.fail(failed("30")), RetryPolicy.make({ maxAttempts: 1 }))
      assert.strictEqual(yield* openFor(Effect.succeed(response("30"))), 30)
      assert.strictEqual(yield* openFor(Effect.fail(failed("30"))), 30)
      assert.strictEqual(yield* openFor(retried), 30)
      assert.strictEqual(yield* openFor(Effect.fail(failed("86400"))), 120)
      for (const odd of ["", "-5", "soon", "Fri, 20 Nov 2026 15:00:00 GMT"]) {
        assert.strictEqual(yield* openFor(Effect.fail(failed(odd))), 1)
      }
      // The same hints as retries read.
      const hints: ReadonlyArray<readonly [Readonly<Record<string, string>>, number]> = [
        [{ "retry-after": "29.5" }, 30],
        [{ "retry-after-ms": "30000" }, 30],
        [{ ratelimit: "\"default\";r=0;t=30" }, 30],
        [{ "retry-after": "Fri, 20 Nov 2026 15:00:30 GMT", date: "Fri, 20 Nov 2026 15:00:00 GMT" }, 30],
        [{ "x-ratelimit-reset": "1795186830" }, 1]
      ]
      for (const [headers, seconds] of hints) {
        assert.strictEqual(yield* openFor(Effect.succeed(answer(headers))), seconds, JSON.stringify(headers))
      }
    })
  )

  it.effect("takes the clock of each call, also where it was built under another one", () =>
    Effect.gen(function*() {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
      const later = Effect.gen(function*() {
        yield* failing(breaker)
        yield* TestClock.adjust("1 second")
        return yield* breaker.execute(Effect.succeed("probe"))
      })
      assert.strictEqual(yield* Effect.provide(later, TestClock.layer()), "probe")
    }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory), TestClock.withLive))

  it.effect("a store that fails closes nobody out, and takes no value away", () =>
    Effect.gen(function*() {
      const down = Effect.fail(KeelsonError.make({ code: "UPSTREAM_UNAVAILABLE" }))
      const admits = { admit: () => Effect.succeed({ _tag: "Admitted" as const, generation: 1, isProbe: false }) }
      const store = {
        admit: () => down,
        record: () => down,
        state: () => down,
        reset: () => undefined,
        isolate: () => undefined
      }
      const calls = Effect.gen(function*() {
        const breaker = yield* make({ failureThreshold: 1 })
        return [yield* breaker.execute(Effect.succeed(1)), yield* failing(breaker), yield* failing(breaker)]
      })
      assert.deepStrictEqual(yield* Effect.provideService(calls, BreakerStore.BreakerStore, store), [1, boom, boom])
      const unrecorded = Effect.provideService(calls, BreakerStore.BreakerStore, { ...store, ...admits })
      assert.deepStrictEqual(yield* unrecorded, [1, boom, boom])
    }))

  it.effect("[R29] keeps to the monotonic clock: set back an hour, the circuit still half-opens in time", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const outcome = yield* Effect.gen(function*() {
        const breaker = yield* make({ failureThreshold: 1, openDuration: "1 second" })
        yield* failing(breaker)
        skew.millis = -3_600_000
        yield* TestClock.adjust("1 second")
        return yield* Effect.result(breaker.execute(Effect.succeed("probe")))
      }).pipe(Effect.provide(BreakerStore.layerMemory), Effect.provideService(Clock.Clock, clock))
      assert.deepStrictEqual(outcome, Result.succeed("probe"))
    }))
})
