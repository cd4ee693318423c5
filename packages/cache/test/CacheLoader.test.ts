import { assert, describe, it } from "@effect/vitest"
import {
  type CacheEntry,
  CacheError,
  CacheLoader,
  CacheTier,
  MemoryCache,
  TieredCache,
  ValueCache
} from "@keelson/cache"
import { Deferred, Duration, Effect, Exit, Fiber, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { bytes, key } from "./CacheSuite.ts"

/** A source that counts its loads, and waits for `gate` if there is one. */
const source = () => {
  const state = {
    loads: 0,
    gate: undefined as Deferred.Deferred<void> | undefined,
    failure: undefined as string | undefined,
    confirms: false,
    previous: [] as Array<number | undefined>
  }
  const load = (_: unknown, previous: CacheEntry.CacheEntry | undefined) =>
    Effect.gen(function*() {
      state.loads++
      state.previous.push(previous?.length)
      const { loads } = state
      if (state.gate !== undefined) yield* Deferred.await(state.gate)
      if (state.failure !== undefined) return yield* Effect.fail(state.failure)
      return state.confirms && previous !== undefined
        ? { confirmed: { headers: { age: "0" } } }
        : { body: bytes(loads) }
    })
  return { state, load }
}

const lengthOf = ({ length }: CacheEntry.CacheEntry) => length

describe("CacheLoader", () => {
  it.effect("[S4-32] loads once for all callers of a key, and not for others; interrupting one changes nothing", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const { load, state } = source()
      const gate = state.gate = yield* Deferred.make<void>()
      const loader = yield* CacheLoader.make({ cache, load })
      const callers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      )
      const other = yield* Effect.forkChild(loader.getOrLoad(key("b")), { startImmediately: true })
      assert.strictEqual(state.loads, 2)
      yield* Fiber.interrupt(callers[0]!)
      yield* Deferred.succeed(gate, undefined)
      const lengths = yield* Effect.forEach(callers.slice(1), (fiber) => Effect.map(Fiber.join(fiber), lengthOf))
      assert.deepStrictEqual(new Set(lengths), new Set([1]))
      assert.strictEqual(lengthOf(yield* Fiber.join(other)), 2)
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 1)
      assert.strictEqual(state.loads, 2)
      assert.strictEqual(lengthOf(yield* loader.reload(key("a"))), 3)
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 3)
    }))

  it.effect("a failure reaches all that wait, is not kept, and the next caller loads again", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const loader = yield* CacheLoader.make({ cache: yield* MemoryCache.make(), load })
      state.failure = "down"
      const gate = state.gate = yield* Deferred.make<void>()
      const callers = yield* Effect.forEach(
        [1, 2],
        () => Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      )
      yield* Deferred.succeed(gate, undefined)
      const exits = yield* Effect.forEach(callers, Fiber.await)
      assert.deepStrictEqual(exits, [Exit.fail("down"), Exit.fail("down")])
      assert.strictEqual(state.loads, 1)
      state.failure = undefined
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 2)
    }))

  it.effect("[S4-32] an expired item is kept for its stale window, for when it cannot be loaded", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const cache = yield* MemoryCache.make()
      const loader = yield* CacheLoader.make({
        cache,
        load,
        ttl: "10 seconds",
        ttlJitter: 0,
        staleWindow: "10 seconds"
      })
      yield* loader.getOrLoad(key("a"))
      yield* TestClock.adjust("10 seconds")
      state.failure = "down"
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 1)
      assert.strictEqual(state.loads, 2)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Effect.exit(loader.getOrLoad(key("a"))), Exit.fail("down"))
      state.failure = undefined
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 4)
    }))

  it.effect("[S4-32] an expired item is not returned after a load that failed later than its stale window, or after a purge", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const cache = yield* MemoryCache.make()
      const options = { cache, load, ttl: "10 seconds", ttlJitter: 0, staleWindow: "10 seconds" } as const
      const loader = yield* CacheLoader.make(options)
      for (const during of [TestClock.adjust("10 seconds"), loader.invalidate(key("a"))]) {
        state.failure = undefined
        state.gate = undefined
        yield* loader.reload(key("a"))
        yield* TestClock.adjust("10 seconds")
        state.failure = "down"
        const gate = state.gate = yield* Deferred.make<void>()
        const waiting = yield* Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
        yield* Effect.asVoid<unknown, unknown, never>(during)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.await(waiting), Exit.fail("down"))
      }
    }))

  it.effect("[S4-26] [S4-32] an expired item of a fast tier hides no newer one of a slow tier, and is a miss", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const memory = yield* MemoryCache.make()
      const slow = yield* MemoryCache.make()
      const cache = yield* TieredCache.make({ tiers: [memory, { ...slow, name: "slow" }] })
      const life = { ttl: Duration.seconds(10), staleWindow: Duration.seconds(10) }
      for (const serveStale of ["failure", "always"] as const) {
        const loader = yield* CacheLoader.make({ cache, load, serveStale })
        yield* memory.set(key(serveStale), { body: bytes(7), ...life })
        yield* TestClock.adjust("10 seconds")
        yield* slow.set(key(serveStale), { body: bytes(9), ...life })
        assert.strictEqual(lengthOf(yield* loader.getOrLoad(key(serveStale))), 9)
        assert.strictEqual(state.loads, 0)
      }
      assert.deepInclude(yield* memory.stats, { hits: 0, misses: 2 })
    }))

  it.effect("serveStale: always answers with the expired item, and loads once in the background", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const loader = yield* CacheLoader.make({
        cache: yield* MemoryCache.make(),
        load,
        ttl: "10 seconds",
        ttlJitter: 0,
        staleWindow: "10 seconds",
        serveStale: "always"
      })
      yield* loader.getOrLoad(key("a"))
      yield* TestClock.adjust("10 seconds")
      const gate = state.gate = yield* Deferred.make<void>()
      for (let count = 0; count < 3; count++) assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 1)
      yield* Effect.yieldNow
      assert.strictEqual(state.loads, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 2)
    }))

  it.effect("[S4-32] a confirmed item gets a new life without a new body", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const cache = yield* MemoryCache.make()
      const loader = yield* CacheLoader.make({ cache, load, ttl: "10 seconds", ttlJitter: 0, staleWindow: "1 minute" })
      yield* loader.getOrLoad(key("a"))
      yield* TestClock.adjust("10 seconds")
      state.confirms = true
      const entry = yield* loader.getOrLoad(key("a"))
      assert.deepStrictEqual([entry.length, entry.metadata.headers, entry.expiresAt?.epochMilliseconds], [
        1,
        { age: "0" },
        20_000
      ])
      assert.deepStrictEqual(state.previous, [undefined, 1])
      yield* TestClock.adjust("9 seconds")
      yield* loader.getOrLoad(key("a"))
      assert.strictEqual(state.loads, 2)
    }))

  it.effect("a confirmed item that the cache has lost is loaded whole", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const loader = yield* CacheLoader.make({
        cache: { ...cache, refresh: () => Effect.fail(new CacheError.CacheError({ _tag: "NotFound" })) },
        load: (_, previous) =>
          previous === undefined
            ? Effect.succeed({ body: bytes(7) })
            : Effect.as(cache.clear(), { confirmed: {} })
      })
      yield* cache.set(key("a"), { body: bytes(3), ttl: Duration.seconds(1), staleWindow: Duration.seconds(9) })
      yield* TestClock.adjust("1 seconds")
      // It has the entry in hand.
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 3)
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 7)
    }))

  it.effect("a source that confirms an item that it was not asked about is asked again, once", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      let calls = 0
      const loader = yield* CacheLoader.make({
        cache,
        load: ({ key: name }) =>
          Effect.sync(() => ++calls === 1 || name === "never" ? { confirmed: {} } : { body: bytes(7) })
      })
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 7)
      assert.strictEqual(calls, 2)
      const exit = yield* Effect.exit(loader.getOrLoad(key("never")))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "confirmed an item that the cache does not have")
      assert.strictEqual(calls, 4)
    }))

  it.effect("[S4-32] an item that was invalidated while its source confirmed it gets no new life", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const gate = yield* Deferred.make<void>()
      let refreshes = 0
      const loader = yield* CacheLoader.make({
        cache: {
          ...cache,
          refresh: (id, refresh) => Effect.andThen(Effect.sync(() => refreshes++), cache.refresh(id, refresh))
        },
        load: () => Effect.as(Deferred.await(gate), { confirmed: {} })
      })
      yield* cache.set(key("a"), { body: bytes(3), ttl: Duration.seconds(1), staleWindow: Duration.seconds(9) })
      yield* TestClock.adjust("1 seconds")
      const early = yield* Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      yield* Effect.yieldNow
      yield* loader.invalidate(key("a"))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(lengthOf(yield* Fiber.join(early)), 3)
      assert.strictEqual(refreshes, 0)
      assert.isUndefined(yield* cache.get(key("a"), { stale: true }))
    }))

  it.effect("invalidate: a load that runs is not stored, and later callers load anew", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      const cache = yield* MemoryCache.make()
      const loader = yield* CacheLoader.make({ cache, load })
      const gate = state.gate = yield* Deferred.make<void>()
      const early = yield* Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      assert.isFalse(yield* loader.invalidate(key("a")))
      const late = yield* Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual([lengthOf(yield* Fiber.join(early)), lengthOf(yield* Fiber.join(late))], [1, 2])
      assert.strictEqual((yield* cache.get(key("a")))?.length, 2)
      assert.isTrue(yield* loader.invalidate(key("a")))
    }))

  it.effect("invalidate: an item that is being stored is removed", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryCache.make()
      const began = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const cache: CacheTier.CacheTier = {
        ...memory,
        set: (id, entry) =>
          Effect.andThen(
            Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)),
            memory.set(id, entry)
          )
      }
      const loader = yield* CacheLoader.make({ cache, load: source().load })
      const early = yield* Effect.forkChild(loader.getOrLoad(key("a")), { startImmediately: true })
      yield* Deferred.await(began)
      yield* loader.invalidate(key("a"))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(early)
      assert.isUndefined(yield* memory.get(key("a")))
    }))

  it.effect("a cache that fails is one without entries", () =>
    Effect.gen(function*() {
      const failing = Effect.fail(new CacheError.CacheError({ _tag: "Io", operation: "read" }))
      const { load, state } = source()
      const loader = yield* CacheLoader.make({
        cache: { ...CacheTier.none, get: () => failing, set: () => failing },
        load
      })
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 1)
      assert.strictEqual(lengthOf(yield* loader.getOrLoad(key("a"))), 2)
      assert.strictEqual(state.loads, 2)
    }))

  it.effect("closing its scope fails those that wait, and later callers, with SHUTTING_DOWN", () =>
    Effect.gen(function*() {
      const { load, state } = source()
      state.gate = yield* Deferred.make<void>()
      const { loader, waiting } = yield* Effect.scoped(Effect.gen(function*() {
        const loader = yield* CacheLoader.make({ cache: CacheTier.none, load })
        return { loader, waiting: yield* Effect.forkDetach(loader.getOrLoad(key("a")), { startImmediately: true }) }
      }))
      for (const exit of [yield* Fiber.await(waiting), yield* Effect.exit(loader.getOrLoad(key("a")))]) {
        assert.include(String(Exit.isFailure(exit) && exit.cause), "SingleFlightClosed")
      }
    }))

  it.effect("[S4-08] the life of items is shortened at random, never lengthened, and for ever stays for ever", () =>
    Effect.gen(function*() {
      const cache = yield* MemoryCache.make()
      const { load } = source()
      const loader = yield* CacheLoader.make({ cache, load, ttl: "100 seconds", ttlJitter: 0.5 })
      const lives = new Set<number>()
      for (let index = 0; index < 50; index++) {
        const { createdAt, expiresAt } = yield* loader.getOrLoad(key(`k${index}`))
        const life = expiresAt!.epochMilliseconds - createdAt.epochMilliseconds
        assert.isTrue(life >= 50_000 && life <= 100_000)
        lives.add(life)
      }
      assert.isAbove(lives.size, 40)
      const ever = yield* CacheLoader.make({ cache, load, ttl: "0 seconds", ttlJitter: 0.5 })
      assert.isUndefined((yield* ever.getOrLoad(key("ever"))).expiresAt)
    }).pipe(Random.withSeed("lives")))

  it.effect("refuses options out of their range", () =>
    Effect.gen(function*() {
      for (
        const options of [{ ttlJitter: 0.6 }, { ttl: "-1 seconds" as const }, { staleWindow: "9000 hours" as const }]
      ) {
        const error = yield* Effect.flip(CacheLoader.make({ cache: CacheTier.none, load: source().load, ...options }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
      }
    }))
})

