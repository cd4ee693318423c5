import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  type MetricData,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Duration, Effect, Layer } from "effect"
import { BreakerStore, Metrics, Resilience } from "../src/index.ts"
import * as MetricSeries from "../src/unstable/MetricSeries.ts"

/** The OpenTelemetry SDK with exporters that keep what they get. */
const makeTelemetry = () => {
  const spans = new InMemorySpanExporter()
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const layer = NodeSdk.layer(() => ({
    resource: { serviceName: "test" },
    spanProcessor: new SimpleSpanProcessor(spans),
    metricReader: reader
  })).pipe(Layer.provideMerge(Metrics.layerIsolated))
  const metrics = Effect.promise(async () => {
    exporter.reset()
    await reader.forceFlush()
    return exporter.getMetrics().flatMap((resource) => resource.scopeMetrics.flatMap(({ metrics }) => metrics))
  })
  return { layer, metrics, spans }
}

const named = (metrics: ReadonlyArray<MetricData>, name: string) => {
  const found = metrics.find(({ descriptor }) => descriptor.name === name)
  return found?.dataPoints.map(({ attributes, value }) =>
    [attributes["server"] ?? attributes["endpoint"], value] as const
  )
}

describe("OpenTelemetry", () => {
  it.live("[S1-33] exports counted, observed and registered metrics, each by its kind", () => {
    const { layer, metrics } = makeTelemetry()
    return Effect.gen(function*() {
      yield* MetricSeries.increment("retryAttempts", { server: "a" }, 2)
      yield* MetricSeries.register("cacheHits", { server: "a" }, () => 7)
      yield* MetricSeries.observe("httpRequestDuration", { method: "GET", endpoint: "token" }, Duration.millis(20))
      const exported = yield* metrics
      assert.deepStrictEqual(named(exported, "keelson_retry_attempts_total"), [["a", 2]])
      assert.deepStrictEqual(named(exported, "keelson_cache_hits_total"), [["a", 7]])
      const [[endpoint, timed] = []] = named(exported, "keelson_http_request_duration_seconds") ?? []
      assert.strictEqual(endpoint, "token")
      assert.deepInclude(timed, { count: 1, sum: 0.02 })
      const counter = exported.find(({ descriptor }) => descriptor.name === "keelson_cache_hits_total")
      assert.deepInclude(counter, { isMonotonic: true })
    }).pipe(Effect.provide(layer))
  })

  it.live("exports the present value of a circuit, and no series of a breaker that is gone", () => {
    const { layer, metrics } = makeTelemetry()
    const state = Effect.map(metrics, (all) => named(all, "keelson_circuit_breaker_state"))
    return Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const resilience = yield* Resilience.make("a", { breaker: { failureThreshold: 1 } })
        assert.deepStrictEqual(yield* state, [["a", 0]])
        yield* Effect.exit(resilience.execute(Effect.fail("down")))
        assert.deepStrictEqual(yield* state, [["a", 1]])
      }))
      assert.deepStrictEqual((yield* state) ?? [], [])
    }).pipe(Effect.provide([layer, BreakerStore.layerMemory]))
  })

  it.live("exports the spans of what runs under a policy, one for each attempt, below the caller's", () => {
    const { layer, spans } = makeTelemetry()
    return Effect.gen(function*() {
      const resilience = yield* Resilience.make("a", { retry: { maxAttempts: 2, initialDelay: "0 millis" } })
      const attempt = Effect.withSpan(Effect.fail("down"), "attempt")
      yield* Effect.exit(Effect.withSpan(resilience.execute(attempt), "call"))
      const finished = spans.getFinishedSpans()
      assert.deepStrictEqual(finished.map(({ name }) => name), ["attempt", "attempt", "call"])
      const call = finished[2]?.spanContext()
      for (const span of finished.slice(0, 2)) assert.strictEqual(span.parentSpanContext?.spanId, call?.spanId)
      assert.strictEqual(finished[0]?.resource.attributes["service.name"], "test")
    }).pipe(Effect.provide([layer, BreakerStore.layerMemory]))
  })
})
