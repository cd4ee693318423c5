/**
 * OpenTelemetry for the demo and the examples: exports traces and metrics by OTLP over HTTP if the environment names a
 * collector, and does nothing otherwise.
 *
 * Reads OpenTelemetry's environment variables:
 *
 * - `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector, such as `http://127.0.0.1:4318`. Unset or empty: no telemetry.
 * - `OTEL_SERVICE_NAME`: the service's name. Default: the argument of the layer.
 * - `OTEL_METRIC_EXPORT_INTERVAL`: milliseconds between two exports of metrics. From 1000 to 3600000. Default 10000.
 * - `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES` and similar ones are read by the OpenTelemetry SDK.
 *
 * @see https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Config, Effect, Layer, Schema } from "effect"

const Endpoint = Schema.Literal("").pipe((empty) => Schema.Union([empty, Schema.URLFromString]))

const Interval = Schema.NumberFromString.check(
  Schema.isInt(),
  Schema.isBetween({ minimum: 1000, maximum: 3_600_000 })
)

const settings = Config.all({
  endpoint: Config.schema(Endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT").pipe(Config.withDefault("" as const)),
  interval: Config.schema(Interval, "OTEL_METRIC_EXPORT_INTERVAL").pipe(Config.withDefault(10_000)),
  name: Config.option(Config.NonEmptyString("OTEL_SERVICE_NAME"))
})

/** The URL of one signal: the endpoint's URL with the signal's path appended. */
const signal = (endpoint: URL, name: "metrics" | "traces"): string => `${endpoint.href.replace(/\/$/, "")}/v1/${name}`

/**
 * Exports spans and all of Effect's metrics. If the collector is down, the data is dropped and nothing else is affected; shutdown
 * waits at most two seconds.
 *
 * A program with a separate metric registry (`Metrics.layerIsolated`) provides that registry to this layer too. Fails with
 * `ConfigError` for an invalid variable.
 */
export const layer = (serviceName: string): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(settings, ({ endpoint, interval, name }) => {
    if (endpoint === "") return Layer.empty
    return NodeSdk.layer(() => ({
      resource: { serviceName: name._tag === "Some" ? name.value : serviceName },
      spanProcessor: new BatchSpanProcessor(new OTLPTraceExporter({ url: signal(endpoint, "traces") })),
      metricReader: new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ url: signal(endpoint, "metrics") }),
        exportIntervalMillis: interval,
        exportTimeoutMillis: interval
      }),
      shutdownTimeout: "2 seconds"
    }))
  }))
