import * as PrometheusEndpoint from "@keelson/core/PrometheusEndpoint"
import * as Effect from "effect/Effect"

/** The metrics of the process, for a response. */
export interface Metrics {
  readonly contentType: string
  readonly text: () => Promise<string>
}

export const metrics: Metrics = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  text: () => Effect.runPromise(PrometheusEndpoint.format)
}
