/**
 * The metrics of all packages: the prefix of their names, and counting the errors of a program. The reference lists their
 * names, units and labels.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { countError } from "./unstable/MetricSeries.ts"

export { Prefix } from "./internal/metrics/prefix.ts"

/**
 * Counts the errors of an effect in `errors_total`. An error without a code is `INT-001`.
 *
 * **Example** (Counting an error)
 *
 * ```ts import.meta.vitest
 * import * as Metrics from "@keelson/core/Metrics"
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 *
 * const program = Effect.fail("unavailable").pipe(
 *   Metrics.countErrors("billing"),
 *   Effect.ignore,
 *   Effect.andThen(Metric.snapshot),
 *   Effect.map((metrics) => metrics.map(({ id }) => id)),
 *   Effect.provide(Metrics.layerIsolated)
 * )
 * const ids = await Effect.runPromise(program) // => ["keelson_errors_total"]
 * ```
 */
export const countErrors = (server: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapError(self, (error) => countError(error, server))

/** A separate registry, so that a test starts from zero and does not affect others. */
export const layerIsolated: Layer.Layer<never> = Layer.fresh(Layer.sync(Metric.MetricRegistry, () => new Map()))
