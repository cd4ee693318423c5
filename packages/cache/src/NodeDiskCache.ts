/**
 * A cache in a directory of this machine, bounded in bytes, which survives restarts and crashes. It evicts the least recently
 * used entries.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as CacheOptions from "./CacheOptions.ts"
import type { CacheTier } from "./CacheTier.ts"
import { DiskStore } from "./internal/disk/NodeDiskStore.ts"
import { Files } from "./internal/disk/NodeFiles.ts"
import { recover } from "./internal/disk/NodeRecovery.ts"
import { refuseLength } from "./internal/tier/body.ts"
import { registerTier } from "./internal/tier/metrics.ts"
import { makeRules, maxItemSizeOf } from "./internal/tier/rules.ts"

/** Options of `make`. */
export interface Options extends CacheOptions.DiskOptions {
  /** Options of single buckets, by name. Default none. */
  readonly buckets?: Readonly<Record<string, CacheOptions.BucketOptions>> | undefined
}

const decode = Configuration.decode(
  Schema.Struct({ ...CacheOptions.Disk.fields, buckets: CacheOptions.Buckets }).check(CacheOptions.itemFits)
)

/** How long after a lookup or a change the index is written. A crash loses no more than the times of the last lookups. */
const indexDelay = Duration.seconds(5)

/** Measures an effect as `cache_get_duration_seconds` or `cache_set_duration_seconds`. */
const timed = (metric: "tierGetDuration" | "tierSetDuration") => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.timed(self),
    ([duration, value]) => Effect.as(MetricSeries.observe(metric, { layer: "disk" }, duration), value)
  )

/**
 * Makes a cache in a directory, and takes over what is there. The directory belongs to one process: two that share it evict
 * each other's entries.
 *
 * A body is written to a temporary file and gets its name when it is whole. It is compared with its length and hash before any
 * of it is returned: a body up to 1 MiB each time, a larger one when this process has not done so for the same file. Files have
 * the mode 0600, and names that show nothing of their keys.
 *
 * Emits `cache_get_duration_seconds` and `cache_set_duration_seconds`. Fails with `ConfigurationError` (`INVALID_CONFIG`), also
 * for a directory that cannot be made or read.
 */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<CacheTier, KeelsonError.ConfigurationError, Scope.Scope> {
  const checked = yield* decode(options)
  const rulesOf = makeRules(checked, checked.buckets)
  const files = new Files(checked.dir)
  const recovery = yield* Effect.mapError(
    Effect.andThen(files.prepare, recover(files)),
    (cause) => InvalidConfig.option("dir", "a directory that this process may read and write, and no link", { cause })
  )
  const runFork = yield* FiberSet.makeRuntime()
  let isDue = false
  const writing = Semaphore.makeUnsafe(1)
  // Whole, and one after the other: at the end of the scope the last write has the last times.
  const writeIndex = Effect.uninterruptible(
    writing.withPermits(1)(Effect.suspend(() => {
      if (!isDue) return Effect.void
      isDue = false
      return Effect.ignore(files.writeIndex(store.index))
    }))
  )
  const store: DiskStore = new DiskStore(files, {
    maxBytes: Number(checked.maxSize),
    counters: yield* registerTier("disk"),
    onChange: () => {
      if (isDue) return
      isDue = true
      runFork(Effect.delay(writeIndex, indexDelay))
    }
  })
  yield* Effect.addFinalizer(() => writeIndex)
  yield* store.adopt(recovery, yield* Clock.Clock)
  if (recovery.removed + recovery.foreign > 0) {
    yield* Effect.annotateLogs(Effect.logInfo("Disk cache opened; files that are no whole entry were removed"), {
      entries: recovery.entries.length,
      removed: recovery.removed,
      foreign: recovery.foreign
    })
  }
  return {
    name: "disk",
    maxItemSize: (bucket) => maxItemSizeOf(rulesOf(bucket)),
    get: (key, getOptions) => timed("tierGetDuration")(store.get(key, getOptions)),
    set: (key, entry) =>
      Effect.suspend(() => {
        const rules = rulesOf(key.bucket)
        if (!rules.enabled) return Effect.void
        const problem = refuseLength(entry, rules.maxItemSize)
        return problem === undefined
          ? timed("tierSetDuration")(store.set(key, entry, rules))
          : Effect.fail(problem)
      }),
    refresh: (key, refresh) => store.refresh(key, refresh, rulesOf(key.bucket)),
    delete: (key) => store.delete(key),
    clear: (bucket) => store.clear(bucket),
    stats: Effect.sync(() => store.stats)
  }
})
