import { assert, describe, it } from "@effect/vitest"
import { type CacheTier, MemoryCache, TieredCache } from "@keelson/cache"
import { Deferred, Duration, Effect, Fiber, Stream, Struct } from "effect"
import { bytes, key, reasonOf } from "./CacheSuite.ts"

const tier = (name: string, options: MemoryCache.Options = {}) =>
  Effect.map(
    MemoryCache.make(options),
    (memory): CacheTier.CacheTier => ({ ...Struct.omit(memory, ["getUnsafe"]), name })
  )

describe("TieredCache", () => {
  it.effect("[S4-28] [R33] a stream whose write is interrupted while a tier commits it leaves no older item", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make({ maxItemSize: 1000 })
      const base = yield* tier("slow", { maxItemSize: 10_000 })
      const began = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let isSlow = false
      // As the disk: from some point on it stores the entry, whether or not the caller still waits.
      const slow: CacheTier.CacheTier = {
        ...base,
        set: (id, entry) =>
          isSlow
            ? Effect.uninterruptible(
              Effect.andThen(
                Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)),
                base.set(id, entry)
              )
            )
            : base.set(id, entry)
      }
      const cache = yield* TieredCache.make({ tiers: [memory, slow] })
      yield* cache.set(key("a"), { body: bytes(1) })
      isSlow = true
      const fiber = yield* Effect.forkChild(cache.set(key("a"), { body: Stream.make(bytes(2)) }))
      yield* Deferred.await(began)
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interruption)
      yield* cache.flush
      assert.strictEqual((yield* slow.get(key("a")))?.length, 2)
      assert.strictEqual((yield* cache.get(key("a")))?.length, 2)
    }))

  it.effect("[S4-28] bytes whose write is interrupted while the first tier commits them leave no older item", () =>
    Effect.gen(function*() {
      const base = yield* tier("first")
      const second = yield* tier("second")
      const began = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      let isSlow = false
      const first: CacheTier.CacheTier = {
        ...base,
        set: (id, entry) =>
          isSlow
            ? Effect.uninterruptible(
              Effect.andThen(
                Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)),
                base.set(id, entry)
              )
            )
            : base.set(id, entry)
      }
      const cache = yield* TieredCache.make({ tiers: [first, second] })
      yield* cache.set(key("a"), { body: bytes(1) })
      isSlow = true
      const fiber = yield* Effect.forkChild(cache.set(key("a"), { body: bytes(2) }))
      yield* Deferred.await(began)
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interruption)
      yield* cache.flush
      // The first tier may evict it at any time.
      yield* base.clear()
      assert.isUndefined(yield* cache.get(key("a")))
    }))

  for (const body of [bytes(5000), Stream.make(bytes(5000))]) {
    const kind = body instanceof Uint8Array ? "bytes" : "a stream"
    it.effect(`[S4-28] ${kind} that no tier stores supersede an older item that is still written behind`, () =>
      Effect.gen(function*() {
        const memory = yield* MemoryCache.make({ maxItemSize: 100 })
        const base = yield* tier("slow", { maxItemSize: 100 })
        const cache = yield* TieredCache.make({ tiers: [memory, base], writes: "behind" })
        // Both begin before anything that was queued can run.
        const exit = yield* Effect.andThen(
          cache.set(key("a"), { body: bytes(1) }),
          Effect.exit(cache.set(key("a"), { body, length: 5000 }))
        )
        assert.strictEqual(reasonOf(exit), "ItemTooLarge")
        yield* cache.flush
        assert.isUndefined(yield* base.get(key("a")))
        assert.isUndefined(yield* cache.get(key("a")))
      }))
  }

  it.effect("[S4-14] calls that are interrupted at any step leave no work behind: later items are promoted", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const slow = yield* tier("slow")
      const cache = yield* TieredCache.make({ tiers: [memory, slow], writes: "behind" })
      for (let steps = 0; steps < 60; steps++) {
        for (
          const call of [
            cache.set(key("a"), { body: bytes(1) }),
            cache.set(key("a"), { body: Stream.make(bytes(1)) }),
            cache.delete(key("a")),
            Effect.ignore(cache.refresh(key("a"), {})),
            cache.get(key("a"))
          ]
        ) {
          const fiber = yield* Effect.forkChild(Effect.asVoid<unknown, unknown, never>(call))
          for (let step = 0; step < steps % 12; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
      }
      yield* cache.flush
      yield* memory.clear()
      yield* slow.set(key("a"), { body: bytes(7), ttl: Duration.hours(1) })
      assert.strictEqual((yield* cache.get(key("a")))?.length, 7)
      yield* cache.flush
      assert.strictEqual((yield* memory.get(key("a")))?.length, 7)
    }))

  it.effect("[S4-10] buckets with the names of members of objects are buckets as any other", () =>
    Effect.gen(function*() {
      const cache = yield* TieredCache.make({ tiers: [yield* MemoryCache.make(), yield* tier("slow")] })
      for (const bucket of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
        assert.isUndefined(yield* cache.get(key("a", bucket)))
        yield* cache.set(key("a", bucket), { body: bytes(3) })
        assert.strictEqual((yield* cache.get(key("a", bucket)))?.length, 3)
        const stats = yield* cache.stats
        assert.deepInclude(Object.entries(stats.buckets).find(([name]) => name === bucket)?.[1], {
          hits: 1,
          misses: 1,
          items: 2
        })
        assert.strictEqual(yield* cache.clear(bucket), 1)
      }
    }))
})
