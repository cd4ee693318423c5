import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type BucketCounts, Counters } from "./counters.ts"

const fields = {
  tierHits: "hits",
  tierMisses: "misses",
  tierEvictions: "evictions",
  tierSize: "bytes",
  tierItems: "items"
} as const satisfies Partial<Record<MetricSeries.MetricName, keyof BucketCounts>>

const names = ["tierHits", "tierMisses", "tierEvictions", "tierSize", "tierItems"] as const

/**
 * The counts of a tier, which metrics read while the scope is open: `cache_hits_total`, `cache_misses_total`,
 * `cache_evictions_total`, `cache_size_bytes` and `cache_items`, by layer and bucket.
 */
export const registerTier = (layer: string): Effect.Effect<Counters, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context: Context.Context<never> = yield* Effect.context()
    const detach: Array<() => void> = []
    const counters = new Counters((bucket, counts) => {
      for (const name of names) {
        const source = { read: () => counts[fields[name]] }
        const labels = { layer, bucket }
        MetricSeries.attach(context, name, labels, source)
        detach.push(() => MetricSeries.detach(context, name, labels, source))
      }
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const run of detach) run()
      })
    )
    return counters
  })
