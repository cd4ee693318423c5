/**
 * The series of the metrics: incremented, observed, registered and removed. Users count with `Metrics.countErrors`.
 *
 * Hot paths count in plain fields, which are read when metrics are read (`register`). Everything else is an ordinary Effect
 * metric (`increment`, `observe`). Labels have few values: never a key id, URL or subject.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { codeInfo, codeOf } from "../ErrorCode.ts"
import { type Definition, definitions, type Labels, type MetricName } from "../internal/metrics/definitions.ts"
import { boundaries } from "../internal/metrics/durations.ts"
import { Prefix } from "../internal/metrics/prefix.ts"
import { holdServer } from "../internal/metrics/servers.ts"
import * as Sources from "../internal/metrics/sources.ts"

export { type Definition, definitions, type Labels, type MetricName } from "../internal/metrics/definitions.ts"
export { Durations } from "../internal/metrics/durations.ts"
export { makeGroup, type Member, type MemberSeries } from "../internal/metrics/groups.ts"
export { type Source } from "../internal/metrics/sources.ts"

const counter = (prefix: string, name: MetricName, attributes: Record<string, string>) =>
  Metric.counter(prefix + definitions[name].name, {
    description: definitions[name].description,
    incremental: true,
    attributes
  })

const histogram = (prefix: string, name: MetricName, attributes: Record<string, string>) =>
  Metric.histogram(prefix + definitions[name].name, {
    description: definitions[name].description,
    attributes,
    boundaries
  })

/** Adds to a counter. */
export const increment = <Name extends MetricName<"counter">>(
  name: Name,
  labels: Labels<Name>,
  by = 1
): Effect.Effect<void> => Effect.flatMap(Prefix, (prefix) => Metric.update(counter(prefix, name, labels), by))

/** Adds one to a counter each time that it runs. For a frequent event: the metric is made once, not at each run. */
export const incrementer = <Name extends MetricName<"counter">>(
  name: Name,
  labels: Labels<Name>
): Effect.Effect<void> => {
  let made: { readonly prefix: string; readonly update: Effect.Effect<void> } | undefined
  return Effect.withFiber((fiber) => {
    const prefix = fiber.getRef(Prefix)
    if (made?.prefix !== prefix) made = { prefix, update: Metric.update(counter(prefix, name, labels), 1) }
    return made.update
  })
}

/** Records a duration, in seconds, in a histogram. */
export const observe = <Name extends MetricName<"histogram">>(
  name: Name,
  labels: Labels<Name>,
  duration: Duration.Duration
): Effect.Effect<void> =>
  Effect.flatMap(Prefix, (prefix) => Metric.update(histogram(prefix, name, labels), Duration.toSeconds(duration)))

/**
 * Removes a series that was incremented or observed, when its subject is gone. Otherwise series of short-lived subjects
 * accumulate.
 */
export const remove = <Name extends MetricName<"counter" | "histogram">>(
  name: Name,
  labels: Labels<Name>
): Effect.Effect<void> =>
  Effect.flatMap(Prefix, (prefix) => {
    const definition: Definition = definitions[name]
    return definition.kind === "counter"
      ? Metric.remove(counter(prefix, name, labels))
      : Metric.remove(histogram(prefix, name, labels))
  })

/**
 * Adds a source to the series with these labels, in the registry and with the prefix of the context. The source is read when
 * metrics are read. One source may have many series: a subject of which there are thousands has one source and no closures.
 * Has no effect if the source is attached.
 *
 * The value of a series is the sum of its sources, or their maximum for the states of circuits and key sets. A counter keeps
 * the count of a source that is removed, since a counter must not fall; the series is removed with its last source. A series
 * is either attached or incremented, never both.
 */
export const attach: <Name extends MetricName>(
  context: Context.Context<never>,
  name: Name,
  labels: Labels<Name>,
  source: Sources.Source
) => void = Sources.attach

/** Removes a source from its series. Has no effect if it is not attached. */
export const detach: <Name extends MetricName>(
  context: Context.Context<never>,
  name: Name,
  labels: Labels<Name>,
  source: Sources.Source
) => void = Sources.detach

/** Attaches a function to a series while the scope is open; see `attach`. */
export const register = <Name extends MetricName<"counter" | "gauge">>(
  name: Name,
  labels: Labels<Name>,
  read: () => number
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const source: Sources.Source = { read }
    attach(context, name, labels, source)
    return Scope.addFinalizer(
      Context.get(context, Scope.Scope),
      Effect.sync(() => detach(context, name, labels, source))
    )
  })

/**
 * Removes the series of a server that were incremented or observed (`errors_total`, `retry_attempts_total` and those of its
 * tokens) when the scope closes, unless another scope holds the same server. Otherwise the series of removed
 * servers would accumulate.
 */
export const removeWithServer: (server: string) => Effect.Effect<void, never, Scope.Scope> = holdServer

/** Counts one error in `errors_total`. */
export const countError = (error: unknown, server: string): Effect.Effect<void> => {
  const { category, id } = codeInfo[codeOf(error) ?? "INTERNAL_ERROR"]
  return increment("errors", { server, error_code: id, category })
}
