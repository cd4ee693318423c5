/**
 * A cache in Redis, which processes share.
 *
 * Redis may be down, hang or be full: a call fails within its time limit, and a circuit breaker keeps later calls from waiting.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Bulkhead from "@keelson/core/Bulkhead"
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import type * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CacheEntry } from "./CacheEntry.ts"
import { CacheError } from "./CacheError.ts"
import * as CacheOptions from "./CacheOptions.ts"
import type { CacheStats } from "./CacheStats.ts"
import { type CacheTier, type GetOptions, refreshed } from "./CacheTier.ts"
import { readChunks, writeBody } from "./internal/redis/chunks.ts"
import { chunkSize, RedisStore } from "./internal/redis/redisStore.ts"
import { type StoredEntry, writeStored } from "./internal/redis/stored.ts"
import { checkedBody, refuseLength } from "./internal/tier/body.ts"
import { sha256Hex } from "./internal/tier/digest.ts"
import { registerTier } from "./internal/tier/metrics.ts"
import { lifeOf, makeRules, maxItemSizeOf } from "./internal/tier/rules.ts"

/** Options of `make`. */
export interface Options<E> extends CacheOptions.RedisOptions {
  /**
   * The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and reopened when it is lost. With
   * `poolSize`, give it as many connections (`maxConnections`, by default 10). Required.
   */
  readonly redis: Layer.Layer<Redis.Redis, E>
  /** Options of single buckets, by name. Default none. */
  readonly buckets?: Readonly<Record<string, CacheOptions.BucketOptions>> | undefined
  /**
   * What protects calls to Redis. Default: a breaker that opens for 5 seconds after 5 failures in a row, and no retries.
   */
  readonly resilience?: ResiliencePolicy.Options | undefined
}

const decode = Configuration.decode(Schema.Struct({ ...CacheOptions.Redis.fields, buckets: CacheOptions.Buckets }))

const defaultResilience: ResiliencePolicy.Options = { breaker: { failureThreshold: 5, openDuration: "5 seconds" } }

const corrupt = (problem: "length" | "hash") => new CacheError({ _tag: "Serialization", problem })

/** Whether a time has come. The wall clock alone is shared with other processes. */
const hasCome = (time: number | undefined, now: number): boolean => time !== undefined && time <= now

/** How much longer Redis keeps an entry than it may be returned, for processes whose clocks are late. */
const skew = 60_000

/**
 * Makes a cache in Redis.
 *
 * A body up to 1 MiB is in the value of its entry, as MessagePack in base64; a larger one in further values of 1 MiB, which are
 * written and read one at a time. `stats` reads the names of all entries from Redis: for administration, not for each request.
 *
 * Redis need not be available at start. Emits `cache_get_duration_seconds` and `cache_set_duration_seconds`. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`).
 */
