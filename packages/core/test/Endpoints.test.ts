import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { metric } from "@keelson/testing/observe"
import { runOut } from "@keelson/testing/virtualTime"
import { Deferred, Duration, Effect, Exit, Fiber, Metric, Random, type Scope } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Breaker, BreakerStore, Endpoints, HttpRetry, KeelsonError, Metrics, RetryBudget } from "../src/index.ts"

type Health = "ok" | "down" | "hung"

/** Endpoints whose health is set by hand, with the ids that were called. */
const scripted = Effect.fnUntraced(function*(options: Partial<Endpoints.Options> = {}) {
  const health: Record<string, Health> = { a: "ok", b: "ok", c: "ok" }
  const called: Array<string> = []
  const endpoints = yield* Endpoints.make("billing", { endpoints: ["a", "b", "c"], ...options })
  const call = ({ id }: Endpoints.Endpoint): Effect.Effect<string, string> =>
    Effect.suspend(() => {
      called.push(id)
      const state = health[id]
      return state === "ok" ? Effect.succeed(id) : state === "down" ? Effect.fail(`${id} is down`) : Effect.never
    })
  /** The endpoints that have had a call since the last time, without commas. */
  const trace = () => called.splice(0).join("")
  return { health, endpoints, call, trace, run: endpoints.execute(call) }
})

const breaker = { failureThreshold: 2, openDuration: "10 seconds" } as const

const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
  it.effect(title, () => Effect.provide(body, [BreakerStore.layerMemory, Metrics.layerIsolated]))

const counts = Effect.map(
  Metric.snapshot,
  (all) =>
    all.filter(({ id }) => id.startsWith("keelson_endpoint_")).map(({ attributes, id, state }) => [
      id.replace("keelson_endpoint_", ""),
      attributes?.["endpoint"],
      "count" in state ? state.count : undefined
    ])
)

