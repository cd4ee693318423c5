import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheError, type CacheTier, MemoryCache, TieredCache } from "@keelson/cache"
import * as Metrics from "@keelson/core/Metrics"
import * as PrometheusEndpoint from "@keelson/core/PrometheusEndpoint"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Logger, Stream, Struct } from "effect"
import { TestClock } from "effect/testing"
import { bytes, cacheSuite, key, reasonOf } from "./CacheSuite.ts"

const tier = (name: string, options: MemoryCache.Options = {}) =>
  Effect.map(
    MemoryCache.make(options),
    (memory): CacheTier.CacheTier => ({ ...Struct.omit(memory, ["getUnsafe"]), name })
  )

/** A tier whose calls fail while `isDown`, and whose writes wait for `gate` if there is one. */
const faulty = (base: CacheTier.CacheTier) => {
  const state = { isDown: false, gate: undefined as Deferred.Deferred<void> | undefined, calls: [] as Array<string> }
  const guard = <A, E, R>(name: string, call: Effect.Effect<A, E, R>) =>
    Effect.suspend((): Effect.Effect<A, E | CacheError.CacheError, R> => {
      state.calls.push(name)
      if (state.isDown) return Effect.fail(new CacheError.CacheError({ _tag: "Io", operation: name }))
      return state.gate === undefined || name === "get" ? call : Effect.andThen(Deferred.await(state.gate), call)
    })
  const cache: CacheTier.CacheTier = {
    ...base,
    get: (id, options) => guard("get", base.get(id, options)),
    set: (id, entry) => guard("set", base.set(id, entry)),
    refresh: (id, refresh) => guard("refresh", base.refresh(id, refresh)),
    delete: (id) => guard("delete", base.delete(id)),
    clear: (bucket) => guard("clear", base.clear(bucket))
  }
  return { state, cache }
}

for (const order of ["memory first", "memory last", "one tier"] as const) {
  for (const writes of ["through", "behind"] as const) {
    cacheSuite({
      name: `TieredCache (${order}, write-${writes})`,
      rows: "[S4-26] [S4-28]",
      make: (bounds) =>
        Effect.gen(function*() {
          const memory = yield* MemoryCache.make(bounds)
          const tiers = order === "one tier" ? [memory] : [memory, yield* tier("slow", bounds)]
          const { tierStats: _, ...cache } = yield* TieredCache.make({
            tiers: order === "memory last" ? tiers.toReversed() : tiers,
            writes
          })
          // The suite compares bytes and items of one tier.
          return { ...cache, stats: Effect.andThen(cache.flush, onlyOnce(cache.stats, tiers.length)) }
        })
    })
  }
}

/** The statistics with bytes, items and evictions as one tier has them, for tiers that hold the same entries. */
const onlyOnce = (stats: CacheTier.CacheTier["stats"], tiers: number): CacheTier.CacheTier["stats"] =>
  Effect.map(stats, ({ buckets, ...total }) => {
    const part = <A extends { bytes: number; items: number; evictions: number }>(counts: A): A => ({
      ...counts,
      bytes: counts.bytes / tiers,
      items: counts.items / tiers
    })
    return {
      ...part(total),
      buckets: Object.fromEntries(Object.entries(buckets).map(([name, counts]) => [name, part(counts)]))
    }
  })

const setup = Effect.gen(function*() {
  const memory = yield* MemoryCache.make()
  const second = faulty(yield* tier("second"))
  const third = faulty(yield* tier("third"))
  const cache = yield* TieredCache.make({ tiers: [memory, second.cache, third.cache] })
  return { memory, second, third, cache }
})

