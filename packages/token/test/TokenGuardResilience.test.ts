import { assert, describe, it } from "@effect/vitest"
import { BreakerStore, Deadline, KeelsonError, Metrics } from "@keelson/core"
import { recording } from "@keelson/testing/observe"
import { runOut } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Fiber, Metric } from "effect"
import { HttpBody, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import type { TokenGuard } from "../src/index.ts"
import { NoToken } from "../src/internal/guard/client.ts"
import { guardOver, makeSource, origin, type Reply, scripted, statuses, tokensOf } from "./guardSupport.ts"

const retry = { maxAttempts: 4, initialDelay: "200 millis", multiplier: 1.8, maxDelay: "5 seconds" } as const

const broken: Reply = (request) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, description: "reset" })
    })
  )

/** The client cannot send the request. */
const unsendable: Reply = (request) =>
  Effect.fail(new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request }) }))

/** The client cannot read the response. */
const unreadable: Reply = (request) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({
        request,
        response: HttpClientResponse.fromWeb(request, new Response("{"))
      })
    })
  )

/** Responds by the number of the request; the last reply repeats. */
const inTurn = (...replies: ReadonlyArray<Reply>): Reply => (request, number) =>
  replies[Math.min(number, replies.length) - 1]?.(request, number) ?? Effect.never

