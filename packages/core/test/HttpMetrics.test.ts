import { assert, describe, it } from "@effect/vitest"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { Cause, Effect, Exit, Fiber, Metric } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { HttpMetrics, HttpRetry, Metrics, RetryPolicy } from "../src/index.ts"

const isolated = Effect.provide([FetchHttpClient.layer, Metrics.layerIsolated])

/** `http_requests_total` by status. */
const requests = Effect.map(
  Metric.snapshot,
  (all) =>
    Object.fromEntries(
      all.flatMap(({ attributes, id, state, type }) =>
        id === "keelson_http_requests_total" && type === "Counter" ? [[attributes?.["status"], state.count]] : []
      )
    )
)

const durations = Effect.map(
  Metric.snapshot,
  (all) =>
    all.flatMap(({ attributes, id, state, type }) =>
      id === "keelson_http_request_duration_seconds" && type === "Histogram" ? [{ ...state, attributes }] : []
    )
)

const fast = RetryPolicy.make({ initialDelay: "0 millis" })
const measured = HttpMetrics.client({ endpoint: "invoices" })

/** Answers, or fails, after a second. */
const slow = (answer: Effect.Effect<HttpClientResponse.HttpClientResponse>) =>
  HttpClient.make(() => Effect.delay(answer, "1 second")).pipe(measured)

describe("HttpMetrics", () => {
  it.live("[S3-29] counts requests to a real server by method, endpoint and status", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(200, 404, 503, "reset")
      const client = measured(yield* HttpClient.HttpClient)
      for (let n = 0; n < 4; n++) yield* Effect.exit(client.get(`${origin.url}secret/${n}?q=1`))
      yield* client.post(origin.url)
      const counted = (yield* Metric.snapshot).filter(({ id }) => id === "keelson_http_requests_total")
      assert.deepStrictEqual(yield* requests, { 200: 1, 404: 1, 503: 1, error: 1 })
      assert.deepStrictEqual(counted.map(({ attributes }) => attributes?.["method"]), [
        "GET",
        "GET",
        "GET",
        "GET",
        "POST"
      ])
      assert.isTrue(counted.every(({ attributes }) => attributes?.["endpoint"] === "invoices"))
      assert.notInclude(JSON.stringify(counted.map(({ attributes }) => attributes)), "127.0.0.1")
    }).pipe(isolated))

  it.live("counts attempts below a retry", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(503, 502)
      yield* HttpRetry.retry(measured(yield* HttpClient.HttpClient), fast).get(origin.url)
      assert.deepStrictEqual(yield* requests, { 503: 1, 502: 1, 200: 1 })
    }).pipe(isolated))

  it.live("counts calls above a retry, by the status of the last response where there was one", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(503, 502, 200, 503, 503, 502, "reset", "reset", "reset")
      const client = measured(HttpRetry.retry(yield* HttpClient.HttpClient, fast))
      for (let n = 0; n < 3; n++) yield* Effect.exit(client.get(origin.url))
      assert.deepStrictEqual(yield* requests, { 200: 1, 502: 1, error: 1 })
    }).pipe(isolated))

  it.live("counts a response that was turned into an error by its status", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(404)
      const client = measured(HttpClient.filterStatusOk(yield* HttpClient.HttpClient))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(client.get(origin.url))))
      assert.deepStrictEqual(yield* requests, { 404: 1 })
    }).pipe(isolated))

  it.effect("[S3-29] times a request until the head of its response, in seconds, an interrupted one too", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(slow(Effect.never).get("http://origin.test/"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(fiber)
      const [found] = yield* durations
      assert.deepStrictEqual(found?.attributes, { method: "GET", endpoint: "invoices" })
      assert.deepStrictEqual([found?.count, found?.sum], [1, 3])
      assert.deepStrictEqual(yield* requests, { error: 1 })
    }).pipe(isolated))

  it.effect("passes the response and the failure on as they are", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.exit(slow(Effect.die("defect")).get("http://origin.test/")))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(fiber)
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "defect")
      assert.deepStrictEqual(yield* requests, { error: 1 })
    }).pipe(isolated))
})
