/**
 * Several caches as one, fastest first: memory, then disk, then Redis.
 *
 * A lookup asks them in order, and copies what a slower one has into the faster ones in the background. A tier that fails is
 * skipped, logged and counted: it makes the cache slower, and never the application fail.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { CacheEntry } from "./CacheEntry.ts"
import type { CacheKey } from "./CacheKey.ts"
import * as CacheStats from "./CacheStats.ts"
import type { CacheTier, GetOptions } from "./CacheTier.ts"
import { makeGuarded } from "./internal/tiered/guarded.ts"
import { makeKeyedLock } from "./internal/tiered/keyedLock.ts"
import { Tiers } from "./internal/tiered/tiers.ts"
import type { MemoryCache } from "./MemoryCache.ts"

/** Options of `make`. */
export interface Options {
  /** The tiers, fastest first, each with another name. From 1 to 8. Required. */
  readonly tiers: ReadonlyArray<CacheTier>
  /**
   * How `set` writes the tiers after the first. `through`: it returns once all are written. `behind`: it returns once the first
   * is written; the others are written in the background, and before the scope closes. Default through.
   */
  readonly writes?: "through" | "behind" | undefined
  /**
   * How many entries may wait to be written behind. A `set` beyond that writes through. From 1 to 100000. Default 1000.
   */
  readonly maxPending?: number | undefined
}

/** A cache of several tiers. */
export interface TieredCache extends CacheTier {
  /** The statistics of each tier, by name. `stats` has those of the whole cache: a lookup counts once, in whichever tier it ended. */
  readonly tierStats: Effect.Effect<Readonly<Record<string, CacheStats.CacheStats>>>
  /**
   * The entry of a key in the first tier, if that is a `MemoryCache`, for code that is not an effect. It never throws. A lookup that finds
   * nothing counts nothing: `get` follows it and counts.
   *
   * - `clock`: the clock of the fiber, `yield* Clock.Clock`.
   */
  readonly getUnsafe: (key: CacheKey, clock: Clock.Clock, options?: GetOptions) => CacheEntry | undefined
  /** Returns once no copy to a faster tier and no write behind is left: for tests, and before a process ends. */
  readonly flush: Effect.Effect<void>
}

const Policy = Schema.Struct({
  writes: Field.defaulted(Schema.Literals(["through", "behind"]), "through"),
  maxPending: Field.defaulted(Field.int(1, 100_000), 1000)
})

const checkTiers = (tiers: ReadonlyArray<CacheTier>): Effect.Effect<void, KeelsonError.ConfigurationError> => {
  const names = tiers.map(({ name }) => name)
  if (tiers.length < 1 || tiers.length > 8) return Effect.fail(InvalidConfig.option("tiers", "1 to 8 tiers"))
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  return repeated === undefined
    ? Effect.void
    : Effect.fail(InvalidConfig.option("tiers", `tiers with different names; ${repeated} is there twice`))
}

const isMemory = (tier: CacheTier | undefined): tier is MemoryCache => tier !== undefined && "getUnsafe" in tier

/** The sum of the tiers' bytes, items and evictions, with the lookups of the whole cache. */
const combined = (
  lookups: CacheStats.CacheStats,
  tiers: ReadonlyArray<CacheStats.CacheStats>
): CacheStats.CacheStats => {
  const counted = (own: CacheStats.Counts, parts: ReadonlyArray<CacheStats.Counts>): CacheStats.Counts => ({
    ...parts.reduce(CacheStats.add, CacheStats.empty),
    hits: own.hits,
    misses: own.misses,
    hitRate: own.hitRate
  })
  const names = new Set([lookups, ...tiers].flatMap(({ buckets }) => Object.keys(buckets)))
  const of = (bucket: string) => (stats: CacheStats.CacheStats) => CacheStats.ofBucket(stats, bucket)
  return {
    ...counted(lookups, tiers),
    maxBytes: undefined,
    buckets: Object.fromEntries(
      Array.from(names, (bucket) => [bucket, counted(of(bucket)(lookups), tiers.map(of(bucket)))])
    )
  }
}

/** How long the scope waits at its end for entries that are written behind. */
const flushLimit = Duration.seconds(10)

/**
 * Makes a cache of several tiers.
 *
 * `get` and `stats` never fail for a tier that is down: it counts as one without entries. `set` fails if no tier stored the entry,
 * and `delete` and `clear` if one could not be asked, after all others were. An item that a tier does not store, since it is too
 * large or the tier failed, is removed there, so that no tier answers with an older one.
 *
 * Emits `cache_failures_total` by layer and operation. Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (Two tiers)
 *
 * ```ts import.meta.vitest
 * import { CacheKey, MemoryCache, TieredCache } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * const key = CacheKey.makeUnsafe({ bucket: "products", key: "1.json" })
 * const program = Effect.gen(function*() {
 *   const small = yield* MemoryCache.make({ maxSize: "1 MiB", maxItemSize: "1 KiB" })
 *   // In an application `NodeDiskCache.make` or `RedisCache.make`.
 *   const large = { ...(yield* MemoryCache.make()), name: "large" }
 *   const cache = yield* TieredCache.make({ tiers: [small, large] })
 *   yield* cache.set(key, { body: new Uint8Array(2048) })
 *   return [yield* small.get(key), (yield* cache.get(key))?.length]
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => [undefined, 2048]
 * ```
 */
export const make = Effect.fnUntraced(function*(
  { tiers, ...data }: Options
): Effect.fn.Return<TieredCache, KeelsonError.ConfigurationError, Scope.Scope> {
  const { maxPending, writes } = yield* Configuration.decode(Policy)(data)
  yield* checkTiers(tiers)
  const background = yield* FiberSet.make<void>()
  const runFork = yield* FiberSet.runtime(background)()
  const fork = (effect: Effect.Effect<void>) => runFork(effect)
  const flush = FiberSet.awaitEmpty(background)
  // Runs before the set of fibers is interrupted.
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(flush, flushLimit)))
  const [first] = tiers
  const all = new Tiers({
    tiers: tiers.map(makeGuarded),
    memory: isMemory(first) ? first : undefined,
    lock: makeKeyedLock(),
    writesBehind: writes === "behind",
    maxPending,
    fork
  })
  const tierStats = Effect.map(
    Effect.forEach(
      tiers,
      ({ name, stats }) => Effect.map(Effect.orElseSucceed(stats, () => none), (current) => [name, current] as const)
    ),
    (entries): Readonly<Record<string, CacheStats.CacheStats>> => Object.fromEntries(entries)
  )
  return {
    name: "tiered",
    maxItemSize: (bucket) => Math.max(...tiers.map((tier) => tier.maxItemSize(bucket))),
    get: (key, options) => all.get(key, options),
    set: (key, entry) => all.set(key, entry),
    refresh: (key, refresh) => all.refresh(key, refresh),
    delete: (key) => all.delete(key),
    clear: (bucket) => all.clear(bucket),
    stats: Effect.map(tierStats, (stats) => combined(all.lookups, Object.values(stats))),
    tierStats,
    getUnsafe: (key, clock, options) => all.getUnsafe(key, clock, options),
    flush
  }
})

const none: CacheStats.CacheStats = { ...CacheStats.empty, maxBytes: undefined, buckets: {} }
