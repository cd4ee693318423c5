import { Context, Effect, Metric, type Scope } from "effect"

import type { Definition } from "./metricDefinitions.ts"

type Read = () => number
type AnyMetric = Metric.Counter<number> | Metric.Gauge<number>
type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/** The sources of one series in one registry. A registry knows one reader per series: this is it. */
interface Series {
  readonly sources: Set<Read>
  /** What the sources that left have counted. */
  retired: number
  readonly registration: Metric.Registration
}

/** Weak, so that a registry of a test is not kept. Beside the registry, since it has no place for it. */
const bySeries = new WeakMap<Registry, Map<string, Series>>()

/** The same for the same labels in any order, as a registry has it. */
const keyOf = (metric: AnyMetric, context: Context.Context<never>): string => {
  const labels = { ...metric.attributes, ...Context.get(context, Metric.CurrentMetricAttributes) }
  return JSON.stringify([metric.id, Object.entries(labels).toSorted(([a], [b]) => a < b ? -1 : 1)])
}

const open = (metric: AnyMetric, definition: Definition, context: Context.Context<never>): Series => {
  const sources = new Set<Read>()
  const total = (): number => {
    const values = Array.from(sources, (read) => read())
    return definition.combine === "max"
      ? Math.max(...values)
      : values.reduce((sum, value) => sum + value, series.retired)
  }
  const get = definition.kind === "counter"
    ? () => ({ count: total(), incremental: true })
    : () => ({ value: total() })
  const any: Metric.Metric<number, unknown> = metric
  const series: Series = {
    sources,
    retired: 0,
    registration: Metric.registerUnsafe(any, context, {
      get,
      update: () => {},
      modify: () => {}
    })
  }
  return series
}

/** Adds a source to a metric's series until the scope closes. */
export const addSource = (
  metric: AnyMetric,
  definition: Definition,
  read: Read
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() => {
        const registry = Context.get(context, Metric.MetricRegistry)
        const all = bySeries.get(registry) ?? new Map<string, Series>()
        bySeries.set(registry, all)
        const key = keyOf(metric, context)
        const series = all.get(key) ?? open(metric, definition, context)
        all.set(key, series)
        const source: Read = () => read()
        series.sources.add(source)
        return { all, key, series, source }
      })
    ),
    ({ all, key, series, source }) =>
      Effect.suspend(() => {
        series.sources.delete(source)
        if (series.sources.size === 0) {
          series.registration.remove()
          all.delete(key)
          return Effect.void
        }
        // A source that fails must not fail the scope that it leaves.
        return Effect.ignoreCause(Effect.sync(() => {
          if (definition.kind === "counter") series.retired += read()
        }))
      })
  ))