export const make = Effect.fnUntraced(function*<E>(
  { redis: layer, resilience, ...options }: Options<E>
): Effect.fn.Return<CacheTier, KeelsonError.ConfigurationError, Scope.Scope> {
  const checked = yield* decode(options)
  const { maxQueued, poolSize, prefix, timeout } = checked
  const rulesOf = makeRules(checked, checked.buckets)
  const connection = yield* connectInBackground(layer, "Redis cache not connected")
  const { execute } = yield* Effect.provide(
    Resilience.make("cache.redis", resilience ?? defaultResilience),
    BreakerStore.layerMemory
  )
  const queue = poolSize === undefined
    ? undefined
    : yield* Bulkhead.make("cache.redis", { maxConcurrent: poolSize, maxQueued, maxWait: timeout })
  const store = new RedisStore({ send: queue === undefined ? connection.send : connection.sendReserved }, {
    prefix,
    timeout,
    // Inside the breaker: what waits for a connection says nothing about Redis.
    execute: (call) => execute(queue === undefined ? call : queue.execute(call))
  })
  const counters = yield* registerTier("redis")
  const timed = (metric: "tierGetDuration" | "tierSetDuration") => <A, E2, R>(self: Effect.Effect<A, E2, R>) =>
    Effect.flatMap(
      Effect.timed(self),
      ([duration, value]) => Effect.as(MetricSeries.observe(metric, { layer: "redis" }, duration), value)
    )

  const seen = Effect.fnUntraced(function*(stored: StoredEntry) {
    const { body, createdAt, expiresAt, hash, length, metadata, staleUntil } = stored
    if (body._tag === "Bytes") {
      if (body.bytes.length !== length) return yield* Effect.fail(corrupt("length"))
      if ((yield* sha256Hex(body.bytes)) !== hash) return yield* Effect.fail(corrupt("hash"))
    } else if (body.hashes.length !== Math.ceil(length / chunkSize)) return yield* Effect.fail(corrupt("length"))
    const timeOf = (time: number | undefined) => time === undefined ? undefined : DateTime.makeUnsafe(time)
    const entry: CacheEntry = {
      metadata,
      body: body._tag === "Bytes"
        ? body
        : { _tag: "Stream", stream: readChunks(store, body.generation, body.hashes) },
      length,
      createdAt: DateTime.makeUnsafe(createdAt),
      expiresAt: timeOf(expiresAt),
      staleUntil: timeOf(staleUntil),
      accessedAt: yield* DateTime.now
    }
    return entry
  })
  const look = Effect.fnUntraced(function*(
    ...[key, getOptions]: Parameters<CacheTier["get"]>
  ): Effect.fn.Return<CacheEntry | undefined, CacheError> {
    const stored = yield* store.read(key)
    if (stored === undefined) return undefined
    const now = yield* Clock.currentTimeMillis
    // Redis removes it a little later.
    if (hasCome(getOptions?.stale === true ? stored.staleUntil : stored.expiresAt, now)) return undefined
    const { body } = stored
    if (body._tag === "Chunks" && !(yield* store.hasChunks(body.generation, body.hashes.length))) {
      yield* Effect.ignore(store.remove(key))
      return undefined
    }
    return yield* seen(stored)
  })

  return {
    name: "redis",
    maxItemSize: (bucket) => maxItemSizeOf(rulesOf(bucket)),
    get: (key, getOptions: GetOptions | undefined) => {
      const counts = counters.of(key.bucket)
      const counted = (isHit: boolean) => {
        if (getOptions?.peek === true) return
        if (isHit) counts.hits++
        else counts.misses++
      }
      return timed("tierGetDuration")(Effect.matchEffect(look(key, getOptions), {
        onSuccess: (entry) => {
          counted(entry !== undefined)
          return Effect.succeed(entry)
        },
        onFailure: (error) => {
          counted(false)
          // Nobody can read it.
          const removed = error.reason._tag === "Serialization" ? Effect.ignore(store.remove(key)) : Effect.void
          return Effect.andThen(removed, Effect.fail(error))
        }
      }))
    },
    set: (key, entry) =>
      Effect.suspend(() => {
        const { enabled, maxItemSize, ttl } = rulesOf(key.bucket)
        if (!enabled) return Effect.void
        const problem = refuseLength(entry, maxItemSize)
        if (problem !== undefined) return Effect.fail(problem)
        return timed("tierSetDuration")(Effect.gen(function*() {
          const now = Instant.now(yield* Clock.Clock)
          const { end, gone } = lifeOf(now, entry.ttl ?? ttl, entry.staleWindow)
          const millis = gone === undefined ? undefined : Math.ceil(gone.wall - now.wall) + skew
          const body = entry.body instanceof Uint8Array
            ? Stream.make(entry.body)
            : checkedBody(entry.body, entry.length, maxItemSize)
          const stored = yield* writeBody(store, body)
          const { metadata = {} } = entry
          const text = writeStored({
            ...stored,
            key,
            metadata,
            createdAt: entry.createdAt?.epochMilliseconds ?? now.wall,
            expiresAt: end === undefined ? undefined : Math.round(end.wall),
            staleUntil: gone === undefined ? undefined : Math.round(gone.wall)
          })
          yield* Effect.onError(Effect.flatMap(text, (value) => store.write(key, stored, value, millis)), () =>
            stored.body._tag === "Chunks"
              ? store.removeGeneration(stored.body.generation, stored.body.hashes.length)
              : Effect.void)
        }))
      }),
    refresh: (key, refresh) =>
      Effect.gen(function*() {
        const now = Instant.now(yield* Clock.Clock)
        const { end, gone } = lifeOf(now, refresh.ttl ?? rulesOf(key.bucket).ttl, refresh.staleWindow)
        const isDone = yield* store.update(key, (stored) =>
          refresh.etag !== undefined && refresh.etag !== stored.metadata.etag ? undefined : {
            entry: {
              ...stored,
              metadata: refreshed(stored.metadata, refresh),
              expiresAt: end === undefined ? undefined : Math.round(end.wall),
              staleUntil: gone === undefined ? undefined : Math.round(gone.wall)
            },
            millis: gone === undefined ? undefined : Math.ceil(gone.wall - now.wall) + skew
          })
        if (!isDone) {
          return yield* Effect.fail(new CacheError({ _tag: "NotFound" }))
        }
      }),
    delete: (key) =>
      Effect.flatMap(store.remove(key), (removed) =>
        typeof removed === "boolean"
          ? Effect.succeed(removed)
          : Effect.map(Clock.currentTimeMillis, (now) => !hasCome(removed.staleUntil, now))),
    clear: (bucket) => store.clear(bucket),
    stats: Effect.gen(function*() {
      const held = new Map<string, { bytes: number; items: number }>()
      // `SCAN` may return a name twice.
      const counted = new Set<string>()
      yield* store.scan(undefined, (found) => {
        const names = found.filter((name) => !counted.has(name))
        return Effect.map(store.sizesOf(names), (sizes) => {
          for (const [index, name] of names.entries()) {
            if (counted.has(name)) continue
            counted.add(name)
            const bucket = store.bucketOf(name) ?? ""
            const of = held.get(bucket) ?? { bytes: 0, items: 0 }
            of.bytes += sizes[index] ?? 0
            if (bucket !== "") of.items++
            held.set(bucket, of)
          }
        })
      })
      return combined(counters.stats(undefined), held)
    })
  }
})

/** The counts of this process, with what is in Redis. The bytes of chunks count in all, and in no bucket. */
const combined = (
  own: CacheStats,
  held: ReadonlyMap<string, { readonly bytes: number; readonly items: number }>
): CacheStats => {
  const none = { hits: 0, misses: 0, evictions: 0, bytes: 0, items: 0, hitRate: 0 }
  const names = new Set([...Object.keys(own.buckets), ...held.keys()])
  names.delete("")
  let bytes = held.get("")?.bytes ?? 0
  let items = 0
  const buckets: Record<string, CacheStats["buckets"][string]> = Object.create(null)
  for (const name of names) {
    const of = held.get(name) ?? { bytes: 0, items: 0 }
    buckets[name] = { ...(own.buckets[name] ?? none), ...of }
    bytes += of.bytes
    items += of.items
  }
  return { ...own, bytes, items, buckets }
}
