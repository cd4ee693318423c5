import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, type CacheKey, CacheStats, MemoryCache } from "@keelson/cache"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { bytes, key } from "../CacheSuite.ts"

const maxSize = 1200
const maxItemSize = 700

type Step =
  | {
    readonly do: "set"
    readonly key: CacheKey.CacheKey
    readonly length: number
    readonly ttl: number
    readonly stale: number
  }
  | { readonly do: "get"; readonly key: CacheKey.CacheKey; readonly stale: boolean; readonly peek: boolean }
  | { readonly do: "refresh"; readonly key: CacheKey.CacheKey; readonly ttl: number }
  | { readonly do: "delete"; readonly key: CacheKey.CacheKey }
  | { readonly do: "clear"; readonly bucket: string | undefined }
  | { readonly do: "cleanup" }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "skew"; readonly millis: number }

const keys = fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.constantFrom("one", "two")).map(([name, bucket]) =>
  key(name, bucket)
)
/** 0 means for ever. */
const ttl = fc.constantFrom(0, 100, 100, 1000)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("set" as const),
      key: keys,
      length: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 600, max: 800 })),
      ttl,
      stale: fc.constantFrom(0, 0, 50)
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("get" as const), key: keys, stale: fc.boolean(), peek: fc.boolean() })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("refresh" as const), key: keys, ttl }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), key: keys }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("clear" as const), bucket: fc.constantFrom("one", "two", undefined) })
  },
  { weight: 1, arbitrary: fc.constant({ do: "cleanup" as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), millis: fc.integer({ min: 1, max: 120 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("skew" as const), millis: fc.integer({ min: -200, max: 200 }) }) }
)

/** What the documentation says of an entry. Times on both clocks: the first that comes counts. */
interface Expected {
  readonly key: CacheKey.CacheKey
  readonly value: number
  readonly length: number
  readonly size: number
  readonly end: readonly [monotonic: number, wall: number] | undefined
  readonly gone: readonly [monotonic: number, wall: number] | undefined
}

/** The cache as documented: a list, least recently used first. */
class Model {
  entries: Array<Expected> = []
  readonly counts = new Map<string, { hits: number; misses: number; evictions: number }>()
  countsOf(bucket: string) {
    const counts = this.counts.get(bucket) ?? { hits: 0, misses: 0, evictions: 0 }
    this.counts.set(bucket, counts)
    return counts
  }
  find({ id }: CacheKey.CacheKey) {
    return this.entries.find((entry) => entry.key.id === id)
  }
  remove(entry: Expected) {
    this.entries = this.entries.filter((other) => other !== entry)
  }
  evict(entry: Expected) {
    this.remove(entry)
    this.countsOf(entry.key.bucket).evictions++
  }
  get bytes() {
    return this.entries.reduce((sum, { size }) => sum + size, 0)
  }
}

describe("MemoryCache", () => {
  it("[S4-11] [S4-12] Law C1: bytes, items and counts are exact after any history", (context) =>
    forAllEffect(context, 300, fc.array(step, { maxLength: 60 }), (steps) =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        const cache = yield* Effect.provideService(MemoryCache.make({ maxSize, maxItemSize }), Clock.Clock, clock)
        const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.provideService(effect, Clock.Clock, clock)
        const model = new Model()
        let value = 0
        const now = () => [Number(clock.monotonicTimeNanosUnsafe()) / 1e6, clock.currentTimeMillisUnsafe()] as const
        const hasCome = (time: Expected["end"]) => time !== undefined && (now()[0] >= time[0] || now()[1] >= time[1])
        const after = (millis: number) => [now()[0] + millis, now()[1] + millis] as const
        for (const one of steps) {
          switch (one.do) {
            case "set": {
              value = value % 250 + 1
              const exit = yield* Effect.exit(run(cache.set(one.key, {
                body: bytes(one.length, value),
                ttl: Duration.millis(one.ttl),
                staleWindow: Duration.millis(one.stale)
              })))
              const size = CacheEntry.sizeOf(one.key, {}, one.length)
              assert.strictEqual(Exit.isFailure(exit), one.length > maxItemSize)
              if (one.length > maxItemSize) break
              const old = model.find(one.key)
              if (old !== undefined) model.remove(old)
              model.entries.push({
                key: one.key,
                value,
                length: one.length,
                size,
                end: one.ttl === 0 ? undefined : after(one.ttl),
                gone: one.ttl === 0 ? undefined : after(one.ttl + one.stale)
              })
              while (model.bytes > maxSize) model.evict(model.entries[0]!)
              break
            }
            case "get": {
              const found = yield* run(cache.get(one.key, { stale: one.stale, peek: one.peek }))
              const entry = model.find(one.key)
              const isServed = entry !== undefined && !hasCome(one.stale ? entry.gone : entry.end)
              assert.deepStrictEqual(
                found?.body._tag === "Bytes" ? Array.from(found.body.bytes) : found,
                isServed ? Array(entry.length).fill(entry.value) : undefined
              )
              if (one.peek) break
              const counts = model.countsOf(one.key.bucket)
              if (isServed) counts.hits++
              else counts.misses++
              if (entry === undefined) break
              if (hasCome(entry.gone)) model.evict(entry)
              else {
                model.remove(entry)
                model.entries.push(entry)
              }
              break
            }
            case "refresh": {
              const exit = yield* Effect.exit(run(cache.refresh(one.key, { ttl: Duration.millis(one.ttl) })))
              const entry = model.find(one.key)
              assert.strictEqual(Exit.isSuccess(exit), entry !== undefined)
              if (entry === undefined) break
              model.remove(entry)
              const end = one.ttl === 0 ? undefined : after(one.ttl)
              model.entries.push({ ...entry, end, gone: end })
              break
            }
            case "delete": {
              const entry = model.find(one.key)
              const isThere = entry !== undefined && !hasCome(entry.gone)
              assert.strictEqual(yield* run(cache.delete(one.key)), isThere)
              if (isThere) model.remove(entry)
              else if (entry !== undefined) model.evict(entry)
              break
            }
            case "clear": {
              const left = model.entries.filter(({ key: { bucket } }) =>
                one.bucket !== undefined && bucket !== one.bucket
              )
              assert.strictEqual(yield* run(cache.clear(one.bucket)), model.entries.length - left.length)
              model.entries = left
              break
            }
            case "cleanup": {
              const gone = model.entries.filter((entry) => hasCome(entry.gone))
              assert.strictEqual(yield* run(cache.cleanupExpired), gone.length)
              for (const entry of gone) model.evict(entry)
              break
            }
            case "pass":
              yield* TestClock.adjust(one.millis)
              break
            case "skew":
              skew.millis += one.millis
              break
          }
          const stats = yield* cache.stats
          assert.deepInclude(stats, { bytes: model.bytes, items: model.entries.length })
          assert.isAtMost(stats.bytes, maxSize)
          for (const [bucket, counts] of model.counts) {
            assert.deepInclude(CacheStats.ofBucket(stats, bucket), counts)
          }
        }
      })))
})
