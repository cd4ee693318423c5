import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheError, type CacheTier, MemoryCache, TieredCache } from "@keelson/cache"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { bytes, key } from "../CacheSuite.ts"

type Step =
  | { readonly do: "set"; readonly key: string; readonly length: number; readonly streams: boolean }
  | { readonly do: "get" | "delete"; readonly key: string }
  | { readonly do: "clear" | "settle" }
  | { readonly do: "fail"; readonly tier: number; readonly isDown: boolean }
  | { readonly do: "interrupt"; readonly key: string; readonly length: number; readonly after: number }

const keys = fc.constantFrom("a", "b", "c")
const lengths = fc.constantFrom(1, 5, 40, 90)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("set" as const), key: keys, length: lengths, streams: fc.boolean() })
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("get" as const), key: keys }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), key: keys }) },
  { weight: 1, arbitrary: fc.constant({ do: "clear" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "settle" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fail" as const),
      tier: fc.integer({ min: 0, max: 2 }),
      isDown: fc.boolean()
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("interrupt" as const),
      key: keys,
      length: lengths,
      after: fc.integer({ min: 0, max: 4 })
    })
  }
)

/** A tier that may fail, and takes its time. */
const unreliable = (base: CacheTier.CacheTier, state: { isDown: boolean }): CacheTier.CacheTier => {
  const call = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | CacheError.CacheError, R> =>
    Effect.andThen(
      Effect.yieldNow,
      Effect.suspend((): Effect.Effect<A, E | CacheError.CacheError, R> =>
        state.isDown ? Effect.fail(new CacheError.CacheError({ _tag: "Io", operation: "test" })) : self
      )
    )
  return {
    ...base,
    get: (id, options) => call(base.get(id, options)),
    set: (id, entry) => call(base.set(id, entry)),
    refresh: (id, refresh) => call(base.refresh(id, refresh)),
    delete: (id) => call(base.delete(id)),
    clear: (bucket) => call(base.clear(bucket))
  }
}

const runs = fc.record({
  steps: fc.array(step, { maxLength: 40 }),
  writes: fc.constantFrom("through" as const, "behind" as const),
  sizes: fc.tuple(fc.constantFrom(10, 50, 100), fc.constantFrom(10, 50, 100), fc.constantFrom(50, 100)),
  withMemory: fc.boolean()
})

/** Runs the steps, and compares every lookup with what was set before. */
const check = ({ sizes, steps, withMemory, writes }: typeof runs extends fc.Arbitrary<infer A> ? A : never) =>
  Effect.gen(function*() {
    const states = sizes.map(() => ({ isDown: false }))
    const tiers = yield* Effect.forEach(
      sizes,
      (size, index) =>
        Effect.map(MemoryCache.make({ maxItemSize: size, maxSize: 400 }), (memory) => {
          if (index === 0 && withMemory) return memory
          const { getUnsafe: _, ...base } = memory
          return unreliable({ ...base, name: `tier${index}` }, states[index]!)
        })
    )
    const cache = yield* TieredCache.make({ tiers, writes })
    /** The values that a lookup of a key may return besides none: the last one, and those of interrupted writes since. */
    const allowed = new Map<string, Set<number>>()
    let value = 0
    const bodyOf = (length: number, streams: boolean) =>
      streams ? Stream.make(bytes(length - 1, value), bytes(1, value)) : bytes(length, value)
    for (const one of steps) {
      switch (one.do) {
        case "set": {
          value++
          const stored = yield* Effect.exit(cache.set(key(one.key), { body: bodyOf(one.length, one.streams) }))
          // A stream is read before a tier refuses it: then the older item is still the last one.
          const isKept = stored._tag === "Failure" && one.streams
          allowed.set(one.key, new Set(isKept ? [...allowed.get(one.key) ?? [], value] : [value]))
          break
        }
        case "get": {
          const found = yield* cache.get(key(one.key))
          if (found === undefined) break
          const read = yield* CacheEntry.readBytes(found)
          assert.strictEqual(new Set(read).size, 1)
          // Below 256, as the steps are few.
          assert.isTrue(allowed.get(one.key)?.has(read[0]!), `${one.key}: ${read[0]}`)
          break
        }
        case "delete": {
          const exit = yield* Effect.exit(cache.delete(key(one.key)))
          if (exit._tag === "Success") allowed.set(one.key, new Set())
          break
        }
        case "clear": {
          const exit = yield* Effect.exit(cache.clear())
          if (exit._tag === "Success") allowed.clear()
          break
        }
        case "interrupt": {
          value++
          const fiber = yield* Effect.forkChild(
            cache.set(key(one.key), { body: bytes(one.length, value) }),
            { startImmediately: true }
          )
          for (let count = 0; count < one.after; count++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          allowed.set(one.key, new Set([...allowed.get(one.key) ?? [], value]))
          break
        }
        case "fail": {
          if (one.isDown) {
            if (!(withMemory && one.tier === 0)) states[one.tier]!.isDown = true
            break
          }
          for (const [index, state] of states.entries()) {
            if (!state.isDown) continue
            // It may have older items when it comes back, which no cache can know of.
            state.isDown = false
            yield* tiers[index]!.clear()
          }
          break
        }
        case "settle":
          yield* cache.flush
          break
      }
    }
    for (const state of states) state.isDown = false
    yield* cache.flush
    yield* TestClock.adjust(1)
    const stats = yield* cache.tierStats
    for (const { bytes: held } of Object.values(stats)) assert.isAtMost(held, 400)
  }).pipe(Effect.provide(Logger.layer([])))

describe("TieredCache", () => {
  it("[S4-26] [S4-28] Law C2: a lookup returns the last item that was set, whole, or none", (context) =>
    forAllEffect(context, 300, runs, check))
})
