import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { runOut } from "@keelson/testing/virtualTime"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Schema } from "effect"
import {
  HttpClient,
  type HttpClientRequest,
  HttpClientResponse,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { BreakerStore, Deadline, HttpDeadline, KeelsonError, Metrics, Problem, Resilience } from "../src/index.ts"
import { readTimeout, writeTimeout } from "../src/internal/retry/deadlineHeader.ts"

const header = "x-request-timeout-ms"
const origins = ["http://billing.test"]

/** A client that responds by a script and keeps the requests. */
const recording = (respond: (url: string) => Response = () => new Response("paid")) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      requests.push(request)
      return HttpClientResponse.fromWeb(request, respond(request.url))
    })
  )
  return { client, sent: (name = header) => requests.map(({ headers }) => headers[name]) }
}

const services = Layer.merge(BreakerStore.layerMemory, Metrics.layerIsolated)

describe("HttpDeadline", () => {
  describe("client", () => {
    it.effect("[K-33] sends the time left, less what has passed, in whole milliseconds", () =>
      Effect.gen(function*() {
        const { client, sent } = recording()
        const timed = HttpDeadline.client({ origins })(client)
        const call = Effect.andThen(Effect.sleep("300 millis"), timed.get("http://billing.test/invoices?a=1"))
        yield* runOut(Deadline.within(call, "2 seconds"))
        assert.deepStrictEqual(sent(), ["1700"])
      }))

    it.effect("[K-33] sends nothing without a deadline, and nothing to another origin", () =>
      Effect.gen(function*() {
        const { client, sent } = recording()
        const timed = HttpDeadline.client({ origins })(client)
        yield* timed.get("http://billing.test/")
        for (
          const url of ["https://billing.test/", "http://billing.test:81/", "http://billing.test.evil/", "/relative"]
        ) {
          yield* Deadline.within(Effect.exit(timed.get(url)), "2 seconds")
        }
        assert.isTrue(sent().every((value) => value === undefined))
      }))

    it.effect("[K-33] after a redirect, another origin gets no header and the same origin the time left then", () =>
      Effect.gen(function*() {
        const moved = (location: string) => new Response(null, { status: 307, headers: { location } })
        const { client, sent } = recording((url) =>
          url.endsWith("/") ? moved("/b") : url.endsWith("/b") ? moved("http://evil.test/c") : new Response("paid")
        )
        const slow = HttpClient.tap(client, () => Effect.sleep("100 millis"))
        const timed = slow.pipe(HttpDeadline.client({ origins }), HttpClient.followRedirects())
        yield* runOut(Deadline.within(timed.get("http://billing.test/"), "2 seconds"))
        assert.deepStrictEqual(sent(), ["2000", "1900", undefined])
      }))

    it.effect("[K-33] each attempt of a Resilience sends the time that is left then, at most maximum", () =>
      Effect.gen(function*() {
        const { client, sent } = recording(() => new Response(null, { status: 503 }))
        const { http } = yield* Resilience.make("billing", {
          deadline: "3 seconds",
          retry: { maxAttempts: 3, initialDelay: "1 second", strategy: "fixed", jitter: "none" }
        })
        yield* runOut(
          http(HttpDeadline.client({ origins, maximum: "1500 millis" })(client)).get("http://billing.test/")
        )
        assert.deepStrictEqual(sent(), ["1500", "1500", "1000"])
      }).pipe(Effect.scoped, Effect.provide(services)))

    it.effect("[K-33] header chooses the name, and grpc-timeout the form of gRPC", () =>
      Effect.gen(function*() {
        const { client, sent } = recording()
        for (const header of ["grpc-timeout", "x-envoy-expected-rq-timeout-ms"]) {
          const timed = HttpDeadline.client({ origins, header })(client)
          yield* Deadline.within(timed.get("http://billing.test/"), "2 seconds")
        }
        assert.strictEqual(sent("grpc-timeout")[0], "2000m")
        assert.strictEqual(sent("x-envoy-expected-rq-timeout-ms")[1], "2000")
      }))

    it("[K-33] refuses no origins, a URL as an origin, and a name that is no header", () => {
      for (const options of [{ origins: [] }, { origins: ["http://a.test/b"] }, { origins, header: "a b" }]) {
        assert.throws(() => HttpDeadline.client(options), KeelsonError.ConfigurationError)
      }
      assert.throws(() => HttpDeadline.middleware({ maximum: "0 millis" }), KeelsonError.ConfigurationError)
    })
  })

  describe("the header", () => {
    it("[K-33] what is written is read back, never as no limit, and times above 115 days as 115 days", (context) => {
      const second = 1_000_000_000n
      const longest = 9_999_999_999n * 1_000_000n
      const nanos = fc.oneof(
        fc.bigInt({ min: -1n, max: 86_400n * second }),
        fc.bigInt({ min: 100_000n * second, max: 2n * longest })
      )
      forAll(context, 500, fc.tuple(fc.constantFrom("grpc-timeout", header), nanos), ([name, time]) => {
        const read = readTimeout(name, writeTimeout(name, time))
        assert(read !== undefined)
        const sent = time < longest ? time : longest
        assert.isTrue(read === 1_000_000n || (read <= sent && sent - read < second), `${name} ${time}`)
      })
    })

    it("[K-33] malformed, zero and overlong values count as absent, and no text throws", (context) => {
      for (
        const value of ["", "0", "-1", "1.5", "1e3", " 5", "5 ", "5, 6", "0x10", "99999999999", "Infinity", "5m", "٣"]
      ) {
        assert.isUndefined(readTimeout(header, value), value)
      }
      for (const value of ["", "5", "0m", "123456789m", "5s", "5 m", "m", "-5m", "1.5S", "5m, 6m"]) {
        assert.isUndefined(readTimeout("grpc-timeout", value), value)
      }
      assert.strictEqual(readTimeout("grpc-timeout", "2H"), 7_200_000_000_000n)
      assert.strictEqual(readTimeout("grpc-timeout", "99999999n"), 99_999_999n)
      forAll(context, 500, fc.string(), (text) => {
        readTimeout(header, text)
        readTimeout("grpc-timeout", text)
      })
    })
  })

  describe("middleware", () => {
    const request = (headers: Record<string, string> = {}) =>
      HttpServerRequest.fromWeb(new Request("http://billing.test/", { headers }))

    /** The time that a handler sees. */
    const seen = (headers: Record<string, string>, options?: HttpDeadline.ServerOptions) =>
      Effect.gen(function*() {
        let left: Duration.Duration | undefined
        const handler = Effect.map(Deadline.remaining, (time) => {
          left = time
          return HttpServerResponse.empty()
        })
        yield* Effect.provideService(
          HttpDeadline.middleware(options)(handler),
          HttpServerRequest.HttpServerRequest,
          request(headers)
        )
        return Duration.toMillis(left!)
      })

    it.effect("[K-33] the handler's deadline is that of the header, at most maximum", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* seen({ [header]: "1500" }), 1500)
        assert.strictEqual(yield* seen({ [header]: "1500" }, { maximum: "1 second" }), 1000)
        assert.strictEqual(yield* seen({}, { maximum: "1 second" }), 1000)
        for (const value of ["-1", "soon", "9999999999", "99999999999999999999", "1500, 10"]) {
          assert.strictEqual(yield* seen({ [header]: value }), 30_000, value)
        }
        assert.strictEqual(yield* seen({ "grpc-timeout": "2S" }, { header: "grpc-timeout" }), 2000)
        assert.strictEqual(yield* Deadline.within(seen({ [header]: "1500" }), "1 second"), 1000)
      }))

    it.effect("[K-33] answers 504 as a problem when the time is over, and interrupts the handler", () =>
      Effect.gen(function*() {
        let isInterrupted = false
        const handler = Effect.onInterrupt(Effect.never, () => Effect.sync(() => isInterrupted = true))
        const app = Effect.provideService(
          HttpDeadline.middleware()(handler),
          HttpServerRequest.HttpServerRequest,
          request({ [header]: "250" })
        )
        const { elapsed, exit } = yield* runOut(app)
        assert(Exit.isSuccess(exit))
        assert.deepStrictEqual([Duration.toMillis(elapsed), exit.value.status, isInterrupted], [250, 504, true])
        assert.strictEqual(exit.value.headers["content-type"], "application/problem+json")
        const web = HttpServerResponse.toWeb(exit.value)
        const body = yield* Effect.promise(() => web.json())
        assert.strictEqual(Schema.decodeUnknownSync(Problem.Body)(body).code, "NET-001")
      }))

    it.effect("[K-33] an error of the handler passes unchanged, also one like that of the deadline", () =>
      Effect.gen(function*() {
        const own = new Deadline.DeadlineExceeded({ limit: "attempt", after: Duration.seconds(1) })
        const exit = yield* Effect.exit(Effect.provideService(
          HttpDeadline.middleware()(Effect.fail(own)),
          HttpServerRequest.HttpServerRequest,
          request()
        ))
        assert.deepStrictEqual(exit, Exit.fail(own))
      }))

    it.effect("[K-33] with detach the response does not wait for the finalizers of the handler", () =>
      Effect.gen(function*() {
        const handler = Effect.onInterrupt(Effect.never, () => Effect.sleep("10 seconds"))
        for (const [detach, millis] of [[true, 1000], [false, 11_000]] as const) {
          const app = HttpDeadline.middleware({ detach, maximum: "1 second" })(handler)
          const { elapsed } = yield* runOut(
            Effect.provideService(app, HttpServerRequest.HttpServerRequest, request())
          )
          assert.strictEqual(Duration.toMillis(elapsed), millis)
        }
      }))

    it.effect("[K-33] crosses a real server: the handler has what is left of the caller's deadline, and answers 504", () =>
      Effect.gen(function*() {
        const began = yield* Deferred.make<Duration.Duration | undefined>()
        const slow = Effect.andThen(
          Effect.flatMap(Deadline.remaining, (left) => Deferred.succeed(began, left)),
          Effect.never
        )
        yield* Layer.build(HttpRouter.serve(
          Layer.merge(
            HttpRouter.add("GET", "/slow", slow),
            HttpRouter.middleware(HttpDeadline.middleware({ maximum: "10 seconds" }), { global: true })
          ),
          { disableListenLog: true, disableLogger: true }
        ))
        const server = yield* HttpClient.HttpClient
        let url = ""
        const capture = HttpClient.mapRequest(server, (request) => {
          url = new URL(request.url).origin
          return request
        })
        yield* Effect.exit(capture.get("/missing"))
        const client = HttpDeadline.client({ origins: [url], maximum: "400 millis" })(server)
        const fiber = yield* Effect.forkChild(Deadline.within(client.get("/slow"), "2 seconds"), {
          startImmediately: true
        })
        assert.deepStrictEqual(Duration.toMillis((yield* Deferred.await(began))!), 400)
        yield* TestClock.adjust("400 millis")
        const response = yield* Fiber.join(fiber)
        assert.strictEqual(response.status, 504)
      }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)))
  })
})
