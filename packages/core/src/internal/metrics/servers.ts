import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { definitions, type MetricName } from "./definitions.ts"
import { Prefix } from "./prefix.ts"

type Registry = Context.Service.Shape<typeof Metric.MetricRegistry>

/**
 * The metrics with the label `server` whose series code updates. Series that are read from sources are removed with their
 * sources (`addSource`).
 */
const names: ReadonlyArray<MetricName> = [
  "tokenAcquisitions",
  "tokenAcquisitionDuration",
  "tokenResponseDeviations",
  "retryAttempts",
  "retryBudgetSpent",
  "errors"
]

/** For each registry, the number of open scopes that use each server. Weak, so that a test's registry can be garbage-collected. */
const holders = new WeakMap<Registry, Map<string, number>>()

const removeSeries = (registry: Registry, prefix: string, server: string): void => {
  const ids = new Set(names.map((name) => prefix + definitions[name].name))
  for (const [key, { attributes, id }] of Array.from(registry)) {
    if (ids.has(id) && attributes?.["server"] === server) registry.delete(key)
  }
}

/** Keeps the series of a server until the scope closes. When the last scope of that server closes, its series are removed. */
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
    // Yields first, so that the failures of callers that the closing scope causes are counted before.
    return Scope.addFinalizer(Context.get(context, Scope.Scope), Effect.andThen(Effect.yieldNow, release))
  })
