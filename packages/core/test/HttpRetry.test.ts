import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type Answer, httpOrigin, type Origin, selfSignedOrigin } from "@keelson/testing/httpOrigin"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Exit, Fiber, Option, Queue, Schedule, type Scope, Stream } from "effect"
import {
  FetchHttpClient,
  HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { ErrorCode, HttpRetry, Retry, RetryBudget, RetryPolicy } from "../src/index.ts"

const at = (maxAttempts: number) => RetryPolicy.make({ maxAttempts, initialDelay: "0 millis", jitter: "none" })
const cutting = RetryPolicy.make({ initialDelay: "0 millis", jitter: "none", attemptTimeout: "500 millis" })

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrThrow(Exit.findErrorOption(exit))

const exhausted = (exit: Exit.Exit<unknown, unknown>): Retry.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  assert.instanceOf(error, Retry.RetryExhausted)
  return error
}

const responseOf = (exit: Exit.Exit<unknown, unknown>): HttpClientResponse.HttpClientResponse => {
  const { error } = exhausted(exit)
  assert(HttpClientError.isHttpClientError(error) && error.response !== undefined)
  return error.response
}

/** Sends one request through a retry, over `fetch` where no other client is given. */
const send = (
  request: HttpClientRequest.HttpClientRequest,
  policy: RetryPolicy.RetryPolicy<unknown, unknown>,
  options?: HttpRetry.Options
) =>
  Effect.flatMap(
    HttpClient.HttpClient,
    (client) => Effect.exit(HttpRetry.retry(client, policy, options).execute(request))
  )

const get = (origin: Origin, policy: RetryPolicy.RetryPolicy<unknown, unknown>) =>
  send(HttpClientRequest.get(origin.url), policy)

const statusOf = (exit: Exit.Exit<HttpClientResponse.HttpClientResponse, unknown>) =>
  Exit.isSuccess(exit) ? exit.value.status : undefined

const retried: ReadonlyArray<Answer> = [429, 502, 503, 504, "reset", "hang"]
const passing: ReadonlyArray<Answer> = [200, 201, 304, 404, 500]

/** Moves the virtual time on whenever a request hangs, so that its attempt is cut. */
const cutHangs = Effect.fnUntraced(function*(origin: Origin) {
  const hangs = yield* Queue.unbounded<void>()
  origin.onHang = () => Queue.offerUnsafe(hangs, undefined)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(hangs), TestClock.adjust("500 millis"))))
})