describe("TieredCache", () => {
  it.effect("[S4-26] [S4-27] answers from the first tier that has the entry, and copies it into all faster ones", () =>
    Effect.gen(function*() {
      const { cache, memory, second, third } = yield* setup
      yield* third.cache.set(key("a"), { body: bytes(3), ttl: Duration.seconds(60), staleWindow: Duration.seconds(5) })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* cache.get(key("a")))?.length, 3)
      yield* cache.flush
      for (const one of [memory, second.cache, third.cache]) {
        const copy = yield* one.get(key("a"), { peek: true })
        // With the life that it had left.
        assert.deepStrictEqual(
          [copy?.createdAt, copy?.expiresAt, copy?.staleUntil].map((time) => time?.epochMilliseconds),
          [0, 60_000, 65_000]
        )
      }
      yield* cache.get(key("a"))
      const stats = yield* cache.tierStats
      assert.deepInclude(stats["memory"], { hits: 1, misses: 1, items: 1 })
      assert.deepInclude(stats["second"], { hits: 0, misses: 1, items: 1 })
      assert.deepInclude(yield* cache.stats, { hits: 2, misses: 0, items: 3 })
      assert.isUndefined(yield* cache.get(key("none")))
      assert.deepInclude(yield* cache.stats, { hits: 2, misses: 1 })
    }))

  it.effect("[S4-26] a tier that fails is skipped, in every call, and logged once", () =>
    Effect.gen(function*() {
      const { cache, memory, second, third } = yield* setup
      yield* third.cache.set(key("a"), { body: bytes(3) })
      second.state.isDown = true
      assert.strictEqual((yield* cache.get(key("a")))?.length, 3)
      yield* cache.flush
      assert.isDefined(yield* memory.get(key("a")))
      yield* cache.set(key("b"), { body: bytes(4) })
      assert.isDefined(yield* third.cache.get(key("b")))
      yield* cache.refresh(key("b"), { headers: { a: "1" } })
      assert.deepStrictEqual((yield* cache.get(key("b")))?.metadata, { headers: { a: "1" } })
      // A purge must not report success while a tier still has the entry; it removed it from the others.
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.delete(key("b")))), "Io")
      assert.isUndefined(yield* third.cache.get(key("b")))
      assert.isUndefined(yield* memory.get(key("b")))
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.clear())), "Io")
      assert.isUndefined(yield* third.cache.get(key("a")))
    }))

  it.effect("[S4-26] a tier that only fails to write is one warning, whatever else succeeds, until a write succeeds", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") lines.push(message)
      })
      const base = yield* tier("slow")
      let isFull = true
      const slow: CacheTier.CacheTier = {
        ...base,
        set: (id, entry) =>
          isFull ? Effect.fail(new CacheError.CacheError({ _tag: "StorageFull" })) : base.set(id, entry)
      }
      const cache = yield* TieredCache.make({ tiers: [yield* MemoryCache.make(), slow] })
      const program = Effect.gen(function*() {
        for (const name of ["a", "b", "c"]) {
          yield* cache.set(key(name), { body: bytes(1) })
          yield* cache.get(key("x"))
        }
        assert.deepStrictEqual(lines.map(String), ["Cache tier failed: slow"])
        isFull = false
        yield* cache.set(key("a"), { body: bytes(1) })
        isFull = true
        yield* cache.set(key("a"), { body: bytes(1) })
        // That there is no such entry says nothing about the tier.
        assert.strictEqual(reasonOf(yield* Effect.exit(cache.refresh(key("x"), {}))), "NotFound")
        assert.lengthOf(lines, 2)
        const text = yield* PrometheusEndpoint.format
        assert.include(text, "keelson_cache_failures_total{layer=\"slow\",operation=\"set\"} 4")
        assert.notInclude(text, "operation=\"refresh\"")
      })
      yield* Effect.provide(program, [Logger.layer([logger]), Metrics.layerIsolated])
    }))

  it.effect("[S4-28] fails to store only if no tier stored", () =>
    Effect.gen(function*() {
      const second = faulty(yield* tier("second"))
      const third = faulty(yield* tier("third"))
      const cache = yield* TieredCache.make({ tiers: [second.cache, third.cache] })
      second.state.isDown = true
      yield* cache.set(key("a"), { body: bytes(1) })
      assert.isDefined(yield* cache.get(key("a")))
      third.state.isDown = true
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body: bytes(1) }))), "Io")
      assert.isUndefined(yield* cache.get(key("a")))
    }))

  it.effect("[S4-28] write-behind returns after the first tier, and the rest is written in the background", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const slow = faulty(yield* tier("slow"))
      const gate = slow.state.gate = yield* Deferred.make<void>()
      const cache = yield* TieredCache.make({ tiers: [memory, slow.cache], writes: "behind" })
      yield* cache.set(key("a"), { body: bytes(1) })
      assert.isDefined(yield* memory.get(key("a")))
      assert.isUndefined(yield* slow.cache.get(key("a")))
      yield* Deferred.succeed(gate, undefined)
      yield* cache.flush
      assert.strictEqual((yield* slow.cache.get(key("a")))?.length, 1)
    }))

  it.effect("[S4-28] beyond maxPending a set writes through", () =>
    Effect.gen(function*() {
      const slow = faulty(yield* tier("slow"))
      const gate = slow.state.gate = yield* Deferred.make<void>()
      const tiers = [yield* MemoryCache.make(), slow.cache]
      const cache = yield* TieredCache.make({ tiers, writes: "behind", maxPending: 2 })
      for (const name of ["a", "b"]) yield* cache.set(key(name), { body: bytes(1) })
      const third = yield* Effect.forkChild(cache.set(key("c"), { body: bytes(1) }), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      const waits = third.pollUnsafe() === undefined
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(third)
      assert.isTrue(waits)
      assert.isDefined(yield* slow.cache.get(key("c")))
    }))

  it.effect("[S4-28] a newer entry or a purge wins over what is still written behind or promoted", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const slow = faulty(yield* tier("slow"))
      const gate = slow.state.gate = yield* Deferred.make<void>()
      const cache = yield* TieredCache.make({ tiers: [memory, slow.cache], writes: "behind" })
      yield* cache.set(key("a"), { body: bytes(1) })
      yield* cache.set(key("b"), { body: bytes(1) })
      yield* Effect.yieldNow
      const second = yield* Effect.forkChild(cache.set(key("a"), { body: bytes(2) }), { startImmediately: true })
      const purge = yield* Effect.forkChild(cache.clear(), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(second)
      yield* Fiber.join(purge)
      yield* cache.flush
      assert.isUndefined(yield* cache.get(key("b")))
      const left = yield* slow.cache.get(key("a"))
      assert.include([undefined, 2], left?.length)
      assert.strictEqual((yield* memory.get(key("a")))?.length, left?.length)
    }))

  it.effect("[S4-34] a promotion delays neither the lookup nor others of the key", () =>
    Effect.gen(function*() {
      const first = faulty(yield* tier("first"))
      const slow = yield* tier("slow")
      yield* slow.set(key("a"), { body: bytes(1) })
      const gate = first.state.gate = yield* Deferred.make<void>()
      const cache = yield* TieredCache.make({ tiers: [first.cache, slow] })
      for (let count = 0; count < 5; count++) assert.isDefined(yield* cache.get(key("a")))
      yield* Deferred.succeed(gate, undefined)
      yield* cache.flush
      assert.strictEqual(first.state.calls.filter((call) => call === "set").length, 1)
    }))

  it.effect("[S4-11] an item too large for a fast tier is only in the slow one, and no older one is left", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make({ maxItemSize: 100 })
      const slow = yield* tier("slow", { maxItemSize: 10_000 })
      const cache = yield* TieredCache.make({ tiers: [memory, slow] })
      for (const length of [undefined, 5000]) {
        yield* cache.set(key("a"), { body: bytes(10) })
        yield* cache.set(key("a"), { body: Stream.make(bytes(2500), bytes(2500)), length })
        assert.strictEqual((yield* cache.get(key("a")))?.length, 5000)
        yield* cache.set(key("a"), { body: bytes(20) })
        yield* cache.set(key("a"), { body: bytes(6000) })
        assert.strictEqual((yield* cache.get(key("a")))?.length, 6000)
      }
      const exit = yield* Effect.exit(cache.set(key("a"), { body: bytes(20_000) }))
      assert.strictEqual(reasonOf(exit), "ItemTooLarge")
      assert.include(String(Exit.isFailure(exit) && exit.cause), "at most 10000 bytes")
      // The item has changed: the older one must not be returned.
      assert.isUndefined(yield* cache.get(key("a")))
    }))

  it.effect("[S4-28] an interrupted write leaves no older entry in a slower tier", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const slow = faulty(yield* tier("slow"))
      const cache = yield* TieredCache.make({ tiers: [memory, slow.cache] })
      yield* cache.set(key("a"), { body: bytes(1) })
      slow.state.gate = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(cache.set(key("a"), { body: bytes(2) }), { startImmediately: true })
      yield* Effect.yieldNow
      const gate = slow.state.gate
      yield* Fiber.interrupt(fiber)
      yield* Deferred.succeed(gate, undefined)
      yield* cache.flush
      yield* memory.clear()
      assert.isUndefined(yield* cache.get(key("a")))
    }))

  it.effect("[S4-03] refuses no tier, nine, and two with one name", () =>
    Effect.gen(function*() {
      const one = yield* tier("a")
      for (
        const [tiers, message] of [[[], "1 to 8 tiers"], [Array(9).fill(one), "1 to 8"], [
          [one, one],
          "a is there twice"
        ]] as const
      ) {
        const error = yield* Effect.flip(TieredCache.make({ tiers }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, message)
      }
    }))

  it.effect("the end of its scope waits for what is written behind, with a limit", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const slow = faulty(yield* tier("slow"))
      const gate = slow.state.gate = yield* Deferred.make<void>()
      const program = Effect.gen(function*() {
        const cache = yield* TieredCache.make({ tiers: [memory, slow.cache], writes: "behind" })
        yield* cache.set(key("a"), { body: bytes(1) })
      })
      const fiber = yield* Effect.forkChild(Effect.scoped(program), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.isDefined(yield* slow.cache.get(key("a")))
      slow.state.gate = yield* Deferred.make<void>()
      const hanging = yield* Effect.forkChild(Effect.scoped(program), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(hanging)
    }))

  it.effect("a stream in memory is read as often as asked", () =>
    Effect.gen(function*() {
      const { cache } = yield* setup
      yield* cache.set(key("a"), { body: bytes(3) })
      const entry = yield* cache.get(key("a"))
      assert.strictEqual(
        yield* Stream.runFold(CacheEntry.stream(entry!), () => 0, (sum, chunk) => sum + chunk.length),
        3
      )
    }))
})

describe("TieredCache.getUnsafe", () => {
  it.effect("[S4-10] [S4-26] answers from memory alone, and counts each lookup once", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const memory = yield* MemoryCache.make()
      const cache = yield* TieredCache.make({ tiers: [memory, yield* tier("slow")] })
      assert.isUndefined(cache.getUnsafe(key("one"), clock))
      assert.isUndefined(yield* cache.get(key("one")))
      yield* cache.set(key("one"), { body: bytes(3), ttl: Duration.seconds(1), staleWindow: Duration.seconds(9) })
      assert.strictEqual(cache.getUnsafe(key("one"), clock)?.length, 3)
      const { hits, misses } = yield* cache.stats
      assert.deepStrictEqual([hits, misses], [1, 1])
      assert.deepStrictEqual([(yield* memory.stats).hits, (yield* memory.stats).misses], [1, 1])
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(cache.getUnsafe(key("one"), clock))
      assert.strictEqual(cache.getUnsafe(key("one"), clock, { stale: true })?.length, 3)
      const slow = yield* TieredCache.make({ tiers: [yield* tier("slow")] })
      yield* slow.set(key("one"), { body: bytes(3) })
      assert.isUndefined(slow.getUnsafe(key("one"), clock))
    }))
})