describe("Endpoints", () => {
  describe("in order", () => {
    test(
      "[K-34] calls the first endpoint, and goes on to the next after a failure",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted()
        assert.strictEqual(yield* run, "a")
        assert.strictEqual(trace(), "a")
        health["a"] = "down"
        health["b"] = "down"
        assert.strictEqual(yield* run, "c")
        assert.strictEqual(trace(), "abc")
      })
    )

    test(
      "[K-34] skips an endpoint whose circuit is open, and returns to it after its probe",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({ breaker })
        health["a"] = "down"
        yield* run
        yield* run
        assert.strictEqual(trace(), "abab")
        assert.strictEqual(yield* run, "b")
        assert.strictEqual(trace(), "b")
        health["a"] = "ok"
        yield* run
        assert.strictEqual(trace(), "b")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* run, "a")
        yield* run
        assert.strictEqual(trace(), "aa")
      })
    )

    test(
      "[K-34] a probe that fails goes on to the next endpoint, and the circuit is open again",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({ breaker })
        health["a"] = "down"
        yield* run
        yield* run
        yield* TestClock.adjust("10 seconds")
        trace()
        assert.strictEqual(yield* run, "b")
        assert.strictEqual(yield* run, "b")
        assert.strictEqual(trace(), "abb")
      })
    )

    test(
      "[K-34] fails with EndpointsUnavailable if no circuit admits the call, naming why and until when",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({ breaker: { ...breaker, failureThreshold: 1 } })
        health["a"] = health["b"] = health["c"] = "down"
        assert.strictEqual(yield* Effect.flip(run), "c is down")
        yield* TestClock.adjust("4 seconds")
        trace()
        const error = yield* Effect.flip(run)
        assert.instanceOf(error, Endpoints.EndpointsUnavailable)
        assert.deepInclude(error, { code: "ENDPOINTS_UNAVAILABLE", server: "billing" })
        assert.deepStrictEqual(error.rejections.map(({ code, endpoint }) => [endpoint, code]), [
          ["a", "CIRCUIT_OPEN"],
          ["b", "CIRCUIT_OPEN"],
          ["c", "CIRCUIT_OPEN"]
        ])
        assert.strictEqual(Duration.toSeconds(error.retryAfter), 6)
        assert.strictEqual(trace(), "")
        assert.deepStrictEqual(endpoints.endpoints.map((endpoint) => endpoint.breaker?.name), [
          "billing/a",
          "billing/b",
          "billing/c"
        ])
      })
    )

    test(
      "[K-34] fails with the error of the last endpoint that had the call, if the others reject it",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({ breaker: { ...breaker, failureThreshold: 1 } })
        for (const { breaker } of endpoints.endpoints.slice(1)) {
          yield* Effect.exit(breaker!.execute(Effect.fail("down")))
        }
        health["a"] = "down"
        assert.strictEqual(yield* Effect.flip(run), "a is down")
        assert.strictEqual(trace(), "a")
      })
    )

    test(
      "[K-34] an error that is no evidence against the endpoint ends the call",
      Effect.gen(function*() {
        const { endpoints } = yield* scripted()
        const tried: Array<string> = []
        const refused = ({ id }: Endpoints.Endpoint) =>
          Effect.suspend(() => {
            tried.push(id)
            return Effect.fail({ isRetryable: false, id })
          })
        assert.deepStrictEqual(yield* Effect.flip(endpoints.execute(refused)), { isRetryable: false, id: "a" })
        assert.deepStrictEqual(tried, ["a"])
      })
    )

    test(
      "[K-34] classify and failover see the endpoint",
      Effect.gen(function*() {
        const { endpoints, health, call, trace } = yield* scripted({ breaker: { ...breaker, failureThreshold: 1 } })
        health["a"] = health["b"] = "down"
        const onlyB = endpoints.execute(call, {
          classify: (exit, { id }) => id === "b" && Exit.isFailure(exit) ? Breaker.failure() : Breaker.success,
          failover: (exit, { id }) => Exit.isFailure(exit) && id === "a"
        })
        assert.strictEqual(yield* Effect.flip(onlyB), "b is down")
        assert.strictEqual(trace(), "ab")
        const states = yield* Effect.forEach(endpoints.endpoints, (endpoint) => endpoint.breaker!.state)
        assert.deepStrictEqual(states, ["CLOSED", "OPEN", "CLOSED"])
      })
    )

    test(
      "[K-34] an endpoint that hangs is cut by the attempt timeout, and the next one has the call",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({ attemptTimeout: "1 second" })
        health["a"] = "hung"
        const { elapsed, exit } = yield* runOut(run)
        assert.deepStrictEqual([exit, Duration.toSeconds(elapsed), trace()], [Exit.succeed("b"), 1, "ab"])
      })
    )

    test(
      "[K-34] the deadline ends the failover",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({ deadline: "3 seconds", attemptTimeout: "2 seconds" })
        health["a"] = health["b"] = health["c"] = "hung"
        const { elapsed, exit } = yield* runOut(run)
        assert.deepInclude(errorOf(exit), { _tag: "DeadlineExceeded", limit: "call" })
        assert.deepStrictEqual([Duration.toSeconds(elapsed), trace()], [3, "ab"])
      })
    )

    test(
      "[K-34] retries at an endpoint before it goes on, and counts going on in the retry budget",
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.4, window: "10 seconds" })
        const { health, run, trace } = yield* scripted({
          breaker: { failureThreshold: 100 },
          retry: { maxAttempts: 2, initialDelay: "0 millis", budget }
        })
        health["a"] = health["b"] = health["c"] = "down"
        const error = exhausted(yield* Effect.exit(run))
        // Four of the budget: two retries, and going on twice.
        assert.deepStrictEqual([error.stoppedBy, trace()], ["budget", "aabbc"])
        assert.strictEqual(exhausted(yield* Effect.exit(run)).stoppedBy, "budget")
        assert.strictEqual(trace(), "a")
      })
    )

    test(
      "[K-34] a call has its own retries, which are counted for the service",
      Effect.gen(function*() {
        const { call, endpoints, health, trace } = yield* scripted({
          retry: { maxAttempts: 3, initialDelay: "0 millis" }
        })
        health["a"] = "down"
        assert.strictEqual(yield* endpoints.execute(call), "b")
        assert.strictEqual(trace(), "aaab")
        assert.strictEqual(yield* metric("retry_attempts_total", "server=\"billing\""), 2)
        assert.strictEqual(yield* endpoints.execute(call, { while: () => false }), "b")
        assert.strictEqual(trace(), "ab")
        assert.strictEqual(yield* endpoints.execute(call, { priority: "high" }), "b")
        assert.strictEqual(trace(), "aaab")
        assert.strictEqual(yield* metric("retry_attempts_total", "server=\"billing\""), 4)
      })
    )

    test(
      "[K-34] the deadline ends a call that only fails, at the end of the wait before its next attempt",
      Effect.gen(function*() {
        const { call, endpoints, health, trace } = yield* scripted({
          deadline: "5 seconds",
          retry: { maxAttempts: 9, initialDelay: "2 seconds", strategy: "fixed", jitter: "none" }
        })
        health["a"] = health["b"] = health["c"] = "down"
        for (const options of [undefined, { priority: "high" } as const]) {
          const { elapsed } = yield* runOut(Effect.exit(endpoints.execute(call, options)))
          assert.isAtMost(Duration.toMillis(elapsed), 5000)
          assert.strictEqual(trace().slice(0, 3), "aaa")
        }
      })
    )

    test(
      "[K-34] the budget has back what was reserved for an endpoint that rejected the call",
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.2, window: "10 seconds" })
        const { endpoints, health, run } = yield* scripted({
          endpoints: ["a", "b"],
          breaker: { failureThreshold: 1 },
          retry: { maxAttempts: 1, budget }
        })
        health["a"] = health["b"] = "down"
        yield* Effect.exit(run)
        assert.strictEqual(yield* RetryBudget.available(budget), 1)
        yield* endpoints.endpoints[0]!.breaker!.reset
        yield* Effect.exit(run)
        assert.strictEqual(yield* RetryBudget.available(budget), 1)
      })
    )

    test(
      "[K-34] interrupting a call ends it at its endpoint, and is no evidence",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({ breaker: { failureThreshold: 1 } })
        health["a"] = "hung"
        const fiber = yield* Effect.forkChild(run, { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(trace(), "a")
        assert.strictEqual(yield* endpoints.endpoints[0]!.breaker!.state, "CLOSED")
      })
    )

    test(
      "[K-34] a defect ends the call",
      Effect.gen(function*() {
        const { endpoints } = yield* scripted()
        const exit = yield* Effect.exit(endpoints.execute(({ id }) => id === "a" ? Effect.die("bug") : Effect.void))
        assert.isTrue(Exit.hasDies(exit))
      })
    )

    test(
      "[K-34] without breakers every call begins at the first endpoint",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({ breaker: { enabled: false } })
        health["a"] = "down"
        yield* run
        yield* run
        assert.strictEqual(trace(), "abab")
        assert.isUndefined(endpoints.endpoints[0]?.breaker)
      })
    )
  })

  test(
    "[K-34] counts the calls of each endpoint and those that went on, and failed calls under the name",
    Effect.gen(function*() {
      const { health, run } = yield* scripted({ endpoints: ["a", "b"], breaker: { failureThreshold: 1 } })
      health["a"] = "down"
      yield* run
      yield* run
      health["b"] = "down"
      yield* Effect.exit(run)
      assert.deepStrictEqual(yield* counts, [
        ["calls_total", "a", 1],
        ["failovers_total", "a", 3],
        ["calls_total", "b", 3],
        ["failovers_total", "b", 0]
      ])
      const errors = (yield* Metric.snapshot).filter(({ id }) => id === "keelson_errors_total")
      assert.deepStrictEqual(errors.map(({ attributes }) => attributes?.["server"]), ["billing"])
    })
  )

  describe("with the other parts", () => {
    const hedge = { delay: "100 millis", budget: { ratio: 1 } } as const

    test(
      "[K-34] a hedge goes to another endpoint, and the slow one is interrupted",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({ hedge })
        health["a"] = "hung"
        const { elapsed, exit } = yield* runOut(run)
        assert.deepStrictEqual([exit, Duration.toMillis(elapsed), trace()], [Exit.succeed("b"), 100, "ab"])
        assert.strictEqual(yield* endpoints.endpoints[0]!.breaker!.state, "CLOSED")
      })
    )

    test(
      "[K-34] a hedge and a failover never send a call to the same endpoint twice",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({ hedge: { ...hedge, maxHedges: 2 } })
        health["a"] = "hung"
        health["b"] = "down"
        const { elapsed, exit } = yield* runOut(run)
        assert.deepStrictEqual([exit, Duration.toMillis(elapsed), trace()], [Exit.succeed("c"), 100, "abc"])
      })
    )

    test(
      "[K-34] a hedge that finds no endpoint leaves the call to the executions that run",
      Effect.gen(function*() {
        const { endpoints, trace } = yield* scripted({ endpoints: ["a", "b"], hedge, breaker: { failureThreshold: 1 } })
        yield* Effect.exit(endpoints.endpoints[1]!.breaker!.execute(Effect.fail("down")))
        const slow = endpoints.execute(({ id }) => Effect.delay(Effect.succeed(id), "1 second"))
        assert.deepStrictEqual((yield* runOut(slow)).exit, Exit.succeed("a"))
        assert.strictEqual(trace(), "")
      })
    )

    test(
      "[K-34] an endpoint without a free place passes the call on, and that is no failure",
      Effect.gen(function*() {
        const { endpoints, health, run, trace } = yield* scripted({
          endpoints: ["a", "b"],
          bulkhead: { maxConcurrent: 1 },
          breaker: { failureThreshold: 1 }
        })
        health["a"] = health["b"] = "hung"
        const fibers = yield* Effect.all([
          Effect.forkChild(run, { startImmediately: true }),
          Effect.forkChild(run, { startImmediately: true })
        ])
        assert.strictEqual(trace(), "ab")
        const error = yield* Effect.flip(run)
        assert.instanceOf(error, Endpoints.EndpointsUnavailable)
        assert.deepStrictEqual(error.rejections.map(({ code }) => code), ["BULKHEAD_FULL", "BULKHEAD_FULL"])
        assert.strictEqual(yield* endpoints.endpoints[0]!.breaker!.state, "CLOSED")
        yield* Effect.forEach(fibers, (fiber) => Fiber.interrupt(fiber))
      })
    )

    test(
      "[K-34] calls skip an endpoint that asks its callers to wait, unless all do",
      Effect.gen(function*() {
        const throttled: Record<string, boolean> = { a: true, b: false }
        const sent: Array<string> = []
        const http = HttpClient.make((request, url) =>
          Effect.sync(() => {
            const host = url.hostname
            sent.push(host)
            return HttpClientResponse.fromWeb(
              request,
              throttled[host] === true
                ? new Response(null, { status: 429, headers: { "retry-after": "5" } })
                : new Response(null, { status: 200 })
            )
          })
        )
        const billing = yield* Endpoints.make("billing", { endpoints: ["https://a", "https://b"], throttle: {} })
        const get = billing.http(http).get("/")
        assert.strictEqual((yield* get).status, 200)
        assert.deepStrictEqual(sent.splice(0), ["a", "b"])
        assert.strictEqual((yield* get).status, 200)
        assert.deepStrictEqual(sent.splice(0), ["b"])
        throttled["b"] = true
        assert.strictEqual((yield* get).status, 429)
        assert.deepStrictEqual(sent.splice(0), ["b"])
        throttled["a"] = throttled["b"] = false
        const { elapsed, exit } = yield* runOut(get)
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(sent, ["a"])
        assert.isAtLeast(Duration.toMillis(elapsed), 4000)
      })
    )

    test(
      "[K-34] a call waits for the end of a pause, with no place taken, if all endpoints ask for one",
      Effect.gen(function*() {
        const busy = Object.assign(new KeelsonError.NetworkError({ code: "RATE_LIMITED" }), {
          retryAfter: Duration.seconds(5)
        })
        let isBusy = true
        const billing = yield* Endpoints.make("billing", { endpoints: ["a", "b"], throttle: {}, bulkhead: {} })
        const run = billing.execute(({ id }) => isBusy ? Effect.fail(busy) : Effect.succeed(id))
        yield* Effect.exit(run)
        isBusy = false
        const fiber = yield* Effect.forkChild(run, { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(fiber.pollUnsafe(), undefined)
        assert.strictEqual((yield* billing.endpoints[0]!.bulkhead!.snapshot).inFlight, 0)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "a")
      })
    )

    test(
      "[K-34] a call that asks for none is not hedged",
      Effect.gen(function*() {
        const { call, endpoints, health, trace } = yield* scripted({ hedge })
        health["a"] = "hung"
        yield* runOut(Effect.timeout(endpoints.execute(call, { hedge: false }), "1 second"), "1 second")
        assert.strictEqual(trace(), "a")
        yield* runOut(endpoints.execute(call, { hedge: true }), "1 second")
        assert.strictEqual(trace(), "ab")
      })
    )

    test(
      "[K-34] http hedges safe methods only, at another endpoint",
      Effect.gen(function*() {
        const sent: Array<string> = []
        const http = HttpClient.make((request, url) =>
          Effect.suspend(() => {
            sent.push(`${request.method} ${url.hostname}`)
            return url.hostname === "a"
              ? Effect.never
              : Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null)))
          })
        )
        const billing = (yield* Endpoints.make("billing", { endpoints: ["https://a", "https://b"], hedge })).http(http)
        assert.isTrue(Exit.isSuccess((yield* runOut(billing.get("/"))).exit))
        assert.deepStrictEqual(sent.splice(0), ["GET a", "GET b"])
        const post = yield* Effect.forkChild(billing.post("/"), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(sent, ["POST a"])
        yield* Fiber.interrupt(post)
      })
    )

    test(
      "[K-34] an unsafe request whose response says that it was not processed may be sent elsewhere",
      Effect.gen(function*() {
        const http = HttpClient.make((request, url) =>
          Effect.succeed(
            HttpClientResponse.fromWeb(request, new Response(null, { status: url.hostname === "a" ? 429 : 201 }))
          )
        )
        const billing = yield* Endpoints.make("billing", { endpoints: ["https://a", "https://b"] })
        assert.strictEqual((yield* billing.http(http).post("/")).status, 429)
        const asked = billing.http(http, { allowUnsafe: HttpRetry.notProcessed })
        assert.strictEqual((yield* asked.post("/")).status, 201)
      })
    )
  })

  describe("by weight", () => {
    test(
      "[K-34] spreads calls by weight, and over the others while a circuit is open",
      Effect.gen(function*() {
        const { health, run, trace } = yield* scripted({
          endpoints: [{ id: "a", weight: 3 }, { id: "b", weight: 1 }, { id: "c", weight: 0 }],
          selection: "weight",
          breaker: { failureThreshold: 1, openDuration: "1 hour" }
        })
        const share = Effect.map(Effect.repeat(run, { times: 999 }), () => {
          const made = trace()
          return (id: string) => made.split(id).length - 1
        })
        const before = yield* share
        assert.closeTo(before("a"), 750, 60)
        assert.strictEqual(before("c"), 0)
        health["a"] = "down"
        const after = yield* share
        assert.deepStrictEqual([after("a"), after("b"), after("c")], [1, 1000, 0])
        health["b"] = "down"
        const last = yield* share
        assert.deepStrictEqual([last("a"), last("b"), last("c")], [0, 1, 1000])
      }).pipe(Random.withSeed(7))
    )
  })

  describe("http", () => {
    /** A client that answers by the host of the request, with the URLs that it was sent to. */
    const client = (statuses: Record<string, number> = {}) => {
      const sent: Array<string> = []
      const cancelled: Array<string> = []
      return {
        sent,
        cancelled,
        http: HttpClient.make((request, url) =>
          Effect.sync(() => {
            sent.push(`${request.method} ${url.href} ${request.headers["authorization"] ?? "-"}`)
            const body = new ReadableStream({
              cancel: () => {
                cancelled.push(url.host)
              }
            })
            return HttpClientResponse.fromWeb(request, new Response(body, { status: statuses[url.host] ?? 200 }))
          })
        )
      }
    }
    const make = (options: Partial<Endpoints.Options> = {}) =>
      Endpoints.make("billing", { endpoints: ["https://eu.test/api/", "https://us.test"], ...options })

    test(
      "[K-34] replaces the base URL, and keeps method, path, query, fragment and headers",
      Effect.gen(function*() {
        const { http, sent } = client({ "eu.test": 503 })
        const billing = (yield* make()).http(http)
        const request = HttpClientRequest.post("/invoices/a%2Fb?x=1&x=2#part", {
          urlParams: { y: "3" },
          headers: { authorization: "Bearer t", "idempotency-key": "k" }
        })
        assert.strictEqual((yield* billing.execute(request)).status, 200)
        assert.deepStrictEqual(sent, [
          "POST https://eu.test/api/invoices/a%2Fb?x=1&x=2&y=3#part Bearer t",
          "POST https://us.test/invoices/a%2Fb?x=1&x=2&y=3#part Bearer t"
        ])
      })
    )

    const urls: ReadonlyArray<readonly [url: string, sent: string | undefined]> = [
      ["invoices", "https://eu.test/api/invoices"],
      ["", "https://eu.test/api"],
      ["?a=1", "https://eu.test/api?a=1"],
      ["https://us.test/invoices?a=1", "https://eu.test/api/invoices?a=1"],
      ["https://eu.test/api/invoices", "https://eu.test/api/invoices"],
      ["https://EU.test:443/api", "https://eu.test/api"],
      ["//evil.test/x", "https://eu.test/api//evil.test/x"],
      ["@evil.test/x", "https://eu.test/api/@evil.test/x"],
      [".evil.test/x", "https://eu.test/api/.evil.test/x"],
      ["https://eu.test/other", undefined],
      ["https://eu.test/apix", undefined],
      ["https://evil.test/invoices", undefined],
      ["https://evil.test/https://us.test/", undefined],
      ["https://us.test@evil.test/", undefined],
      ["https://user:secret@us.test/x", undefined],
      ["http://us.test/invoices", undefined],
      ["https://us.test:8443/x", undefined],
      [" https://evil.test/x", undefined],
      ["https:evil.test/x", undefined],
      ["\\\\evil.test\\x", "https://eu.test/api///evil.test/x"],
      ["/../admin", undefined],
      ["/%2e%2e/admin", undefined],
      ["..\\admin", undefined],
      ["javascript:alert(1)", undefined]
    ]
    for (const [url, expected] of urls) {
      test(
        `[K-34] ${expected === undefined ? "does not send" : "sends"} ${JSON.stringify(url)}`,
        Effect.gen(function*() {
          const { http, sent } = client()
          const billing = (yield* make({ endpoints: ["https://eu.test/api/", "https://us.test"] })).http(http)
          const exit = yield* Effect.exit(billing.get(url, { headers: { authorization: "t" } }))
          if (expected === undefined) {
            const error = errorOf(exit)
            assert.strictEqual("reason" in error && error.reason._tag, "InvalidUrlError")
          }
          assert.deepStrictEqual(sent, expected === undefined ? [] : [`GET ${expected} t`])
        })
      )
    }

    test(
      "[K-34] releases the response of an endpoint once another one has the call, and no other",
      Effect.gen(function*() {
        const { cancelled, http } = client({ "eu.test": 500 })
        const billing = yield* make()
        assert.strictEqual((yield* billing.http(http).get("/")).status, 200)
        assert.deepStrictEqual(cancelled, ["eu.test"])
        const all = client({ "eu.test": 500, "us.test": 500 })
        const last = yield* billing.http(all.http).get("/")
        assert.deepStrictEqual([last.status, all.cancelled], [500, ["eu.test"]])
      })
    )

    test(
      "[K-34] keeps the response if the other endpoints reject the call",
      Effect.gen(function*() {
        const { cancelled, http } = client({ "eu.test": 500 })
        const billing = yield* make({ breaker: { failureThreshold: 1 } })
        const us = billing.endpoints[1]!.breaker!
        yield* Effect.exit(us.execute(Effect.fail("down")))
        assert.strictEqual((yield* billing.http(http).get("/")).status, 500)
        assert.deepStrictEqual(cancelled, [])
      })
    )

    test(
      "[K-34] retries by status at each endpoint, and releases the last response of those that gave up",
      Effect.gen(function*() {
        const { cancelled, http, sent } = client({ "eu.test": 503 })
        const billing = yield* make({ retry: { maxAttempts: 2, initialDelay: "0 millis" } })
        assert.strictEqual((yield* billing.http(http).get("/")).status, 200)
        assert.lengthOf(sent, 3)
        assert.deepStrictEqual(cancelled, ["eu.test", "eu.test"])
      })
    )

    test(
      "[K-34] an unsafe request that was sent stays with its endpoint, and goes on after a rejection",
      Effect.gen(function*() {
        const { http, sent } = client({ "eu.test": 503 })
        const billing = yield* make({ breaker: { failureThreshold: 1 } })
        assert.strictEqual((yield* billing.http(http).post("/")).status, 503)
        assert.lengthOf(sent, 1)
        assert.strictEqual((yield* billing.http(http).post("/")).status, 200)
        assert.deepStrictEqual(sent.slice(1), ["POST https://us.test/ -"])
        const forced = client({ "us.test": 503, "eu.test": 503 })
        const other = yield* Endpoints.make("other", { endpoints: ["https://eu.test", "https://us.test"] })
        yield* other.http(forced.http, { allowUnsafe: () => true }).post("/")
        assert.lengthOf(forced.sent, 2)
      })
    )

    test(
      "[K-34] sends one Idempotency-Key to all endpoints, and prepares the request for each",
      Effect.gen(function*() {
        let prepared = 0
        const keys: Array<string | undefined> = []
        const http = HttpClient.make((request, url) => {
          keys.push(request.headers["idempotency-key"])
          return Effect.succeed(
            HttpClientResponse.fromWeb(request, new Response(null, { status: url.host === "us.test" ? 200 : 503 }))
          )
        }).pipe(
          HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "idempotency-key", `${++prepared}`))
        )
        yield* (yield* make()).http(http).post("/")
        assert.deepStrictEqual([keys, prepared], [["1", "1"], 2])
      })
    )

    test(
      "[K-34] a call that is interrupted between two endpoints releases its response",
      Effect.gen(function*() {
        const { cancelled, http } = client({ "eu.test": 500 })
        const gate = yield* Deferred.make<void>()
        const slow = http.pipe(
          HttpClient.transform((effect, request) =>
            request.url.includes("us.test") ? Effect.andThen(Deferred.succeed(gate, undefined), Effect.never) : effect
          )
        )
        const fiber = yield* Effect.forkChild((yield* make()).http(slow).get("/"), { startImmediately: true })
        yield* Deferred.await(gate)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(cancelled, ["eu.test"])
      })
    )

    test(
      "[K-34] refuses a client for endpoints without URLs",
      Effect.gen(function*() {
        const billing = yield* make({ endpoints: ["https://eu.test", "us.test:443"] })
        assert.throws(() => billing.http(client().http), /endpoints\.1 must be an endpoint with a url/)
      })
    )
  })

  describe("options", () => {
    const refused: ReadonlyArray<readonly [endpoints: unknown, message: string]> = [
      [[], "endpoints must be 1 to 100 endpoints"],
      [["a", "a"], "endpoints.1 must be an endpoint whose id differs from those before it"],
      [["https://eu.test/a", "https://eu.test/b"], "endpoints.1 must be an endpoint whose id differs"],
      [["https://eu.test", "http://us.test"], "endpoints.1 must be a URL with https, like the URLs before it"],
      [["a", {}], "endpoints.1 must be an endpoint with a url or an id"],
      [[{ id: "a", weight: 0 }], "endpoints.0.weight must be above 0, since every other endpoint has the weight 0"],
      [["https://u:p@eu.test"], "endpoints.0 must be"],
      [[{ url: "https://eu.test/?a" }], "a base URL: http or https, without user, query and fragment"],
      [[{ url: "ftp://eu.test/" }], "a base URL: http or https, without user, query and fragment"],
      [[{ id: "a", weight: -1 }], "a whole number from 0 to 1000"]
    ]
    for (const [endpoints, message] of refused) {
      test(
        `[K-34] refuses ${JSON.stringify(endpoints)}`,
        Effect.gen(function*() {
          const error = yield* Effect.flip(make({ endpoints }))
          assert.include(error.message, message)
          assert.strictEqual(error.code, "INVALID_CONFIG")
        })
      )
    }
    const make = (options: unknown): ReturnType<typeof Endpoints.make> =>
      Reflect.apply(Endpoints.make, undefined, ["billing", options])

    test(
      "[K-34] the id of an endpoint is the host of its URL by default",
      Effect.gen(function*() {
        const billing = yield* make({
          endpoints: ["https://eu.test:8443/api", { id: "us", url: "https://us.test" }, "plain"]
        })
        assert.deepStrictEqual(billing.endpoints.map(({ id, url, weight }) => [id, url, weight]), [
          ["eu.test:8443", "https://eu.test:8443/api", 1],
          ["us", "https://us.test", 1],
          ["plain", undefined, 1]
        ])
      })
    )
  })
})
