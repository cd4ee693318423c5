import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Metric } from "effect"
import { HttpClient, HttpRouter } from "effect/http"
import parse from "parse-prometheus-text-format"
import { BreakerStore, Metrics, PrometheusEndpoint, Resilience } from "../src/index.ts"
import * as MetricSeries from "../src/unstable/MetricSeries.ts"

/** A real server with the routes, and metrics of its own. */
const serve = (routes: Layer.Layer<never, never, HttpRouter.HttpRouter>, registry = Metrics.layerIsolated) =>
  HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layerTest),
    Layer.provideMerge(registry)
  )

const scrape = Effect.fnUntraced(function*(path = "/metrics") {
  const response = yield* HttpClient.get(path)
  return { status: response.status, type: response.headers["content-type"], text: yield* response.text }
})

const families = Effect.map(scrape(), ({ text }) => parse(text))

const names = Array.from(new Set(Object.values(MetricSeries.definitions).map(({ name }) => name)))

const kinds = Object.fromEntries(
  Object.values(MetricSeries.definitions).map(({ kind, name }) => [`keelson_${name}`, kind.toUpperCase()])
)

describe("PrometheusEndpoint", () => {
  it.effect("[S3-31] answers 200 in the text format, version 0.0.4", () =>
    Effect.gen(function*() {
      const { status, text, type } = yield* scrape()
      assert.strictEqual(status, 200)
      assert.match(type ?? "", /^text\/plain; version=0\.0\.4(;|$)/)
      assert.isTrue(text.endsWith("\n"))
    }).pipe(Effect.provide(serve(PrometheusEndpoint.layer()))))

  it.effect("[S3-31] shows every family with its kind and help before anything has happened", () =>
    Effect.gen(function*() {
      const found = yield* families
      assert.deepStrictEqual(Object.fromEntries(found.map(({ name, type }) => [name, type])), kinds)
      assert.isTrue(found.every(({ help }) => help.length > 10))
    }).pipe(Effect.provide(serve(PrometheusEndpoint.layer()))))

  it.effect("[S3-31] shows what was counted, with its labels, each family once", () =>
    Effect.gen(function*() {
      const resilience = yield* Resilience.make("billing", { breaker: { failureThreshold: 1 } })
      yield* Effect.exit(resilience.execute(Effect.fail("down")))
      yield* Effect.exit(resilience.execute(Effect.void))
      yield* MetricSeries.observe("httpRequestDuration", { method: "GET", endpoint: "token" }, Duration.millis(20))
      const { text } = yield* scrape()
      const found = parse(text)
      const metrics = (name: string) => found.find((family) => family.name === `keelson_${name}`)?.metrics
      assert.deepStrictEqual(metrics("circuit_breaker_state"), [{ labels: { server: "billing" }, value: "1" }])
      assert.deepStrictEqual(metrics("circuit_breaker_rejections_total"), [{
        labels: { server: "billing" },
        value: "1"
      }])
      const [timed] = metrics("http_request_duration_seconds") ?? []
      assert.deepInclude(timed?.buckets, { "0.01": "0", "0.025": "1", "+Inf": "1" })
      assert.include(text, `keelson_http_request_duration_seconds_sum{method="GET",endpoint="token"} 0.02\n`)
      assert.deepStrictEqual(found.map(({ name }) => name).toSorted(), Object.keys(kinds).toSorted())
    }).pipe(Effect.provide([serve(PrometheusEndpoint.layer()), BreakerStore.layerMemory])))

  it.effect("shows metrics of the application beside ours, and odd label values unharmed", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.counter("orders_total"), 3)
      const server = "a\"b\\c\nd"
      yield* MetricSeries.increment("retryAttempts", { server })
      const { text } = yield* scrape()
      assert.include(text, "\norders_total 3\n")
      assert.include(text, String.raw`keelson_retry_attempts_total{server="a\"b\\c\nd"} 1`)
      assert.strictEqual(parse(text).find(({ name }) => name === "orders_total")?.metrics[0]?.value, "3")
    }).pipe(Effect.provide(serve(PrometheusEndpoint.layer()))))

  it.effect("shows a family with series of two kinds once", () =>
    Effect.gen(function*() {
      yield* MetricSeries.increment("cacheHits", { server: "a" })
      yield* MetricSeries.increment("tierHits", { layer: "memory", bucket: "b" })
      const { text } = yield* scrape()
      assert.lengthOf(text.match(/^# TYPE keelson_cache_hits_total /gm) ?? [], 1)
      const family = parse(text).find(({ name }) => name === "keelson_cache_hits_total")
      assert.sameDeepMembers((family?.metrics ?? []).map(({ labels }) => labels), [
        { server: "a" },
        { layer: "memory", bucket: "b" }
      ])
    }).pipe(Effect.provide(serve(PrometheusEndpoint.layer()))))

  it.effect.each(["shop_", "my-shop.", "7shop_", "shop__"])(
    "shows every family once under the prefix %s",
    (prefix) =>
      Effect.gen(function*() {
        yield* MetricSeries.increment("retryAttempts", { server: "a" })
        const { text } = yield* scrape()
        const declared = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? "")
        assert.lengthOf(new Set(declared), names.length)
        assert.lengthOf(declared, names.length)
        assert.isTrue(declared.every((name) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name) && name.includes("shop_")))
      }).pipe(
        Effect.provide(serve(PrometheusEndpoint.layer())),
        Effect.provideService(Metrics.Prefix, prefix)
      )
  )

  it.effect("[S3-31] answers 500 with a text that shows nothing, where a source fails, and recovers", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* MetricSeries.register("cacheHits", { server: "a" }, () => {
          throw new Error("password=hunter2 at /srv/app.ts")
        })
        const { status, text, type } = yield* scrape()
        assert.strictEqual(status, 500)
        assert.match(type ?? "", /^text\/plain/)
        assert.strictEqual(text, "Could not read the metrics\n")
      }))
      assert.strictEqual((yield* scrape()).status, 200)
    }).pipe(Effect.provide(serve(PrometheusEndpoint.layer()))))

  it.effect("[S1-33] installing twice is harmless", () =>
    Effect.gen(function*() {
      const found = yield* families
      assert.lengthOf(found, names.length)
    }).pipe(Effect.provide(serve(Layer.mergeAll(PrometheusEndpoint.layer(), PrometheusEndpoint.layer())))))

  it.effect("[S1-33] serves each of several paths, and nothing else", () =>
    Effect.gen(function*() {
      const statuses = yield* Effect.forEach(["/metrics", "/internal/metrics", "/other"], (path) => scrape(path))
      assert.deepStrictEqual(statuses.map(({ status }) => status), [200, 200, 404])
    }).pipe(
      Effect.provide(
        serve(Layer.mergeAll(PrometheusEndpoint.layer(), PrometheusEndpoint.layer({ path: "/internal/metrics" })))
      )
    ))

  it.effect("[S1-33] installs on a second server after the first, each with the registry it runs in", () =>
    Effect.gen(function*() {
      const count = Effect.andThen(MetricSeries.increment("retryAttempts", { server: "a" }), scrape())
      const layer = PrometheusEndpoint.layer()
      const once = Effect.provide(count, serve(layer), { local: true })
      const [first, second] = yield* Effect.all([once, once])
      for (const { text } of [first, second]) assert.include(text, `keelson_retry_attempts_total{server="a"} 1\n`)
    }))
})
