/**
 * `GET /metrics` in the Prometheus text format, version 0.0.4.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Metrics from "./Metrics.ts"
import * as Redaction from "./Redaction.ts"
import * as MetricSeries from "./unstable/MetricSeries.ts"

/** The options of `layer`. Every one may be left out. */
export interface Options {
  /** The path of the route. Default `/metrics`. */
  readonly path?: HttpRouter.PathInput | undefined
}

/** A name as Effect's formatter writes it: characters that the format does not allow become `_`, and `__` becomes `_`. */
const sanitize = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_:]/g, "_").replace(/^(?=[0-9:])/, "_").replaceAll(/_+/g, "_")

/**
 * All metrics of the current registry as text. A metric of Keelson without a series is listed with its help and type, so that
 * a dashboard can distinguish a metric without events from a missing metric.
 */
export const format: Effect.Effect<string> = Effect.gen(function*() {
  const text = yield* PrometheusMetrics.format()
  const prefix = yield* Metrics.Prefix
  const present = new Set(Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name]) => name))
  // By name: two definitions may share a family, with other labels.
  const ours = new Map(
    Object.values(MetricSeries.definitions).map((definition) => {
      const name = sanitize(prefix + definition.name)
      return [name, { ...definition, name }]
    })
  )
  const absent = Array.from(ours.values()).filter(({ name }) => !present.has(name))
  return text + absent.map(({ description, kind, name }) => `# HELP ${name} ${description}\n# TYPE ${name} ${kind}\n`)
    .join("")
})

/** The response to a scrape: 200 with the metrics, or 500 with a fixed text. The failure is logged, redacted. */
export const response: Effect.Effect<HttpServerResponse.HttpServerResponse> = Effect.matchCauseEffect(format, {
  onSuccess: (text) =>
    Effect.succeed(HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })),
  onFailure: (cause) =>
    Effect.as(
      Effect.logError("Could not read the metrics", Redaction.cause(cause)),
      HttpServerResponse.text("Could not read the metrics\n", { status: 500 })
    )
})

/** The paths under which each router serves metrics. Weak, so that a router can be garbage-collected. */
const installed = new WeakMap<HttpRouter.HttpRouter, Set<string>>()

/**
 * Adds the route to the current router. Adding it again does nothing.
 *
 * **Example** (Scraping an application)
 *
 * ```ts import.meta.vitest
 * import * as PrometheusEndpoint from "@keelson/core/PrometheusEndpoint"
 * import * as HttpRouter from "effect/http/HttpRouter"
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(PrometheusEndpoint.layer())
 * const response = await handler(new Request("http://localhost/metrics"))
 * response.status // => 200
 * await dispose()
 * ```
 */
export const layer = (options?: Options): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const path = options?.path ?? "/metrics"
    const paths = installed.get(router) ?? new Set()
    if (paths.has(path)) return
    installed.set(router, paths.add(path))
    yield* router.add("GET", path, response)
  }))
