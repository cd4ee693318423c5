import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { type Definition, definitions, type MetricName } from "./definitions.ts"
import { Durations } from "./durations.ts"
import { Prefix } from "./prefix.ts"

type Attributes = Readonly<Record<string, string>>
type Value = number | Durations

/** What counts for series in fields of its own. One source may have many series. */
export interface Source {
  /** Returns the value of a series: a number, or `Durations` for a histogram. */
  readonly read: (name: MetricName, labels: Attributes) => Value
}

const types = { counter: "Counter", gauge: "Gauge", histogram: "Histogram" } as const

/** The sum, or the maximum for the states of circuits and key sets. */
const combined = (values: ReadonlyArray<Value>, definition: Definition): Value => {
  if (definition.kind === "histogram") {
    return values.reduce<Durations>((sum, one) => typeof one === "number" ? sum : sum.plus(one), new Durations())
  }
  const numbers = values.filter((value) => typeof value === "number")
  return definition.combine === "max" ? Math.max(...numbers) : numbers.reduce((sum, one) => sum + one, 0)
}

/**
 * One series of a registry, with its sources. There may be a hundred thousand, so a series is one object: the entry of the
 * registry and its own hooks. Snapshots copy its public fields.
 */
class Series implements Metric.Metric.Metadata<never, unknown>, Metric.Metric.Hooks<never, unknown> {
  readonly id: string
  readonly type: Metric.Metric.Type
  readonly description: string
  readonly attributes: Attributes
  readonly #name: MetricName
  /** One source, as most series have, or several. */
  #sources: Source | ReadonlyArray<Source>
  /** The counts of removed sources. */
  #retired: Value | undefined

  constructor(id: string, name: MetricName, attributes: Attributes, source: Source) {
    const { description, kind } = definitions[name]
    this.id = id
    this.type = types[kind]
    this.description = description
    this.attributes = attributes
    this.#name = name
    this.#sources = source
  }

  get hooks(): this {
    return this
  }
  get(): unknown {
    const definition: Definition = definitions[this.#name]
    const retired = this.#retired === undefined ? [] : [this.#retired]
    const total = combined([...this.#all().map((source) => this.#read(source)), ...retired], definition)
    if (typeof total !== "number") return total.state
    return definition.kind === "counter" ? { count: total, incremental: true } : { value: total }
  }
  /** A series of sources ignores updates. */
  update(): void {}
  modify(): void {}

  /** Adds a source. Has no effect if it has been added. */
  add(source: Source): void {
    const all = this.#all()
    if (!all.includes(source)) this.#sources = [...all, source]
  }
  /** Removes a source, whose count stays in the sum. Returns whether none is left. */
  remove(source: Source): boolean {
    const left = this.#all().filter((one) => one !== source)
    if (left.length < this.#all().length && left.length > 0) this.#retire(source)
    this.#sources = left
    return left.length === 0
  }
  #all(): ReadonlyArray<Source> {
    return "read" in this.#sources ? [this.#sources] : this.#sources
  }
  #read(source: Source): Value {
    return source.read(this.#name, this.attributes)
  }
  /** A source that throws must not fail whoever removes it. */
  #retire(source: Source): void {
    const definition: Definition = definitions[this.#name]
    if (definition.kind === "gauge") return
    try {
      const value = this.#read(source)
      this.#retired = combined(this.#retired === undefined ? [value] : [this.#retired, value], definition)
    } catch {
      // Its count is lost.
    }
  }
}

/** A registry of metrics, and what distinguishes series in it. */
interface Place {
  readonly registry: Context.Service.Shape<typeof Metric.MetricRegistry>
  readonly id: string
  readonly key: string
  readonly attributes: Attributes
}

/** The key does not depend on the order of the labels. Keys of Effect's own series begin with a bracket. */
const placeOf = (context: Context.Context<never>, name: MetricName, labels: Attributes): Place => {
  const definition: Definition = definitions[name]
  const extra = Context.get(context, Metric.CurrentMetricAttributes)
  const others = Object.entries(extra).toSorted(([a], [b]) => a < b ? -1 : 1)
  const id = Context.get(context, Prefix) + definition.name
  return {
    registry: Context.get(context, Metric.MetricRegistry),
    id,
    key: id + JSON.stringify([...definition.labels.map((label) => labels[label]), ...others]),
    attributes: others.length === 0 ? labels : { ...labels, ...extra }
  }
}

/** Adds a source to the series with the labels. The context has the registry, the prefix and other attributes. */
export const attach = (
  context: Context.Context<never>,
  name: MetricName,
  labels: Attributes,
  source: Source
): void => {
  const { attributes, id, key, registry } = placeOf(context, name, labels)
  const known = registry.get(key)
  if (known instanceof Series) known.add(source)
  else registry.set(key, new Series(id, name, attributes, source))
}

/** Removes a source from its series, and the series with its last source. */
export const detach = (
  context: Context.Context<never>,
  name: MetricName,
  labels: Attributes,
  source: Source
): void => {
  const { key, registry } = placeOf(context, name, labels)
  const known = registry.get(key)
  if (known instanceof Series && known.remove(source)) registry.delete(key)
}
