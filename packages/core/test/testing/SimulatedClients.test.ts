import { assert, describe, it } from "@effect/vitest"
import { Breaker, Deadline, Retry, RetryPolicy } from "@keelson/core"
import { Simulate } from "@keelson/core/testing"
import { Cause, Clock, Context, Effect, Exit, Fiber, Logger, Metric, Random, Ref, Tracer } from "effect"

class Counter extends Context.Service<Counter, Ref.Ref<number>>()("test/Counter") {}

const base = { processes: 5, duration: "20 seconds", load: { perSecond: 5 } } satisfies Simulate.Options

describe("Simulate", () => {
  describe("client", () => {
    it.effect("[K-36] any effect of a process can be the call, with counts of its own", () =>
      Effect.gen(function*() {
        const report = yield* Simulate.fleet({
          ...base,
          outage: { begin: "5 seconds", end: "10 seconds", mode: "refuse" },
          client: ({ count, index, request }) =>
            Effect.succeed({
              call: Effect.andThen(count(index === 0 ? "first" : "others"), Effect.andThen(request, request))
            })
        })
        const { first = 0, others = 0 } = report.total.counts
        assert.strictEqual(first + others, report.total.calls)
        assert.approximately(others / first, 4, 1)
        assert.deepStrictEqual([report.before.requestsPerCall, report.during.requestsPerCall], [2, 1])
        assert.strictEqual(report.during.errors["NETWORK_ERROR"], report.during.failed)
      }))

    it.effect("a breaker of a client is counted, and has the BreakerStore of its process", () =>
      Effect.gen(function*() {
        const report = yield* Simulate.fleet({
          ...base,
          outage: { begin: "5 seconds", end: "10 seconds", mode: "error" },
          client: ({ request }) =>
            Effect.map(Breaker.make("server", { failureThreshold: 1, openDuration: "1 hour" }), (breaker) => ({
              call: breaker.execute(request),
              breaker
            }))
        })
        assert.strictEqual(report.during.requests, 5)
        assert.strictEqual(report.during.peakOpenCircuits, 5)
      }))

    it.effect("requests go through the HttpClient of a process, and get the answer that the test gives", () =>
      Effect.gen(function*() {
        const report = yield* Simulate.fleet({
          ...base,
          respond: ({ url }) => Response.json({ url }),
          client: ({ count, http, index }) =>
            Effect.succeed({
              call: Effect.flatMap(
                Effect.flatMap(http.get(`https://api.test/${index}`), (response) => response.json),
                (json) => count(JSON.stringify(json))
              )
            })
        })
        assert.deepStrictEqual(
          Object.keys(report.total.counts),
          [0, 1, 2, 3, 4].map((index) => `{"url":"https://api.test/${index}"}`)
        )
        assert.strictEqual(report.total.goodShare, 1)
      }))

    it.effect("[S1] a client that uses promises keeps the order of events", () =>
      Effect.gen(function*() {
        const promises = Simulate.fleet({
          ...base,
          client: ({ count, request }) =>
            Effect.succeed({
              call: Effect.gen(function*() {
                yield* request
                const before = yield* Clock.currentTimeMillis
                yield* Effect.promise(async () => {
                  await Promise.resolve()
                  await Promise.resolve()
                  await Promise.all([Promise.resolve(), Promise.resolve()])
                })
                yield* Effect.yieldNow
                yield* count("elapsed", (yield* Clock.currentTimeMillis) - before)
                yield* Effect.sleep("10 millis")
              })
            })
        })
        const [one, other] = yield* Effect.all([promises, promises])
        assert.deepStrictEqual(one.total.counts, { elapsed: 0 })
        assert.strictEqual(one.total.goodShare, 1)
        assert.deepStrictEqual(one, other)
      }))

    it.effect("calls have the services of the test", () =>
      Effect.gen(function*() {
        const calls = yield* Ref.make(0)
        const report = yield* Simulate.fleet({
          ...base,
          client: () => Effect.succeed({ call: Effect.flatMap(Counter, (ref) => Ref.update(ref, (n) => n + 1)) })
        }).pipe(Effect.provideService(Counter, calls))
        assert.strictEqual(yield* Ref.get(calls), report.total.calls)
      }))

    it.effect("each process has random numbers and a scope of its own, which is closed at the end", () =>
      Effect.gen(function*() {
        const numbers = new Set<number>()
        const closedAt: Array<number> = []
        yield* Simulate.fleet({
          ...base,
          client: () =>
            Effect.gen(function*() {
              numbers.add(yield* Random.next)
              yield* Effect.addFinalizer(() =>
                Effect.andThen(
                  Effect.sleep("5 seconds"),
                  Effect.map(Clock.currentTimeMillis, (now) => closedAt.push(now))
                )
              )
              return { call: Effect.never }
            })
        })
        assert.strictEqual(numbers.size, 5)
        assert.strictEqual(closedAt.length, 5)
        assert.isAtLeast(Math.min(...closedAt), 25_000)
      }))

    it.effect("finalizers that never end do not hold the simulation", () =>
      Effect.gen(function*() {
        const report = yield* Simulate.fleet({
          ...base,
          client: () => Effect.as(Effect.addFinalizer(() => Effect.never), { call: Effect.void })
        })
        assert.strictEqual(report.total.goodShare, 1)
      }))

    it.effect("interrupting the simulation ends its calls and closes its scopes", () =>
      Effect.gen(function*() {
        const events: Array<string> = []
        const fiber = yield* Effect.forkChild(
          Simulate.fleet({
            ...base,
            processes: 1,
            duration: "1 hour",
            client: ({ request }) =>
              Effect.as(Effect.addFinalizer(() => Effect.sync(() => events.push("closed"))), {
                call: Effect.onInterrupt(
                  Effect.andThen(request, Effect.never),
                  () => Effect.sync(() => events.push("interrupted"))
                )
              })
          }),
          { startImmediately: true }
        )
        for (let i = 0; i < 20; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.include(events, "interrupted")
        assert.strictEqual(events.at(-1), "closed")
      }))
  })

  describe("failures", () => {
    it.effect("a wrong option names its path, and so does a policy's", () =>
      Effect.gen(function*() {
        const codeOf = (options: Partial<Simulate.Options>) =>
          Effect.map(Effect.flip(Simulate.fleet({ ...base, ...options })), (error) => error.message)
        assert.include(yield* codeOf({ processes: 0 }), "processes")
        assert.include(yield* codeOf({ server: { concurrency: -1 } }), "server.concurrency")
        assert.include(yield* codeOf({ outage: { begin: "2 seconds", end: "1 second" } }), "outage.end")
        assert.include(yield* codeOf({ policy: { retry: { maxAttempts: 0 } } }), "maxAttempts")
      }))

    it.effect("a client that cannot be made fails the simulation", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Simulate.fleet({ ...base, client: () => Effect.fail("no client") }))
        assert.strictEqual(error, "no client")
      }))

    it.effect("a defect in a call is a mistake of the test, and fails it", () =>
      Effect.gen(function*() {
        const mistake = new Error("mistake")
        const exit = yield* Effect.exit(
          Simulate.fleet({ ...base, client: () => Effect.succeed({ call: Effect.die(mistake) }) })
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === mistake)
      }))

    it.effect("a simulation that does not advance fails instead of hanging", () =>
      Effect.gen(function*() {
        const forever: Effect.Effect<never> = Effect.forever(Effect.yieldNow)
        const exit = yield* Effect.exit(Simulate.fleet({ ...base, client: () => Effect.succeed({ call: forever }) }))
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(error, Error)
        assert.include(error.message, "does not advance")
      }))

    it.effect("errors without a code are counted as OTHER", () =>
      Effect.gen(function*() {
        const { total } = yield* Simulate.fleet({ ...base, client: () => Effect.succeed({ call: Effect.fail("no") }) })
        assert.deepStrictEqual(total.errors, { OTHER: total.calls })
      }))
  })

  describe("isolation", () => {
    it.effect("clock, deadline, metrics, logs and spans of the test are untouched", () =>
      Effect.gen(function*() {
        const registry = new Map()
        const logs: Array<unknown> = []
        const spans: Array<string> = []
        const tracer = Tracer.make({
          span(options) {
            spans.push(options.name)
            return new Tracer.NativeSpan(options)
          }
        })
        const before = yield* Clock.currentTimeMillis
        const report = yield* Simulate.fleet({
          ...base,
          outage: { begin: "5 seconds", end: "10 seconds" },
          client: ({ request }) =>
            Effect.succeed({
              call: Retry.retry(Effect.andThen(Effect.logError("call"), request), RetryPolicy.make(), {
                server: "x"
              }).pipe(Effect.withSpan("call"))
            })
        }).pipe(
          Deadline.within("1 second"),
          Effect.provideService(Metric.MetricRegistry, registry),
          Effect.provideService(
            Logger.CurrentLoggers,
            new Set([Logger.make(({ message }) => void logs.push(message))])
          ),
          Effect.provideService(Tracer.Tracer, tracer)
        )
        assert.strictEqual(yield* Clock.currentTimeMillis, before)
        assert.isAbove(report.during.requestsPerCall, 2.5)
        assert.deepStrictEqual([registry.size, logs, spans], [0, [], []])
      }))
  })
})