describe("HttpRetry", () => {
  describe("calls, counted at a real server", () => {
    it("[K-12] makes as many calls as it takes, and never a fourth, for any mix of failures", (context) =>
      forAllEffect(
        context,
        150,
        fc.array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...retried) }, fc.constantFrom(...passing)), {
          maxLength: 6
        }),
        (script: ReadonlyArray<Answer>) =>
          Effect.gen(function*() {
            const origin = yield* httpOrigin(...script)
            yield* cutHangs(origin)
            const exit = yield* get(origin, cutting)
            const firstPassing = script.findIndex((answer) => passing.includes(answer))
            const needed = firstPassing === -1 ? script.length + 1 : firstPassing + 1
            assert.strictEqual(origin.received.length, Math.min(3, needed))
            assert.strictEqual(Exit.isSuccess(exit), needed <= 3)
            if (needed <= 3) assert.strictEqual(statusOf(exit), script[needed - 1] ?? 200)
            else assert.strictEqual(exhausted(exit).attempts.length, 3)
          }).pipe(Effect.provide(FetchHttpClient.layer))
      ))

    it.live.each(
      [
        ["fetch", FetchHttpClient.layer],
        ["undici", NodeHttpClient.layerUndici],
        ["node:http", NodeHttpClient.layerNodeHttp]
      ] as const
    )("[S0-11] retries by status and by transport error with the client of %s", ([, client]) =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503, "reset", 429, { status: 200, body: "at last" })
        const exit = yield* get(origin, at(4))
        assert.strictEqual(origin.received.length, 4)
        assert.strictEqual(yield* (yield* exit).text, "at last")
      }).pipe(Effect.provide(client)))

    it.live("[S0-02] does not retry a 500, unless the policy names it; a 404 passes through", () =>
      Effect.gen(function*() {
        for (const status of [500, 404, 400, 301]) {
          const origin = yield* httpOrigin(status)
          const response = yield* yield* get(origin, at(3)).pipe(
            Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
          )
          assert.deepStrictEqual([response.status, origin.received.length], [status, 1])
        }
        const origin = yield* httpOrigin(500)
        const named = RetryPolicy.make({ initialDelay: "0 millis", statuses: [500] })
        assert.strictEqual(statusOf(yield* get(origin, named)), 200)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("retries below, and stops at, a client that turns statuses into errors", () =>
      Effect.gen(function*() {
        const strict = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
        const client = HttpRetry.retry(strict, at(3))
        for (const status of [404, 408, 500]) {
          const origin = yield* httpOrigin(503, status)
          const error = errorOf(yield* Effect.exit(client.get(origin.url)))
          assert(HttpClientError.isHttpClientError(error))
          assert.deepStrictEqual([error.response?.status, origin.received.length], [status, 2])
        }
        const down = yield* httpOrigin(503, 503, 503, 503)
        assert.strictEqual(responseOf(yield* Effect.exit(client.get(down.url))).status, 503)
        assert.strictEqual(down.received.length, 3)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("sends the same body and headers again", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503, "reset")
        const request = HttpClientRequest.put(origin.url, { headers: { "x-request": "7" } }).pipe(
          HttpClientRequest.bodyJsonUnsafe({ amount: 3 })
        )
        assert.strictEqual(statusOf(yield* send(request, at(3))), 200)
        const sent = origin.received.map(({ body, headers }) => [body, headers["x-request"]])
        assert.deepStrictEqual(sent, Array.from({ length: 3 }, () => [`{"amount":3}`, "7"]))
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[K-17] stops where the budget is spent", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503, 503, 503, 503)
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.1, window: "10 seconds" })
        const policy = RetryPolicy.make({ maxAttempts: 5, initialDelay: "0 millis", jitter: "none", budget })
        assert.strictEqual(exhausted(yield* get(origin, policy)).stoppedBy, "budget")
        assert.strictEqual(origin.received.length, 2)
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  })

  describe("what must not be repeated", () => {
    const post = (origin: Origin) => HttpClientRequest.post(origin.url).pipe(HttpClientRequest.bodyText("pay"))

    it.live.each(["POST", "PATCH"] as const)(
      "[K-13] does not repeat a %s without an Idempotency-Key",
      (method) =>
        Effect.gen(function*() {
          for (const answer of [503, "reset", { status: 429, headers: { "retry-after": "0" } }] as const) {
            const origin = yield* httpOrigin(answer)
            const exit = yield* send(HttpClientRequest.make(method)(origin.url), at(3))
            assert.strictEqual(exhausted(exit).stoppedBy, "unsafeMethod")
            assert.strictEqual(origin.received.length, 1)
          }
          const origin = yield* httpOrigin(503)
          const blank = HttpClientRequest.make(method)(origin.url, { headers: { "idempotency-key": " " } })
          assert.strictEqual(exhausted(yield* send(blank, at(3))).stoppedBy, "unsafeMethod")
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("[K-13] does not repeat a POST that timed out: it may have been carried out", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang")
        yield* cutHangs(origin)
        const exit = yield* send(post(origin), cutting)
        assert.strictEqual(origin.received.length, 1)
        assert.strictEqual(exhausted(exit).stoppedBy, "unsafeMethod")
        assert.strictEqual(exhausted(exit).code, "TIMEOUT")
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live.each(["POST", "PATCH"] as const)(
      "repeats a %s with an Idempotency-Key, the same one",
      (method) =>
        Effect.gen(function*() {
          const origin = yield* httpOrigin(503, "reset")
          const request = HttpClientRequest.make(method)(origin.url, { headers: { "Idempotency-Key": "k1" } })
          assert.strictEqual(statusOf(yield* send(request, at(3))), 200)
          assert.deepStrictEqual(origin.received.map(({ headers }) => headers["idempotency-key"]), ["k1", "k1", "k1"])
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("repeats a POST with the Idempotency-Key of its first attempt, although a mapper makes a new one for each", () =>
      Effect.gen(function*() {
        const received: Array<string | undefined> = []
        let made = 0
        const client = HttpClient.make((request) =>
          Effect.sync(() => {
            received.push(request.headers["idempotency-key"])
            const status = received.length % 3 === 0 ? 200 : 503
            return HttpClientResponse.fromWeb(request, new Response(null, { status }))
          })
        ).pipe(
          HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "Idempotency-Key", `k${++made}`)),
          HttpRetry.retry(at(3))
        )
        yield* client.post("https://billing.example/invoices")
        yield* client.post("https://billing.example/invoices")
        assert.deepStrictEqual(received, ["k1", "k1", "k1", "k4", "k4", "k4"])
      }))

    it.effect.each([200, 503] as const)(
      "does not repeat a POST of a client that sends another request than the prepared one (%s)",
      (status) =>
        Effect.gen(function*() {
          let received = 0
          const own = HttpClientRequest.post("https://billing.example/invoices")
          const sending = Effect.suspend(() => {
            received++
            const response = HttpClientResponse.fromWeb(own, new Response(null, { status }))
            return status === 503
              ? Effect.succeed(response)
              : Effect.fail(
                new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request: own }) })
              )
          })
          const client = HttpRetry.retry(
            HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(() => sending, Effect.succeed),
            at(3)
          )
          const exit = yield* Effect.exit(client.execute(own))
          assert.strictEqual(exhausted(exit).stoppedBy, "unsafeMethod")
          assert.strictEqual(received, 1)
        })
    )

    it.live.each(["PUT", "DELETE", "HEAD", "OPTIONS"] as const)("repeats a %s", (method) =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503)
        assert.strictEqual(statusOf(yield* send(HttpClientRequest.make(method)(origin.url), at(3))), 200)
        assert.strictEqual(origin.received.length, 2)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("repeats a POST where the caller says that it may be", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503)
        const exit = yield* send(post(origin), at(3), { allowUnsafe: ({ method }) => method === "POST" })
        assert.strictEqual(statusOf(exit), 200)
        assert.deepStrictEqual(origin.received.map(({ body }) => body), ["pay", "pay"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    const chunk = new TextEncoder().encode("chunk")
    const put = HttpClientRequest.put
    it.live.each(
      [
        ["a stream", (url: string) => put(url).pipe(HttpClientRequest.bodyStream(Stream.make(chunk)))],
        ["a raw ReadableStream", (url: string) => {
          const body = new ReadableStream({
            start(controller) {
              controller.enqueue(chunk)
              controller.close()
            }
          })
          return put(url).pipe(HttpClientRequest.setBody(HttpBody.raw(body)))
        }]
      ] as const
    )("[K-13] does not replay %s", ([, request]) =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503)
        const exit = yield* send(request(origin.url), at(3))
        assert.strictEqual(exhausted(exit).stoppedBy, "bodyNotReplayable")
        assert.deepStrictEqual(origin.received.map(({ body }) => body), ["chunk"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("replays a stream where the caller says that it gives the same again", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503)
        const request = put(origin.url).pipe(HttpClientRequest.bodyStream(Stream.make(chunk)))
        assert.strictEqual(statusOf(yield* send(request, at(3), { allowStreams: () => true })), 200)
        assert.deepStrictEqual(origin.received.map(({ body }) => body), ["chunk", "chunk"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  })

  describe("connections", () => {
    const endless = { status: 503, endless: true }

    type Adapt = (
      client: HttpClient.HttpClient
    ) => HttpClient.HttpClient.With<HttpClientError.HttpClientError, Scope.Scope>
    const asItIs: Adapt = HttpClient.tap(() => Effect.scope)
    const inScope: Adapt = HttpClient.withScope

    it.live.each(
      [
        ["fetch", FetchHttpClient.layer, asItIs],
        ["undici", NodeHttpClient.layerUndici, asItIs],
        ["node:http", NodeHttpClient.layerNodeHttp, asItIs],
        ["fetch in a scope", FetchHttpClient.layer, inScope],
        ["undici in a scope", NodeHttpClient.layerUndici, inScope],
        ["node:http in a scope", NodeHttpClient.layerNodeHttp, inScope]
      ] as const
    )("closes the connection of a response that it discards, with %s", ([, layer, adapt]) =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(endless, endless)
        const client = HttpRetry.retry(adapt(yield* HttpClient.HttpClient), at(3))
        const response = yield* client.get(origin.url)
        assert.deepStrictEqual([response.status, origin.received.length], [200, 3])
        yield* eventually(() => origin.aborted() === 2)
      }).pipe(Effect.provide(layer)))

    const thrown = new Error("a callback that throws")
    const throwing = () => {
      throw thrown
    }
    it.live.each<readonly [string, HttpRetry.Options, RetryPolicy.Options?]>([
      ["while", { while: throwing }],
      ["while, of a status that is not listed", { while: throwing }, { statuses: [] }],
      ["retryAfter", { retryAfter: throwing }],
      ["retryAfter, with a schedule", { retryAfter: throwing }, { schedule: Schedule.recurs(3) }],
      ["failureClass", { failureClass: throwing }, { throttled: { initialDelay: "1 second" } }],
      ["onRetry", { onRetry: throwing }],
      ["onRetry, as an effect", { onRetry: () => Effect.die(thrown) }]
    ])(
      "[K-32] closes the connection of a response if a callback throws: %s",
      ([, options, more]) =>
        Effect.gen(function*() {
          const origin = yield* httpOrigin(endless, endless)
          const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "0 millis", jitter: "none", ...more })
          const client = HttpRetry.retry(yield* HttpClient.HttpClient, policy, options)
          const exit = yield* Effect.exit(client.get(origin.url))
          assert.deepStrictEqual(exit, Exit.die(thrown))
          yield* eventually(() => origin.aborted() === 1)
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.live("leaves the last response of a retry that gave up to be read", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin({ status: 503, body: "first" }, { status: 502, body: "last" })
        const response = responseOf(yield* get(origin, at(2)))
        assert.deepStrictEqual([response.status, yield* response.text], [502, "last"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.effect("aborts the request of an attempt that is cut", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang")
        yield* cutHangs(origin)
        assert.strictEqual(statusOf(yield* get(origin, cutting)), 200)
        yield* eventually(() => origin.aborted() === 1)
        assert.strictEqual(origin.received.length, 2)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[S0-12] ends at once when it is interrupted in a delay, and calls no more", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(endless)
        const slow = RetryPolicy.make({ initialDelay: "1 hour", jitter: "none" })
        const fiber = yield* Effect.forkChild(get(origin, slow))
        yield* eventually(() => origin.aborted() === 1)
        yield* Fiber.interrupt(fiber)
        yield* Effect.sleep("20 millis")
        assert.strictEqual(origin.received.length, 1)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[S0-12] aborts the request when it is interrupted in an attempt", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(503, "hang")
        const fiber = yield* Effect.forkChild(get(origin, at(3)))
        yield* eventually(() => origin.received.length === 2)
        yield* Fiber.interrupt(fiber)
        yield* eventually(() => origin.aborted() === 1)
        assert.strictEqual(origin.received.length, 2)
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  })

  describe("name resolution and TLS", () => {
    const id = (error: unknown) => ErrorCode.codeInfo[ErrorCode.codeOf(error) ?? "INTERNAL_ERROR"].id

    it.live.each(
      [["fetch", FetchHttpClient.layer], ["undici", NodeHttpClient.layerUndici]] as const
    )(
      "[R27] retries a name that does not resolve, and calls it NET-002, with %s",
      ([, client]) =>
        Effect.gen(function*() {
          const error = exhausted(yield* send(HttpClientRequest.get("http://keelson.invalid/"), at(2)))
          assert.deepStrictEqual([error.attempts.length, id(error)], [2, "NET-002"])
        }).pipe(Effect.provide(client))
    )

    it.live.each(
      [
        ["fetch", FetchHttpClient.layer],
        ["undici", NodeHttpClient.layerUndici],
        ["node:http", NodeHttpClient.layerNodeHttp]
      ] as const
    )(
      "[R27] does not retry a certificate that nobody trusts, and calls it NET-003, with %s",
      ([, client]) =>
        Effect.gen(function*() {
          const origin = yield* selfSignedOrigin
          let retries = 0
          const exit = yield* send(HttpClientRequest.get(origin.url), at(3), { onRetry: () => void retries++ })
          assert.isTrue(HttpClientError.isHttpClientError(errorOf(exit)))
          assert.strictEqual(id(errorOf(exit)), "NET-003")
          assert.deepStrictEqual([retries, origin.received.length], [0, 0])
        }).pipe(Effect.provide(client))
    )

    it.live("[R27] calls a server that does not speak TLS NET-003", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin()
        const exit = yield* send(HttpClientRequest.get(origin.url.replace("http:", "https:")), at(3))
        assert.strictEqual(id(errorOf(exit)), "NET-003")
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[R27] retries a port where nobody listens, and calls it NET-002", () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.scoped(httpOrigin())
        const error = exhausted(yield* send(HttpClientRequest.get(url), at(3)))
        assert.deepStrictEqual([error.attempts.length, id(error)], [3, "NET-002"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  })
})
