import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { ConfigProvider, Duration, Effect, Layer, Schema, type Scope } from "effect"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import { join } from "node:path"
import * as Telemetry from "../../examples/src/telemetry.ts"

const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Unknown }))
const Named = Schema.Struct({ name: Schema.String })
const Resource = Schema.Struct({ attributes: Attributes })

/** What of OTLP the test looks at, in its JSON form. */
const Export = Schema.fromJsonString(Schema.Struct({
  resourceSpans: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({ resource: Resource, scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Named) })) })
    )
  ),
  resourceMetrics: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({ resource: Resource, scopeMetrics: Schema.Array(Schema.Struct({ metrics: Schema.Array(Named) })) })
    )
  )
}))
type Export = typeof Export.Type

interface Received {
  readonly path: string
  readonly body: string
}

/** A collector on a free loopback port that keeps what it gets. */
const makeCollector: Effect.Effect<
  { readonly url: string; readonly received: ReadonlyArray<Received> },
  never,
  Scope.Scope
> = Effect.gen(function*() {
  const received: Array<Received> = []
  const server = Http.createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => body += String(chunk))
    request.on("end", () => {
      received.push({ path: request.url ?? "", body })
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )
  const address = server.address()
  const port = typeof address === "object" ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}`, received }
})

/** A program that counts something within a span, until its telemetry has been flushed. */
const runWith = (variables: Readonly<Record<string, string>>) =>
  MetricSeries.increment("retryAttempts", { server: "orders" }, 3).pipe(
    Effect.withSpan("call"),
    Effect.provide(Telemetry.layer("survival").pipe(Layer.provideMerge(Metrics.layerIsolated))),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: variables }))
  )

const exportsOf = (received: ReadonlyArray<Received>, path: string): ReadonlyArray<Export> =>
  received.filter((request) => request.path === path).map(({ body }) => Schema.decodeUnknownSync(Export)(body))

const serviceOf = (attributes: typeof Attributes.Type): unknown =>
  attributes.find(({ key }) => key === "service.name")?.value

const read = (path: string) => readFileSync(join(import.meta.dirname, "../..", path), "utf8")

describe("telemetry of the examples", () => {
  it("the guide shows what the module does", () => {
    const [, shown = ""] = /```ts\n(NodeSdk\.layer[\s\S]*?)```/.exec(read("docs/guides/observability.md")) ?? []
    const flat = (text: string) => text.replaceAll(/\s+/g, " ").trim()
    assert.isNotEmpty(shown)
    assert.include(flat(read("examples/src/telemetry.ts")), flat(shown))
  })

  // The end waits for the collector for two seconds, of virtual time here: it waits as long as it takes.
  it.effect("sends spans and metrics to the collector that the environment names, before it ends", () =>
    Effect.gen(function*() {
      const { received, url } = yield* makeCollector
      yield* runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: url })
      const [spans] = exportsOf(received, "/v1/traces").flatMap(({ resourceSpans = [] }) => resourceSpans)
      assert.deepStrictEqual(spans?.scopeSpans.flatMap((scope) => scope.spans.map(({ name }) => name)), ["call"])
      const [metrics] = exportsOf(received, "/v1/metrics").flatMap(({ resourceMetrics = [] }) => resourceMetrics)
      assert.deepStrictEqual(metrics?.scopeMetrics.flatMap((scope) => scope.metrics.map(({ name }) => name)), [
        "keelson_retry_attempts_total"
      ])
      for (const signal of [spans, metrics]) {
        assert.deepStrictEqual(serviceOf(signal?.resource.attributes ?? []), { stringValue: "survival" })
      }
    }))

  it.effect("takes the service's name from the environment, and keeps the path of an endpoint", () =>
    Effect.gen(function*() {
      const { received, url } = yield* makeCollector
      yield* runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/otlp/`, OTEL_SERVICE_NAME: "shop" })
      assert.deepStrictEqual(received.map(({ path }) => path).toSorted(), ["/otlp/v1/metrics", "/otlp/v1/traces"])
      const [metrics] = exportsOf(received, "/otlp/v1/metrics").flatMap(({ resourceMetrics = [] }) => resourceMetrics)
      assert.deepStrictEqual(serviceOf(metrics?.resource.attributes ?? []), { stringValue: "shop" })
    }))

  it.live("does nothing where the variable is not set, or empty", () =>
    Effect.gen(function*() {
      yield* runWith({})
      yield* runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: "" })
    }))

  it.live("fails for a variable that makes no sense", () =>
    Effect.gen(function*() {
      const url = yield* Effect.flip(runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }))
      assert.include(url.message, "OTEL_EXPORTER_OTLP_ENDPOINT")
      const interval = yield* Effect.flip(runWith({
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318",
        OTEL_METRIC_EXPORT_INTERVAL: "999"
      }))
      assert.include(interval.message, "OTEL_METRIC_EXPORT_INTERVAL")
    }))

  it.live("ends with its program's result within seconds where the collector is down", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(makeCollector)
      const [took] = yield* Effect.timed(runWith({ OTEL_EXPORTER_OTLP_ENDPOINT: url }))
      assert.isBelow(Duration.toSeconds(took), 10)
    }))
})