describe("ValueCache", () => {
  const Price = Schema.Struct({ amount: Schema.Number, since: Schema.DateTimeUtc })

  const priceOf = Schema.decodeUnknownSync(Schema.toCodecJson(Price))

  const setup = Effect.gen(function*() {
    const cache = yield* MemoryCache.make()
    const state = { lookups: 0 }
    const prices = yield* ValueCache.make({
      cache,
      bucket: "prices",
      schema: Price,
      key: (product: { readonly id: string }) => product.id,
      lookup: ({ id }) =>
        Effect.suspend(() => {
          state.lookups++
          return id === "none"
            ? Effect.fail("unknown product" as const)
            : Effect.succeed(priceOf({ amount: state.lookups, since: "2026-01-01T00:00:00.000Z" }))
        })
    })
    return { cache, prices, state }
  })

  it.effect("returns values of the schema's type, looked up once", () =>
    Effect.gen(function*() {
      const { prices, state } = yield* setup
      const [first, second] = yield* Effect.all([prices.get({ id: "a" }), prices.get({ id: "a" })], { concurrency: 2 })
      assert.deepStrictEqual(first, second)
      const cached = yield* prices.get({ id: "a" })
      assert.deepStrictEqual([cached.amount, cached.since.epochMilliseconds], [1, Date.parse("2026-01-01")])
      assert.strictEqual(state.lookups, 1)
      assert.strictEqual((yield* prices.refresh({ id: "a" })).amount, 2)
      assert.isTrue(yield* prices.invalidate({ id: "a" }))
      assert.strictEqual((yield* prices.get({ id: "a" })).amount, 3)
    }))

  it.effect("a failure of the lookup is not cached; a key that is not valid is a typed error", () =>
    Effect.gen(function*() {
      const { prices, state } = yield* setup
      assert.strictEqual(yield* Effect.flip(prices.get({ id: "none" })), "unknown product")
      assert.strictEqual(yield* Effect.flip(prices.get({ id: "none" })), "unknown product")
      assert.strictEqual(state.lookups, 2)
      const error = yield* Effect.flip(prices.get({ id: "" }))
      assert.isTrue(typeof error === "object" && error.code === "CACHE_KEY_INVALID")
    }))

  it.effect("a cached text that the schema does not decode is looked up again", () =>
    Effect.gen(function*() {
      const { cache, prices } = yield* setup
      for (const body of [new TextEncoder().encode("{\"amount\":1}"), new TextEncoder().encode("{"), bytes(3, 255)]) {
        yield* cache.set(key("a", "prices"), { body })
        assert.isAbove((yield* prices.get({ id: "a" })).amount, 0)
        assert.isAbove((yield* prices.get({ id: "a" })).amount, 0)
      }
      assert.deepInclude(yield* cache.stats, { items: 1 })
    }))
})
