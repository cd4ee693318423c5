import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"

import type { Definition } from "./definitions.ts"

type Read = () => number
type AnyMetric = Metric.Counter<number> | Metric.Gauge<number>
type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/**
 * One series of one registry, and the sources whose values it combines: a registry reads a series through one function. It
 * uses few objects, since there may be ten thousand series.
 */
class Series {
  readonly definition: Definition
  readonly all: Map<string, Series>
  readonly key: string
  /** The only source, which is the usual case, or a set of several. */
  sources: Source | Set<Source> | undefined
  /** The sum of the counts of removed sources. */
  retired = 0
  registration: Metric.Registration | undefined

  constructor(definition: Definition, all: Map<string, Series>, key: string) {
    this.definition = definition
    this.all = all
    this.key = key
  }
  add(source: Source): void {
    if (this.sources === undefined) this.sources = source
    else if (this.sources instanceof Set) this.sources.add(source)
    else this.sources = new Set([this.sources, source])
  }
  /** Removes a source. Returns whether none is left. */
  remove(source: Source): boolean {
    if (this.sources instanceof Set) this.sources.delete(source)
    else this.sources = undefined
    return this.sources === undefined || this.sources.size === 0
  }
  total(): number {
    const { definition, retired, sources } = this
    const values = sources instanceof Set ? Array.from(sources, ({ read }) => read()) : [sources?.read() ?? 0]
    return definition.combine === "max" ? Math.max(...values) : values.reduce((sum, value) => sum + value, retired)
  }
}

/** One call of `addSource`. The same function may be added twice, so the function does not identify the source. */
class Source {
  readonly read: Read
  readonly series: Series

  constructor(read: Read, series: Series) {
    this.read = read
    this.series = series
  }
  /** Removes the source. A source that throws must not fail the closing scope. */
  get leave(): Effect.Effect<void> {
    return Effect.ignoreCause(Effect.sync(() => {
      const { series } = this
      if (series.remove(this)) {
        series.registration?.remove()
        series.all.delete(series.key)
      } else if (series.definition.kind === "counter") {
        series.retired += this.read()
      }
    }))
  }
}

/** The series of each registry. Weak, so that a test's registry can be garbage-collected. */
const bySeries = new WeakMap<Registry, Map<string, Series>>()

/** The key of a series, which does not depend on the order of its labels. */
const keyOf = (metric: AnyMetric, context: Context.Context<never>): string => {
  const labels = { ...metric.attributes, ...Context.get(context, Metric.CurrentMetricAttributes) }
  return JSON.stringify([metric.id, Object.entries(labels).toSorted(([a], [b]) => a < b ? -1 : 1)])
}

const nothing = (): void => {}

const register = (series: Series, metric: AnyMetric, context: Context.Context<never>): void => {
  const get = series.definition.kind === "counter"
    ? () => ({ count: series.total(), incremental: true })
    : () => ({ value: series.total() })
  const any: Metric.Metric<number, unknown> = metric
  series.registration = Metric.registerUnsafe(any, context, { get, update: nothing, modify: nothing })
}

/** Adds a source to a metric's series until the scope closes. */
export const addSource = (
  metric: AnyMetric,
  definition: Definition,
  read: Read
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const all = bySeries.get(registry) ?? new Map<string, Series>()
    bySeries.set(registry, all)
    const key = keyOf(metric, context)
    const known = all.get(key)
    const series = known ?? new Series(definition, all, key)
    if (known === undefined) register(series, metric, context)
    all.set(key, series)
    const source = new Source(read, series)
    series.add(source)
    return Scope.addFinalizer(Context.get(context, Scope.Scope), Effect.suspend(() => source.leave))
  })
