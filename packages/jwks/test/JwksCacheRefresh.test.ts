import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { atOnce, outcome } from "@keelson/testing/observe"
import {
  type Answer,
  cacheOf,
  documentOf,
  down,
  hanging,
  header,
  jwk,
  jwks,
  keysOf,
  revalidating,
  statusOf
} from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

const lastModified = "Thu, 01 Jan 1970 00:00:00 GMT"

/** Documents that are not key sets, each for a different reason. */
const garbage = [
  "",
  "<html>Sign in</html>",
  "{",
  "null",
  "[]",
  "{}",
  "{\"keys\":{}}",
  "{\"keys\":[]}",
  "{\"keys\":[7]}"
]

describe("JwksCache refresh", () => {
  describe("conditional", () => {
    it.effect("[S1-08] sends both validators, unless it has nothing; the keys stay, and get a new lifetime", () =>
      Effect.gen(function*() {
        const headers = { "cache-control": "max-age=600", "last-modified": lastModified }
        const { cache, provider } = yield* cacheOf(revalidating(jwks("a"), "\"1\"", headers), plain)
        const first = yield* cache.keySet
        yield* TestClock.adjust("10 minutes")
        const [cold, renewal] = provider.requests.map((request) => request.headers)
        assert.notProperty(cold, "if-none-match")
        assert.notProperty(cold, "if-modified-since")
        assert.deepInclude(renewal, { "if-none-match": "\"1\"", "if-modified-since": lastModified })
        assert.notProperty(renewal, "cache-control")
        assert.strictEqual(yield* cache.keySet, first)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(provider.times, [0, 1, 2, 3, 4, 5, 6, 7].map((times) => times * 570_000))
        assert.deepInclude((yield* cache.status).metrics, { refreshes: 8, notModified: 7, errors: 0 })
      }).pipe(Effect.scoped))

    it.effect("[S1-08] a 304 keeps the trust in the keys, and sets a new lifetime", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(revalidating(jwks("a"), "\"1\""), { ...plain, ttl: "1 minute" })
        const [candidate] = yield* cache.find(header("a"))
        provider.answer = statusOf(304, { "cache-control": "max-age=600", etag: "\"2\"" })
        yield* TestClock.adjust("30 seconds")
        const holds = Effect.clockWith((clock) => Effect.sync(() => candidate?.trust.holds(clock)))
        assert.isTrue(yield* holds)
        assert.strictEqual(candidate?.trust.staleDeadline(), 690_000_000_000n)
        yield* TestClock.adjust("570 seconds")
        assert.deepStrictEqual(provider.times, [0, 30_000, 600_000])
        assert.strictEqual(provider.requests[2]?.headers?.["if-none-match"], "\"1\"")
      }).pipe(Effect.scoped))

    it.effect("[S1-08] [S1-24] a 304 without cached keys is an error", () =>
      Effect.gen(function*() {
        const { cache } = yield* cacheOf(statusOf(304), { ...plain, prefetch: false })
        const error = errorOf(yield* Effect.exit(cache.find(header("a"))))
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", lastFailure: "JWKS_INVALID" })
      }).pipe(Effect.scoped))

    it.effect("[S1-08] after the keys were dropped the next fetch is unconditional", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(revalidating(jwks("a"), "\"1\""), plain)
        yield* cache.keySet
        yield* cache.invalidate
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.notProperty(provider.requests[1]?.headers, "if-none-match")
      }).pipe(Effect.scoped))

    it.effect("a document of the same keys keeps the very same key set; another one replaces it whole", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a", "b"), plain)
        const first = yield* cache.keySet
        assert.strictEqual(yield* cache.refresh, "loaded")
        assert.strictEqual(yield* cache.keySet, first)
        provider.answer = keysOf("b", "c")
        yield* cache.refresh
        const second = yield* cache.keySet
        assert.deepStrictEqual(second.all.map(({ kid }) => kid), ["b", "c"])
        assert.isAbove(second.generation, first.generation)
        assert.strictEqual(second.all[0], first.all[1])
      }).pipe(Effect.scoped))
  })

  describe("schedule", () => {
    it.effect.each(["a seed", "another seed", "a third one"])(
      "[S1-11] is due at expiry - refreshEarly - jitter, exactly as drawn from %j",
      (seed) =>
        Effect.gen(function*() {
          const drawn = yield* Random.withSeed(Effect.all([Random.next, Random.next]), seed)
          const { provider } = yield* Random.withSeed(cacheOf(keysOf("a")), seed)
          yield* TestClock.adjust("2 hours")
          const delays = drawn.map((random) => Math.ceil(3_600_000 - 30_000 - random * 5000))
          assert.deepStrictEqual(provider.times.slice(0, 2), [0, delays[0]])
          assert.closeTo((provider.times[2] ?? 0) - (provider.times[1] ?? 0), delays[1] ?? 0, 1)
        }).pipe(Effect.scoped)
    )

    it.effect.each(
      [
        ["refreshEarly", { ttl: "10 minutes", refreshEarly: "3 minutes", refreshJitter: "0 millis" }, 420_000],
        ["never before half", { ttl: "10 minutes", refreshEarly: "1 hour", refreshJitter: "1 hour" }, 300_000],
        ["the shortest lifetime", { ttl: "1 minute", refreshJitter: "1 hour" }, 30_000]
      ] as const
    )("[S1-11] %s", ([, options, due]) =>
      Effect.gen(function*() {
        const { provider } = yield* cacheOf(keysOf("a"), {
          ...options,
          ttl: Duration.fromInputUnsafe(options.ttl),
          refreshJitter: Duration.fromInputUnsafe(options.refreshJitter),
          ...("refreshEarly" in options
            ? { refreshEarly: Duration.fromInputUnsafe(options.refreshEarly) }
            : undefined)
        })
        yield* TestClock.adjust(due * 2)
        assert.deepStrictEqual(provider.times, [0, due, 2 * due])
      }).pipe(Effect.scoped))

    it.effect("[S1-12] readers get the cached keys during a refresh, and the new ones after it", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = () => Effect.delay(Effect.succeed({ body: jwks("b") }), "2 seconds")
        yield* TestClock.adjust(3_571_000)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        yield* TestClock.adjust(1000)
        provider.answer = keysOf("b")
        assert.strictEqual(yield* outcome(cache, "b"), "b")
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_KEY_NOT_FOUND")
      }).pipe(Effect.scoped))
  })

  describe("by hand", () => {
    it.effect("[S1-30] [K-01] on Ready bypasses HTTP caches, with the validators", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(revalidating(jwks("a"), "\"1\""), plain)
        yield* cache.keySet
        assert.strictEqual(yield* cache.refresh, "notModified")
        assert.deepInclude(provider.requests[1]?.headers, { "cache-control": "no-cache", "if-none-match": "\"1\"" })
      }).pipe(Effect.scoped))

    it.effect("[S1-10] [S1-30] joins the running fetch, while loading and while refreshing", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(hanging, { ...plain, prefetch: false })
        const slow: Answer = () => Effect.delay(Effect.succeed({ body: jwks("a") }), "1 second")
        provider.answer = slow
        for (const requests of [1, 2]) {
          const { exit } = yield* runOut(
            Effect.all(Array.from({ length: 20 }, () => cache.refresh), { concurrency: "unbounded" }),
            "1 second"
          )
          assert.lengthOf(yield* exit, 20)
          assert.lengthOf(provider.requests, requests)
        }
      }).pipe(Effect.scoped))

    it.effect("[S1-30] is not held up by failures before, and fails as the fetch did", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(down, plain)
        yield* TestClock.adjust("10 minutes")
        const before = provider.requests.length
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "NETWORK_ERROR")
        provider.answer = keysOf("a")
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        assert.strictEqual(yield* cache.refresh, "loaded")
        assert.strictEqual(provider.requests.length, before + 2)
        assert.strictEqual(yield* outcome(cache, "a"), "a")
      }).pipe(Effect.scoped))

    it.effect("[S1-30] the keys that are held stay in use until new ones are there", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = hanging
        const refresh = yield* Effect.forkChild(Effect.exit(cache.refresh), { startImmediately: true })
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(errorOf(yield* Fiber.join(refresh)).code, "TIMEOUT")
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      }).pipe(Effect.scoped))

    it.effect("[S0-20] [L5] invalidating ends the trust at once, and the next access fetches", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        const [candidate] = yield* cache.find(header("a"))
        yield* cache.invalidate
        assert.isFalse(yield* Effect.clockWith((clock) => Effect.sync(() => candidate?.trust.holds(clock))))
        assert.strictEqual(candidate?.trust.staleDeadline(), 0n)
        assert.strictEqual((yield* cache.status).state, "Empty")
        yield* TestClock.adjust("10 hours")
        assert.lengthOf(provider.requests, 1)
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.lengthOf(provider.requests, 2)
      }).pipe(Effect.scoped))

    it.effect("[S0-20] invalidating during a fetch discards its result and fetches again", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(() =>
          Effect.delay(Effect.succeed({ body: jwks("old") }), "1 second")
        )
        const lookup = yield* Effect.forkChild(outcome(cache, "old"), { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        yield* cache.invalidate
        provider.answer = keysOf("new")
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* Fiber.join(lookup), "JWKS_KEY_NOT_FOUND")
        assert.strictEqual(yield* outcome(cache, "new"), "new")
        assert.strictEqual(provider.requests[1]?.headers?.["cache-control"], "no-cache")
      }).pipe(Effect.scoped))
  })

  describe("rotation", () => {
    it.effect("[K-04] [L5] a removed key is neither found nor trusted once the next set is there", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a", "b"), plain)
        const found = yield* Effect.all([cache.find(header("a")), cache.find(header("b"))])
        provider.answer = keysOf("b")
        yield* cache.refresh
        for (const [candidate] of found) {
          assert.isFalse(yield* Effect.clockWith((clock) => Effect.sync(() => candidate?.trust.holds(clock))))
        }
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_KEY_NOT_FOUND")
        const [kept] = yield* cache.find(header("b"))
        assert.strictEqual(kept?.key, found[1][0]?.key)
        assert.isAbove(kept?.trust.generation ?? 0, found[1][0]?.trust.generation ?? 0)
      }).pipe(Effect.scoped))

    it.effect("[L5] another key under the same key id is another key at once", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        const [before] = yield* cache.find(header("a"))
        provider.answer = documentOf(JSON.stringify({ keys: [jwk("a", { x: jwk("b").x })] }))
        yield* cache.refresh
        const [after] = yield* cache.find(header("a"))
        assert.notStrictEqual(after?.key, before?.key)
        assert.isFalse(yield* Effect.clockWith((clock) => Effect.sync(() => before?.trust.holds(clock))))
        assert.isTrue(yield* Effect.clockWith((clock) => Effect.sync(() => after?.trust.holds(clock))))
      }).pipe(Effect.scoped))
  })

  describe("garbage", () => {
    it.effect.each(garbage)(
      "[S1-24] keeps the good keys, and fails as an invalid key set: %j",
      (body) =>
        Effect.gen(function*() {
          const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
          const first = yield* cache.keySet
          provider.answer = documentOf(body)
          assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "JWKS_INVALID")
          assert.strictEqual(yield* cache.keySet, first)
          assert.deepInclude(yield* cache.status, { errorCount: 1, lastFailure: "JWKS_INVALID", keys: 1 })
        }).pipe(Effect.scoped)
    )

    it.effect("[S1-24] an egress that dies is a failure like any other", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = () => Effect.die(new Error("a bug"))
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "NETWORK_ERROR")
        assert.strictEqual(yield* outcome(cache, "a"), "a")
      }).pipe(Effect.scoped))
  })
})
