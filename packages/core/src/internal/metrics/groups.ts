/**
 * Series that exist only while metrics are read. A registered series costs about 400 bytes: too much for the series of 20,000
 * circuits, which nobody reads most of the time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { type Definition, definitions, type MetricName } from "./definitions.ts"
import { Prefix } from "./prefix.ts"

type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/** A subject of metrics, and the value of its label `server`. */
export interface Member {
  readonly name: string
  /** Runs when the scope of the member closes. */
  readonly leave: Effect.Effect<void>
}

/** One series of each member. */
export interface MemberSeries<M extends Member> {
  readonly metric: MetricName<"counter" | "gauge">
  /** Labels besides `server`. Default none. */
  readonly labels?: Readonly<Record<string, string>>
  readonly read: (member: M, context: Context.Context<never>) => number
  /** Whether the series is left out while its value is zero. Default false. */
  readonly isSparse?: boolean
}

const nothing = (): void => {}

/** The members of one registry, prefix and set of attributes. */
class Group<M extends Member> {
  /** The members of each name; one, as most names have, or several. */
  readonly #members = new Map<string, M | Set<M>>()
  /** The counts of members that left while others of the same name stayed: a counter must not fall. */
  readonly #retired = new Map<string, ReadonlyArray<number>>()
  readonly #series: ReadonlyArray<MemberSeries<M>>
  readonly #prefix: string
  readonly #attributes: Metric.Metric.AttributeSet
  readonly #context: Context.Context<never>

  constructor(series: ReadonlyArray<MemberSeries<M>>, context: Context.Context<never>) {
    this.#series = series
    this.#prefix = Context.get(context, Prefix)
    this.#attributes = Context.get(context, Metric.CurrentMetricAttributes)
    this.#context = context
  }
  add(member: M): void {
    const there = this.#members.get(member.name)
    if (there === undefined) this.#members.set(member.name, member)
    else if (there instanceof Set) there.add(member)
    else this.#members.set(member.name, new Set([there, member]))
  }
  remove(member: M): void {
    const { name } = member
    const there = this.#members.get(name)
    if (there instanceof Set) there.delete(member)
    if (!(there instanceof Set) || there.size === 0) {
      this.#members.delete(name)
      this.#retired.delete(name)
      return
    }
    const before = this.#retired.get(name)
    this.#retired.set(
      name,
      this.#series.map(({ metric, read }, index) =>
        definitions[metric].kind === "counter" ? (before?.[index] ?? 0) + read(member, this.#context) : 0
      )
    )
  }
  /** The entries that a registry shows for the members. */
  *entries(): Iterable<Metric.Metric.Metadata<number, unknown>> {
    for (const [name, members] of this.#members) {
      for (const [index, series] of this.#series.entries()) {
        const definition: Definition = definitions[series.metric]
        const total = (context: Context.Context<never>): number => {
          const values = members instanceof Set
            ? Array.from(members, (member) => series.read(member, context))
            : [series.read(members, context)]
          const retired = this.#retired.get(name)?.[index] ?? 0
          return definition.combine === "max"
            ? Math.max(...values)
            : values.reduce((sum, value) => sum + value, retired)
        }
        if (series.isSparse === true && total(this.#context) === 0) continue
        const isCounter = definition.kind === "counter"
        yield {
          id: this.#prefix + definition.name,
          type: isCounter ? "Counter" : "Gauge",
          description: definition.description,
          attributes: { ...this.#attributes, server: name, ...series.labels },
          hooks: {
            get: (context) => isCounter ? { count: total(context), incremental: true } : { value: total(context) },
            update: nothing,
            modify: nothing
          }
        }
      }
    }
  }
}

type Entries = () => Iterable<Metric.Metric.Metadata<number, unknown>>

/** What each registry shows besides its own entries. Weak, so that the registry of a test can be collected. */
const shownBy = new WeakMap<Registry, Array<Entries>>()

/** Adds entries to what a registry shows. Effect reads a registry by `values` alone, for every exporter. */
const show = (registry: Registry, entries: Entries): void => {
  const known = shownBy.get(registry)
  if (known !== undefined) {
    known.push(entries)
    return
  }
  const all = [entries]
  shownBy.set(registry, all)
  const own = registry.values.bind(registry)
  Object.defineProperty(registry, "values", {
    configurable: true,
    writable: true,
    value: function*() {
      yield* own()
      for (const one of all) yield* one()
    }
  })
}

/**
 * Returns an effect that shows the series of a member while the scope is open. As with `register`, the value of a series is the
 * sum of the members of the same name, or their maximum, and a counter keeps the count of a member that left.
 *
 * A member costs one entry of a map and one of an array. Series are made when metrics are read.
 */
export const makeGroup = <M extends Member>(
  series: ReadonlyArray<MemberSeries<M>>
): (member: M) => Effect.Effect<void, never, Scope.Scope> => {
  const groups = new WeakMap<Registry, Map<string, Group<M>>>()
  const byScope = new WeakMap<Scope.Scope, Map<Group<M>, Array<M>>>()

  const groupOf = (context: Context.Context<never>): Group<M> => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const attributes = Context.get(context, Metric.CurrentMetricAttributes)
    const key = JSON.stringify([
      Context.get(context, Prefix),
      Object.entries(attributes).toSorted(([a], [b]) => a < b ? -1 : 1)
    ])
    const all = groups.get(registry) ?? new Map<string, Group<M>>()
    groups.set(registry, all)
    const known = all.get(key)
    if (known !== undefined) return known
    const group = new Group(series, context)
    all.set(key, group)
    show(registry, () => group.entries())
    return group
  }

  return (member) =>
    Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const scope = Context.get(context, Scope.Scope)
      const group = groupOf(context)
      group.add(member)
      const known = byScope.get(scope)
      const all = known ?? new Map<Group<M>, Array<M>>()
      const members = all.get(group)
      if (members === undefined) all.set(group, [member])
      else members.push(member)
      if (known !== undefined) return Effect.void
      byScope.set(scope, all)
      // One finalizer for all members of the scope.
      const leave = Effect.suspend(() => {
        byScope.delete(scope)
        for (const [left, ones] of all) for (const one of ones) left.remove(one)
        return Effect.forEach(Array.from(all.values()).flat(), (one) => one.leave, { discard: true })
      })
      return Scope.addFinalizer(scope, leave)
    })
}
