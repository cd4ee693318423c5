import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { definitions, type MetricName } from "./definitions.ts"
import { Prefix } from "./prefix.ts"

type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/** The series with the label `server` that are incremented or observed. Those of sources are removed with their sources. */
const names: ReadonlyArray<MetricName> = [
  "tokenAcquisitions",
  "tokenAcquisitionDuration",
  "tokenResponseDeviations",
  "retryAttempts",
  "retryBudgetSpent",
  "errors"
]

/** How many scopes hold each server. Weak, so that the registry of a test can be collected. */
const holders = new WeakMap<Registry, Map<string, number>>()

const removeSeries = (registry: Registry, prefix: string, server: string): void => {
  const ids = new Set(names.map((name) => prefix + definitions[name].name))
  for (const [key, { attributes, id }] of Array.from(registry)) {
    if (ids.has(id) && attributes?.["server"] === server) registry.delete(key)
  }
}

/** Holds the series of a server until the scope closes; with the last scope that holds them they are removed. */
export const holdServer = (server: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const prefix = Context.get(context, Prefix)
    const counts = holders.get(registry) ?? new Map<string, number>()
    holders.set(registry, counts)
    counts.set(server, (counts.get(server) ?? 0) + 1)
    const release = Effect.sync(() => {
      const left = (counts.get(server) ?? 1) - 1
      if (left > 0) counts.set(server, left)
      else {
        counts.delete(server)
        removeSeries(registry, prefix, server)
      }
    })
    // Callers that fail because the scope closes are counted first.
    return Scope.addFinalizer(Context.get(context, Scope.Scope), Effect.andThen(Effect.yieldNow, release))
  })
