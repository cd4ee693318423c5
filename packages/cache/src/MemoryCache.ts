/**
 * A cache in the memory of this process, bounded in bytes. It evicts the least recently used entries.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { CacheEntry, NewEntry } from "./CacheEntry.ts"
import { CacheError } from "./CacheError.ts"
import type { CacheKey } from "./CacheKey.ts"
import * as CacheOptions from "./CacheOptions.ts"
import type { CacheTier, GetOptions } from "./CacheTier.ts"
import { MemoryStore } from "./internal/memory/memoryStore.ts"
import { collect, refuseLength } from "./internal/tier/body.ts"
import { registerTier } from "./internal/tier/metrics.ts"
import { type BucketRules, makeRules, maxItemSizeOf } from "./internal/tier/rules.ts"

/** Options of `make`. */
export interface Options extends CacheOptions.MemoryOptions {
  /** Options of single buckets, by name. Default none. */
  readonly buckets?: Readonly<Record<string, CacheOptions.BucketOptions>> | undefined
}

/** A cache in memory. */
export interface MemoryCache extends CacheTier {
  /**
   * The entry of a key, as `get` returns it, for code that is not an effect. It never throws.
   *
   * - `clock`: the clock of the fiber, `yield* Clock.Clock`.
   */
  readonly getUnsafe: (key: CacheKey, clock: Clock.Clock, options?: GetOptions) => CacheEntry | undefined
  /** Removes all expired entries, and returns how many. They are also removed when they are looked up, and to make room. */
  readonly cleanupExpired: Effect.Effect<number>
}

const decode = Configuration.decode(
  Schema.Struct({ ...CacheOptions.Memory.fields, buckets: CacheOptions.Buckets }).check(CacheOptions.itemFits)
)

/** The clock of the fiber that runs. `Effect.clockWith` costs as much as a lookup. */
const currentClock = (): Clock.Clock => Fiber.getCurrent()!.getRef(Clock.Clock)

const notFound = Effect.fail(new CacheError({ _tag: "NotFound" }))

/**
 * Makes a cache that is empty, and emptied when its scope closes.
 *
 * An entry counts with its body, key and metadata (`CacheEntry.sizeOf`); the objects around them take a few hundred bytes
 * more. A body that is a stream is read into memory, up to `maxItemSize`. Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (An entry that expires)
 *
 * ```ts import.meta.vitest
 * import { CacheKey, MemoryCache } from "@keelson/cache"
 * import { Duration, Effect } from "effect"
 *
 * const key = CacheKey.makeUnsafe({ bucket: "products", key: "1.json" })
 * const program = Effect.gen(function*() {
 *   const cache = yield* MemoryCache.make({ maxSize: "64 MiB", maxItemSize: "1 MiB" })
 *   yield* cache.set(key, { body: new Uint8Array(1024), ttl: Duration.minutes(5) })
 *   return yield* cache.stats
 * })
 * const { items, bytes } = await Effect.runPromise(Effect.scoped(program))
 * items // => 1
 * bytes // => 1103
 * ```
 */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<MemoryCache, KeelsonError.ConfigurationError, Scope.Scope> {
  const checked = yield* decode(options)
  const rulesOf = makeRules(checked, checked.buckets)
  const store = new MemoryStore(Number(checked.maxSize), yield* registerTier("memory"))
  yield* Effect.addFinalizer(() => Effect.sync(() => store.clear(undefined)))
  const put = (
    key: CacheKey,
    bytes: Uint8Array,
    entry: NewEntry<unknown, unknown>,
    rules: BucketRules,
    clock: Clock.Clock
  ) =>
    store.set(key, bytes, entry, entry.ttl ?? rules.ttl, clock)
      ? Effect.void
      : Effect.fail(new CacheError({ _tag: "ItemTooLarge", size: bytes.length, maxItemSize: rules.maxItemSize }))
  return {
    name: "memory",
    maxItemSize: (bucket) => maxItemSizeOf(rulesOf(bucket)),
    getUnsafe: (key, clock, options) => store.get(key, clock, options),
    get: (key, options) => Effect.sync(() => store.get(key, currentClock(), options)),
    set: (key, entry) =>
      Effect.suspend(() => {
        const rules = rulesOf(key.bucket)
        if (!rules.enabled) return Effect.void
        const problem = refuseLength(entry, rules.maxItemSize)
        if (problem !== undefined) return Effect.fail(problem)
        return entry.body instanceof Uint8Array
          ? put(key, entry.body, entry, rules, currentClock())
          : Effect.flatMap(
            collect(entry.body, entry.length, rules.maxItemSize),
            (bytes) => put(key, bytes, entry, rules, currentClock())
          )
      }),
    refresh: (key, refresh) =>
      Effect.suspend(() =>
        store.refresh(key, refresh, refresh.ttl ?? rulesOf(key.bucket).ttl, currentClock()) ? Effect.void : notFound
      ),
    delete: (key) => Effect.sync(() => store.delete(key, currentClock())),
    clear: (bucket) => Effect.sync(() => store.clear(bucket)),
    stats: Effect.sync(() => store.stats),
    cleanupExpired: Effect.sync(() => store.cleanup(currentClock()))
  }
})
