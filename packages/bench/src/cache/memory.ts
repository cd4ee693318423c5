/** The tier in memory beside lru-cache, alone and as the first of several tiers. */
import { CacheEntry, CacheKey, MemoryCache, TieredCache } from "@keelson/cache"
import { Duration, Effect, type Scope } from "effect"
import { LRUCache } from "lru-cache"
import type { Loop } from "../contestant.ts"
import type { Comparison, Figures } from "../figures.ts"
import { each, mainThread, measure, spread, type Times } from "../measure.ts"
import { HandMade } from "./handMade.ts"

const items = 1000
const maxSize = 64 * 1_048_576
const body = new Uint8Array(1024)
const metadata = { contentType: "application/json", etag: "\"5d41402abc4b2a76b9719d911017c592\"" }
const ttl = Duration.minutes(5)
const entry = { body, metadata, ttl }
const keys = Array.from(
  { length: items },
  (_, index) => CacheKey.makeUnsafe({ bucket: "bench", key: `objects/2026/11/${index}.json` })
)

/** Returns the keys in turn, repeatedly. */
const cycle = (): () => CacheKey.CacheKey => {
  let at = 0
  return () => {
    at = at + 1 === items ? 0 : at + 1
    return keys[at]!
  }
}

/** Runs in one fiber, so that starting fibers is not measured. */
const inFiber = (call: () => Effect.Effect<unknown, unknown>): Loop => (times) => {
  let left = times
  return Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: call, step: () => {} }))
}

/** Keelson's cache and the peers, with the same entries. */
const contestants = Effect.fnUntraced(function*(): Effect.fn.Return<
  ReadonlyMap<string, Loop>,
  unknown,
  Scope.Scope
> {
  const memory = yield* MemoryCache.make({ maxSize, maxItemSize: "1 MiB" })
  const handMade = new HandMade(maxSize)
  const bare = new LRUCache<string, Uint8Array>({ maxSize })
  const size = (key: CacheKey.CacheKey) => CacheEntry.sizeOf(key, metadata, body.length)
  for (const key of keys) {
    yield* memory.set(key, entry)
    handMade.set(key, body, metadata, Duration.toMillis(ttl))
    bare.set(key.id, body, { size: size(key) })
  }
  const { bytes: held } = yield* memory.stats
  const counted = handMade.counts.bytes
  if (held !== counted) return yield* Effect.fail(`cache: ${held} bytes beside ${counted}`)
  const tiered = yield* TieredCache.make({ tiers: [memory, { ...(yield* MemoryCache.make()), name: "second" }] })
  const next = cycle()
  const millis = Duration.toMillis(ttl)
  return new Map<string, Loop>([
    ["get, Keelson", inFiber(() => memory.get(next()))],
    ["get, lru-cache with the same accounting", inFiber(() => Effect.sync(() => handMade.get(next())))],
    ["get, lru-cache", inFiber(() => Effect.sync(() => bare.get(next().id)))],
    ["get, TieredCache", inFiber(() => tiered.get(next()))],
    ["set, Keelson", inFiber(() => memory.set(next(), entry))],
    [
      "set, lru-cache with the same accounting",
      inFiber(() => Effect.sync(() => handMade.set(next(), body, metadata, millis)))
    ],
    [
      "set, lru-cache",
      inFiber(() =>
        Effect.sync(() => {
          const key = next()
          bare.set(key.id, body, { size: body.length + key.id.length })
        })
      )
    ]
  ])
})

/** Upper bounds of Keelson's processor time as a share of the peer's. */
const targets = { get: 1.3, set: 1.5 } as const

export const memory: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.gen(function*() {
  const loops = yield* contestants()
  const found = yield* Effect.promise(() =>
    measure(Array.from(loops.values()), { stopwatch: mainThread, sampleMillis: 40, warmUpMillis: 500 })
  )
  const times = new Map(Array.from(loops.keys(), (name, index): [string, Times] => [name, found[index] ?? []]))
  const of = (name: string): Times => times.get(name) ?? []
  const beside = (call: "get" | "set", other: string, target: number | undefined): Comparison => ({
    group: `cache in memory, ${call}`,
    measure: "mainThread",
    other,
    ratio: spread(each(of(`${call}, Keelson`), of(`${call}, ${other}`), (a, b) => a / b)),
    target
  })
  const added = spread(each(of("get, TieredCache"), of("get, Keelson"), (a, b) => (a - b) / 1000)).median
  return {
    comparisons: (["get", "set"] as const).flatMap((call) => [
      beside(call, "lru-cache with the same accounting", targets[call]),
      beside(call, "lru-cache", undefined)
    ]),
    nanoseconds: Array.from(times, ([contestant, found]) => ({
      what: "cache in memory",
      contestant,
      median: Math.round(spread(found).median)
    })),
    findings: [{
      group: "cache of tiers",
      what: "added by TieredCache to a hit in memory",
      value: Math.max(0, added),
      unit: "µs",
      aim: { is: "at most", value: 0.3 }
    }]
  }
})