describe("TokenGuard resilience", () => {
  it.effect("[S3-25] there is no retry, breaker or time limit unless configured", () =>
    Effect.gen(function*() {
      const api = scripted(statuses(503, 503, 503))
      const source = makeSource()
      const guard = yield* guardOver(api, { source: source.source })
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* guard.get("/")).status, 503)
      assert.strictEqual(api.received.length, 3)
      assert.deepStrictEqual([...(yield* Metric.MetricRegistry).keys()].filter((key) => key.includes("circuit")), [])
      source.isDown = true
      const fresh = yield* guardOver(api, { source: source.source })
      const before = source.asked()
      for (let i = 0; i < 10; i++) yield* Effect.flip(fresh.get("/"))
      assert.strictEqual(source.asked() - before, 10)
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[S2-12] [S2-20] requests are retried under one policy, each attempt with a valid token", () =>
    Effect.gen(function*() {
      const api = scripted(inTurn(statuses(503), broken, statuses(0, 0, 401), statuses(), statuses()))
      const guard = yield* guardOver(api, { source: makeSource().source, resilience: { retry } })
      const { exit } = yield* runOut(guard.get("/"))
      assert.strictEqual(exit._tag === "Success" ? exit.value.status : exit._tag, 200)
      assert.deepStrictEqual(tokensOf(api.received), ["token-1", "token-1", "token-1", "token-2"])
    }))

  it.effect("[S3-26] [S3-27] acquisitions are retried inside a breaker: two failures open it, and the third fails at once", () =>
    Effect.gen(function*() {
      const source = makeSource()
      source.isDown = true
      const api = scripted(statuses())
      const guard = yield* guardOver(api, {
        source: source.source,
        acquisition: { retry: { maxAttempts: 3, initialDelay: "100 millis" }, breaker: { failureThreshold: 2 } }
      })
      const first = yield* runOut(Effect.flip(guard.get("/")), "1 minute")
      assert.deepInclude(first.exit, { _tag: "Success" })
      assert.strictEqual(source.asked(), 3)
      yield* runOut(Effect.flip(guard.get("/")), "1 second")
      assert.strictEqual(source.asked(), 6)
      assert.deepInclude(yield* Effect.flip(guard.get("/")), { _tag: "CircuitOpen" })
      assert.strictEqual(source.asked(), 6)
      assert.deepStrictEqual(api.received, [])
    }))

  it.effect("[S3-26] a token from the third attempt is used", () =>
    Effect.gen(function*() {
      const source = makeSource()
      source.isDown = true
      const api = scripted(statuses())
      const guard = yield* guardOver(api, {
        source: source.source,
        acquisition: { retry: { maxAttempts: 3, initialDelay: "100 millis", jitter: "none" } }
      })
      const fiber = yield* Effect.forkChild(guard.get("/"))
      yield* TestClock.adjust("150 millis")
      source.isDown = false
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.deepStrictEqual(tokensOf(api.received), ["token-3"])
    }))

  it.effect("[S3-27] a failed acquisition neither retries the request nor counts in the breaker of the called service", () =>
    Effect.gen(function*() {
      const source = makeSource()
      const api = scripted(statuses())
      const guard = yield* guardOver(api, {
        source: source.source,
        resilience: { retry, breaker: { failureThreshold: 1 } }
      })
      source.isDown = true
      const errors = yield* Effect.all(Array.from({ length: 5 }, () => Effect.flip(guard.get("/"))))
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
        "NetworkError",
        "NetworkError",
        "TokenRefreshFailed",
        "TokenRefreshFailed",
        "TokenRefreshFailed"
      ])
      assert.strictEqual(source.asked(), 5)
      source.isDown = false
      assert.strictEqual((yield* guard.get("/")).status, 200)
    }))

  it("[S3-27] whatever the error of a failed acquisition says, repeating the request does not help", () => {
    const codes = [
      [new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }), "TOKEN_ACQUISITION_FAILED"],
      [new KeelsonError.NetworkError({ code: "EGRESS_REFUSED" }), "EGRESS_REFUSED"]
    ] as const
    for (const [error, code] of codes) assert.strictEqual(new NoToken({ error }).code, code)
  })

  it.effect("[S3-27] requests and acquisitions have separate circuits, also in one store", () =>
    Effect.gen(function*() {
      const source = makeSource()
      const api = scripted(statuses(503))
      const breaker = { failureThreshold: 1 }
      const options = { source: source.source, resilience: { breaker }, acquisition: { breaker } }
      const guard = yield* guardOver(api, { ...options, resilience: { breaker, retry: { maxAttempts: 1 } } })
      yield* Effect.flip(guard.get("/"))
      assert.deepInclude(yield* Effect.flip(guard.get("/")), { _tag: "CircuitOpen", server: "api/requests" })
      yield* guard.provider.refresh
      assert.strictEqual(source.asked(), 2)
    }).pipe(Effect.provide(BreakerStore.layerMemory)))

  describe("several origins", () => {
    const other = "https://other.example:8443"
    /** Responds with 503 at one origin, and with 200 at others. */
    const failingAt = (failing: string): Reply => ({ url }) =>
      Effect.sync(() => new Response(null, { status: url.startsWith(failing) ? 503 : 200 }))
    const breaker = { failureThreshold: 1 }

    it.effect("[K-28 C11] each origin has a circuit: one that fails does not close the others", () =>
      Effect.gen(function*() {
        const source = makeSource()
        const api = scripted(failingAt(origin))
        const guard = yield* guardOver(api, {
          source: source.source,
          origins: [`${origin}/v1`, `${origin}/v2`, other],
          resilience: { breaker, retry: { maxAttempts: 1 } }
        })
        yield* Effect.flip(guard.get("/a"))
        assert.deepInclude(yield* Effect.flip(guard.get("/a")), { _tag: "CircuitOpen", server: "api/requests" })
        assert.deepInclude(yield* Effect.flip(guard.get(`${origin}/v2/a`)), { _tag: "CircuitOpen" })
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* guard.get(`${other}/a`)).status, 200)
        const failingOther = yield* guardOver(scripted(failingAt(other)), {
          source: source.source,
          origins: [origin, other],
          resilience: { breaker, retry: { maxAttempts: 1 } }
        })
        yield* Effect.flip(failingOther.get(`${other}/a`))
        assert.deepInclude(yield* Effect.flip(failingOther.get(`${other}/a`)), {
          _tag: "CircuitOpen",
          server: "api/requests/other.example:8443"
        })
        assert.strictEqual((yield* failingOther.get("/a")).status, 200)
      }))

    it.effect("[K-28 C11] a redirect counts at the origin that it leads to, and at no circuit outside the guard", () =>
      Effect.gen(function*() {
        const foreign = "https://files.example"
        const api = scripted(({ url }) =>
          Effect.sync(() => {
            if (url === `${origin}/other`) return new Response(null, { status: 302, headers: { location: other } })
            if (url === `${origin}/file`) return new Response(null, { status: 302, headers: { location: foreign } })
            return new Response(null, { status: url.startsWith(origin) ? 200 : 503 })
          })
        )
        const guard = yield* guardOver(api, {
          source: makeSource().source,
          origins: [origin, other],
          resilience: { breaker, retry: { maxAttempts: 1 } }
        })
        for (let i = 0; i < 3; i++) {
          assert.deepInclude(yield* Effect.flip(guard.get("/file")), { _tag: "RetryExhausted" })
        }
        assert.strictEqual((yield* guard.get("/a")).status, 200)
        assert.deepInclude(yield* Effect.flip(guard.get("/other")), { _tag: "RetryExhausted" })
        assert.deepInclude(yield* Effect.flip(guard.get("/other")), { _tag: "CircuitOpen" })
        assert.strictEqual((yield* guard.get("/a")).status, 200)
      }))

    it.effect("[K-28 C11] the method of the hop decides: a GET after POST and 303 is retried, and the POST is not sent again", () =>
      Effect.gen(function*() {
        for (const status of [429, 503] as const) {
          const api = scripted(({ method }, number) =>
            Effect.sync(() => {
              if (method === "POST") return new Response(null, { status: 303, headers: { location: "/result" } })
              return new Response(null, { status: number < 4 ? status : 200 })
            })
          )
          const guard = yield* guardOver(api, { source: makeSource().source, resilience: { retry } })
          const { exit } = yield* runOut(
            guard.send("order", HttpClientRequest.post("/order", { body: HttpBody.text("one") }))
          )
          assert.strictEqual(exit._tag, "Success")
          if (exit._tag === "Failure") return
          assert.deepInclude(exit.value, { kind: "success", attempts: 3 })
          assert.deepStrictEqual(api.received.map(({ method }) => method), ["POST", "GET", "GET", "GET"])
        }
      }))

    it.effect("[K-28 C11] a POST that a redirect repeats is not retried", () =>
      Effect.gen(function*() {
        const api = scripted(({ url }) =>
          Effect.sync(() =>
            url === `${origin}/a`
              ? new Response(null, { status: 307, headers: { location: "/b" } })
              : new Response(null, { status: 503 })
          )
        )
        const guard = yield* guardOver(api, { source: makeSource().source, resilience: { retry } })
        const error = yield* Effect.flip(guard.post("/a", { body: HttpBody.text("one") }))
        assert.deepInclude(error, { _tag: "RetryExhausted", stoppedBy: "unsafeMethod" })
        assert.strictEqual(api.received.length, 2)
      }))

    it.effect("[K-28 C11] the deadline is for the call with all its redirects", () =>
      Effect.gen(function*() {
        const api = scripted(({ url }) =>
          Effect.delay(
            Effect.sync(() => new Response(null, { status: 302, headers: { location: `${new URL(url).pathname}x` } })),
            "700 millis"
          )
        )
        const guard = yield* guardOver(api, {
          source: makeSource().source,
          origins: [origin, other],
          resilience: { deadline: "2 seconds" },
          maxRedirects: 10
        })
        const fiber = yield* Effect.forkChild(Effect.flip(guard.get("/a")), { startImmediately: true })
        yield* TestClock.adjust("1999 millis")
        assert.strictEqual(fiber.pollUnsafe(), undefined)
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "DeadlineExceeded" })
        assert.strictEqual(api.received.length, 3)
      }))

    it.effect("[K-28 C11] of the guard's deadline and the caller's, the earlier one ends the call", () =>
      Effect.gen(function*() {
        const api = scripted(({ url }) =>
          Effect.delay(
            Effect.sync(() => new Response(null, { status: 302, headers: { location: `${new URL(url).pathname}x` } })),
            "700 millis"
          )
        )
        const guard = yield* guardOver(api, {
          source: makeSource().source,
          resilience: { deadline: "2 seconds" },
          maxRedirects: 10
        })
        for (const [own, ends] of [["1 second", 1000], ["3 seconds", 2000]] as const) {
          const clock = yield* Clock.Clock
          const until = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(own)
          const call = Effect.provideService(Effect.flip(guard.get("/")), Deadline.CurrentDeadline, until)
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          yield* TestClock.adjust(ends - 1)
          assert.strictEqual(fiber.pollUnsafe(), undefined, own)
          yield* TestClock.adjust(1)
          assert.deepInclude(yield* Fiber.join(fiber), { _tag: "DeadlineExceeded" }, own)
        }
      }))

    it.effect("[K-28 J8] [S2-18] a 401 is replayed once in a call, also if an attempt is repeated", () =>
      Effect.gen(function*() {
        const source = makeSource()
        const api = scripted(statuses(401, 503, 401, 200))
        const guard = yield* guardOver(api, {
          source: source.source,
          resilience: { retry },
          policy: { refusalCooldown: "0 millis" }
        })
        const { exit } = yield* runOut(guard.get("/"))
        assert.strictEqual(exit._tag === "Success" ? exit.value.status : exit._tag, 401)
        assert.deepStrictEqual([api.received.length, source.asked()], [3, 2])
      }))
  })

  describe("send", () => {
    const outcomeOf = (
      reply: Reply,
      options: Partial<TokenGuard.Options> = {},
      request = HttpClientRequest.get("/")
    ) =>
      Effect.gen(function*() {
        const api = scripted(reply)
        const guard = yield* guardOver(api, { source: makeSource().source, ...options })
        const { exit } = yield* runOut(guard.send("append_rows", request))
        if (exit._tag === "Failure") return yield* exit
        return exit.value
      })

    it.effect("[S2-20] fails without a valid token, and sends nothing", () =>
      Effect.gen(function*() {
        const source = makeSource()
        source.isDown = true
        const api = scripted(statuses())
        const guard = yield* guardOver(api, { source: source.source })
        const error = yield* Effect.flip(guard.send("append_rows", HttpClientRequest.get("/")))
        assert.deepInclude(error, { code: "NETWORK_ERROR" })
        assert.isEmpty(api.received)
      }))

    it.effect("[S2-13] [S2-21] returns operation, attempts, success and elapsed time", () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("5 seconds")
        const api = scripted(
          inTurn((request, number) => Effect.delay(statuses(503)(request, number), "1 second"), statuses(0, 204))
        )
        const guard = yield* guardOver(api, {
          source: makeSource().source,
          resilience: { retry: { ...retry, jitter: "none" } }
        })
        const { exit } = yield* runOut(guard.send("open_channel", HttpClientRequest.put("/channels/1")))
        assert.strictEqual(exit._tag, "Success")
        if (exit._tag === "Failure") return
        const { response, ...outcome } = exit.value
        assert.deepStrictEqual(outcome, {
          operation: "open_channel",
          attempts: 2,
          success: true,
          kind: "success",
          elapsed: Duration.nanos(1_200_000_000n),
          error: undefined
        })
        assert.strictEqual(response?.status, 204)
      }))

    it.effect("[S2-12] [S2-17] distinguishes forwarded, unauthorized, exhausted and non-retryable outcomes", () =>
      Effect.gen(function*() {
        const always = (status: number): Reply => () => Effect.sync(() => new Response(null, { status }))
        const post = HttpClientRequest.post("/", { body: HttpBody.text("row") })
        const upload = HttpClientRequest.put("/", { body: HttpBody.raw(new ReadableStream()) })
        const kinds = [
          [yield* outcomeOf(always(200)), "success", 1],
          [yield* outcomeOf(always(304)), "success", 1],
          [yield* outcomeOf(always(400)), "forwarded", 1],
          [yield* outcomeOf(always(404)), "forwarded", 1],
          [yield* outcomeOf(always(401)), "unauthorized", 2],
          [yield* outcomeOf(always(500)), "nonRetryable", 1],
          [yield* outcomeOf(always(429)), "exhausted", 1],
          [yield* outcomeOf(always(503), { resilience: { retry } }), "exhausted", 4],
          [yield* outcomeOf(always(503), { resilience: { retry } }, post), "forwarded", 1],
          [yield* outcomeOf(broken, { resilience: { retry } }), "exhausted", 4],
          [yield* outcomeOf(broken, { resilience: { retry } }, post), "nonRetryable", 1],
          [yield* outcomeOf(always(503), { resilience: { retry } }, upload), "forwarded", 1],
          [yield* outcomeOf(broken, { resilience: { retry } }, upload), "nonRetryable", 1],
          [yield* outcomeOf(unsendable), "nonRetryable", 1],
          [yield* outcomeOf(unreadable), "nonRetryable", 1],
          [yield* outcomeOf(broken), "exhausted", 1],
          [yield* outcomeOf(() => Effect.never, { resilience: { deadline: "1 second" } }), "exhausted", 1],
          [yield* outcomeOf(always(200), {}, HttpClientRequest.get("https://elsewhere.example")), "nonRetryable", 0]
        ] as const
        for (const [index, [outcome, kind, attempts]] of kinds.entries()) {
          assert.deepInclude(outcome, { kind, attempts, success: kind === "success" }, String(index))
        }
      }))

    it.effect("[S2-17] is exhausted if the circuit is open", () =>
      Effect.gen(function*() {
        const guard = yield* guardOver(scripted(statuses(503)), {
          source: makeSource().source,
          resilience: { breaker: { failureThreshold: 1 }, retry: { maxAttempts: 1 } }
        })
        yield* guard.send("append_rows", HttpClientRequest.get("/"))
        const outcome = yield* guard.send("append_rows", HttpClientRequest.get("/"))
        assert.deepInclude(outcome, { kind: "exhausted", attempts: 0, response: undefined })
        assert.deepInclude(outcome.error, { _tag: "CircuitOpen" })
      }))

    it.effect("[S2-17] has a response only if it may be read: not that of an error while reading it", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* outcomeOf(unreadable)).response, undefined)
        const refused = yield* outcomeOf(
          () => Effect.sync(() => new Response(null, { status: 503 })),
          { resilience: { retry } },
          HttpClientRequest.post("/")
        )
        assert.strictEqual(refused.response?.status, 503)
      }))

    it.effect("[S2-20] has a span with the server and the operation", () => {
      const { record, spans } = recording()
      return record(Effect.gen(function*() {
        yield* outcomeOf(statuses())
        const span = spans.find(({ name }) => name === "TokenGuard.send")
        assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), { server: "api", operation: "append_rows" })
      }))
    })

    it.effect("[S2-17] [S2-18] is unauthorized if the rejected token cannot be replaced", () =>
      Effect.gen(function*() {
        const source = makeSource()
        const api = scripted(statuses(401))
        const guard = yield* guardOver(api, { source: source.source, resilience: { retry, breaker: {} } })
        yield* guard.provider.get
        source.isDown = true
        const outcome = yield* guard.send("discover_ingest_host", HttpClientRequest.get(`${origin}/host`))
        assert.deepInclude(outcome, { kind: "unauthorized", attempts: 1, success: false })
        assert.deepInclude(outcome.error, { code: "NETWORK_ERROR" })
      }))
  })
})
