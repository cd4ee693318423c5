import { assert, describe, it } from "@effect/vitest"
import { type CacheTier, MemoryCache, TieredCache } from "@keelson/cache"
import { Deferred, Duration, Effect, Fiber, Stream, Struct } from "effect"
import { TestClock } from "effect/testing"
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

  /** A second tier whose entries are read for a copy once the gate opens. */
  const gated = Effect.gen(function*() {
    const base = yield* tier("second")
    const began = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    const second: CacheTier.CacheTier = {
      ...base,
      get: (id, options) =>
        options?.peek === true
          ? Effect.andThen(
            Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)),
            base.get(id, options)
          )
          : base.get(id, options)
    }
    return { second, began, gate }
  })

  it.effect("[S4-27] [S4-08] a copy lives as long as its entry: for ever, or not at all if that has ended", () =>
    Effect.gen(function*() {
      const first = yield* tier("first")
      const { began, gate, second } = yield* gated
      const cache = yield* TieredCache.make({ tiers: [first, second] })
      yield* second.set(key("ever"), { body: bytes(1), ttl: Duration.zero })
      yield* second.set(key("short"), { body: bytes(1), ttl: Duration.seconds(1), staleWindow: Duration.hours(1) })
      yield* second.set(key("stale"), { body: bytes(1), ttl: Duration.seconds(9), staleWindow: Duration.hours(1) })
      for (const name of ["ever", "short", "stale"]) assert.isDefined(yield* cache.get(key(name)))
      yield* Deferred.await(began)
      yield* TestClock.adjust("2 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* cache.flush
      assert.isUndefined(yield* first.get(key("short"), { stale: true }))
      const stale = yield* first.get(key("stale"))
      assert.strictEqual(stale!.staleUntil!.epochMilliseconds, 9000 + 3_600_000)
      yield* TestClock.adjust("9000 hours")
      const ever = yield* first.get(key("ever"))
      assert.deepStrictEqual([ever?.length, ever?.expiresAt], [1, undefined])
    }))

  for (const [bucket, isCopied] of [["other", true], ["b", false], [undefined, false]] as const) {
    it.effect(`[S4-27] [S4-29] clearing ${bucket ?? "all"} ${isCopied ? "lets" : "ends"} a copy that runs in bucket b`, () =>
      Effect.gen(function*() {
        const first = yield* tier("first")
        const { began, gate, second } = yield* gated
        const cache = yield* TieredCache.make({ tiers: [first, second] })
        yield* second.set(key("a"), { body: bytes(1) })
        yield* cache.get(key("a"))
        yield* Deferred.await(began)
        yield* cache.clear(bucket)
        // The other process stored it again, after it was cleared here.
        yield* second.set(key("a"), { body: bytes(2) })
        yield* Deferred.succeed(gate, undefined)
        yield* cache.flush
        assert.strictEqual((yield* first.get(key("a")))?.length, isCopied ? 2 : undefined)
      }))
  }
})
