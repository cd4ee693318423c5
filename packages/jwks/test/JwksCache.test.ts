import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { atOnce, outcome } from "@keelson/testing/observe"
import {
  cacheOf,
  documentOf,
  down,
  hanging,
  header,
  issuer,
  jwk,
  jwks,
  keysOf
} from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { JwksError } from "../src/index.ts"

/** A fetch that fails does so at once, and nothing is drawn. */
const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

const httpDate = (millis: number) => `Thu, 01 Jan 1970 00:${String(millis / 60_000).padStart(2, "0")}:00 GMT`

describe("JwksCache", () => {
  describe("building", () => {
    it.effect.each([["hangs", hanging], ["is down", down]] as const)(
      "[S0-21] neither waits nor fails where the provider %s",
      ([, answer]) =>
        Effect.gen(function*() {
          const { cache, provider } = yield* cacheOf(answer)
          assert.strictEqual(cache.issuer, issuer)
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* cache.status).keys, 0)
          assert.isAtLeast(provider.requests.length, 1)
        }).pipe(Effect.scoped)
    )

    it.effect("[S0-21] fetches in the background, so that the first lookup finds the key in memory", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"))
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(provider.times, [0])
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.strictEqual((yield* cache.status).metrics.hits, 1)
      }).pipe(Effect.scoped))

    it.effect("fetches nothing before the first lookup without prefetch", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), { prefetch: false })
        yield* TestClock.adjust("10 days")
        assert.strictEqual((yield* cache.status).state, "Empty")
        assert.isEmpty(provider.requests)
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.lengthOf(provider.requests, 1)
      }).pipe(Effect.scoped))
  })

  describe("lifetime", () => {
    it.effect.each([["1 minute", 30_000], ["24 hours", 86_370_000]] as const)(
      "[S0-14] [S0-24] a silent response lives for the ttl: renewed before its end, at both bounds (%s)",
      ([ttl, every]) =>
        Effect.gen(function*() {
          const { provider } = yield* cacheOf(keysOf("a"), { ...plain, ttl })
          yield* TestClock.adjust(every * 2 + 1)
          assert.deepStrictEqual(provider.times, [0, every, 2 * every])
        }).pipe(Effect.scoped)
    )

    it.effect.each([["1 minute", 60_000], ["24 hours", 86_400_000]] as const)(
      "[S0-14] [S0-24] [L4] without a renewal or stale window its keys end with the ttl to the millisecond (%s)",
      ([ttl, millis]) =>
        Effect.gen(function*() {
          const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, ttl, staleWindow: "0 millis" })
          yield* cache.keySet
          provider.answer = down
          yield* TestClock.adjust(millis - 1)
          assert.strictEqual(yield* outcome(cache, "a"), "a")
          yield* TestClock.adjust(1)
          assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        }).pipe(Effect.scoped)
    )

    it.effect.each(
      [
        ["max-age", { "cache-control": "max-age=600" }, 570_000],
        ["s-maxage before max-age", { "cache-control": "max-age=60, s-maxage=600" }, 570_000],
        ["Expires", { date: httpDate(0), expires: httpDate(600_000) }, 570_000],
        ["max-age less Age", { "cache-control": "max-age=900", age: "300" }, 570_000],
        ["[S1-07] no more than maxTtl", { "cache-control": "max-age=864000" }, 86_370_000],
        ["[S1-07] no less than minTtl", { "cache-control": "max-age=1" }, 15_000],
        ["[S1-07] no-store as minTtl", { "cache-control": "no-store, max-age=600" }, 15_000],
        ["[S1-07] no-cache as minTtl", { "cache-control": "no-cache" }, 15_000]
      ] as const
    )("[S1-06] [K-01] lives as long as the response says: %s", ([, headers, due]) =>
      Effect.gen(function*() {
        const { provider } = yield* cacheOf(documentOf(jwks("a"), headers), plain)
        yield* TestClock.adjust(due - 1)
        assert.lengthOf(provider.times, 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(provider.times, [0, due])
      }).pipe(Effect.scoped))

    it.effect("[S1-06] while they are fresh, reads fetch nothing and give the very same key set", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(documentOf(jwks("a"), { "cache-control": "max-age=600" }), plain)
        const first = yield* cache.keySet
        for (let second = 0; second < 569; second++) {
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* cache.keySet, first)
          yield* cache.find(header("a"))
        }
        assert.lengthOf(provider.requests, 1)
      }).pipe(Effect.scoped))

    it.effect("[R29] [L6] it is all the same at a time far from the system's", () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("36500 days")
        const start = 36_500 * 86_400_000
        const { cache, provider } = yield* cacheOf(documentOf(jwks("a"), { "cache-control": "max-age=600" }), plain)
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(provider.times, [start, start + 570_000])
        assert.strictEqual(yield* outcome(cache, "a"), "a")
      }).pipe(Effect.scoped))
  })

  describe("lookups", () => {
    it.effect("[S1-10] 100 cold ones at the same time make one fetch", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), { prefetch: false })
        provider.answer = () => Effect.delay(Effect.succeed({ body: jwks("a") }), "1 second")
        const lookups = Array.from({ length: 100 }, (_, index) => index % 2 === 0 ? outcome(cache, "a") : cache.keySet)
        const { exit } = yield* runOut(Effect.all(lookups, { concurrency: "unbounded" }), "1 second")
        assert.lengthOf(yield* exit, 100)
        assert.strictEqual(provider.requests.length, 1)
        const { metrics, state } = yield* cache.status
        assert.deepInclude(metrics, { requests: 100, hits: 0, misses: 100 })
        assert.strictEqual(state, "Ready")
      }).pipe(Effect.scoped))

    it.effect("[S0-16] with nothing ever fetched they fail with the failure of the fetch, as a 503", () =>
      Effect.gen(function*() {
        const { cache } = yield* cacheOf(down, { ...plain, prefetch: false })
        const error = errorOf(yield* Effect.exit(cache.find(header("a"))))
        assert.instanceOf(error, JwksError.JwksUnavailable)
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", status: 503, lastFailure: "NETWORK_ERROR" })
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(1))
        assert.strictEqual(errorOf(yield* Effect.exit(cache.keySet)).code, "JWKS_UNAVAILABLE")
      }).pipe(Effect.scoped))

    it.effect("[S1-27] unknown and mismatched key ids are results of their own, as a 401", () =>
      Effect.gen(function*() {
        const { cache } = yield* cacheOf(keysOf("a"))
        const unknown = errorOf(yield* Effect.exit(cache.find(header("b"))))
        assert.deepInclude(unknown, { code: "JWKS_KEY_NOT_FOUND", reason: "unknown", status: 401 })
        const mismatched = errorOf(yield* Effect.exit(cache.find({ alg: "RS256", kid: "a" })))
        assert.deepInclude(mismatched, { code: "JWKS_KEY_NOT_FOUND", reason: "mismatched", status: 401 })
      }).pipe(Effect.scoped))

    it.effect("a mismatched or too long key id causes no fetch", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"))
        yield* cache.keySet
        for (const wrong of [{ alg: "RS256", kid: "a" }, { alg: "none", kid: "a" }, header("a".repeat(257))]) {
          assert.strictEqual(errorOf(yield* Effect.exit(cache.find(wrong))).code, "JWKS_KEY_NOT_FOUND")
        }
        assert.lengthOf(provider.requests, 1)
        assert.deepInclude((yield* cache.status).metrics, { misses: 4, floodLimited: 0 })
      }).pipe(Effect.scoped))

    it.effect("[S1-12] [L2] one whose key is held never waits, whatever the provider does", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* TestClock.adjust(0)
        provider.answer = hanging
        yield* TestClock.adjust(3_570_001)
        assert.strictEqual(provider.underWay(), 1)
        assert.strictEqual((yield* cache.status).state, "Refreshing")
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.isDefined(yield* atOnce(Effect.orDie(cache.keySet)))
        yield* Effect.forkScoped(cache.find(header("b")), { startImmediately: true })
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      }).pipe(Effect.scoped))

    it.effect("[L2] a hit is the same candidates each time, and costs no fetch, however it is repeated", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(documentOf(JSON.stringify({ keys: [jwk("a"), jwk(undefined)] })))
        yield* TestClock.adjust(0)
        const first = yield* cache.find(header("a"))
        assert.strictEqual(yield* cache.find(header("a")), first)
        assert.deepStrictEqual((yield* cache.find(header())).map(({ kid }) => kid), ["a", undefined])
        assert.strictEqual(yield* cache.find(header("a")), first)
        assert.lengthOf(provider.requests, 1)
      }).pipe(Effect.scoped))
  })

  describe("the end of its scope", () => {
    it.effect("[S0-15] [L8] stops the refreshes: nothing is fetched in the days after", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { provider } = yield* Scope.provide(cacheOf(keysOf("a"), plain), scope)
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(provider.times, [0, 3_570_000, 7_140_000])
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("100 days")
        assert.lengthOf(provider.requests, 3)
      }))

    it.effect("[L1] [L8] [R28] interrupts the fetch and fails its waiters at once with SHUTTING_DOWN", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { cache, provider } = yield* Scope.provide(cacheOf(hanging), scope)
        const waiting = yield* Effect.forEach(
          [Effect.asVoid(cache.find(header("a"))), Effect.asVoid(cache.keySet), Effect.asVoid(cache.find(header("b")))],
          (one) => Effect.forkChild(Effect.exit(one), { startImmediately: true })
        )
        const refreshing = yield* Effect.forkChild(Effect.exit(cache.refresh), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        for (const fiber of waiting) {
          const error = errorOf(yield* Fiber.join(fiber))
          assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", lastFailure: "SHUTTING_DOWN" })
        }
        assert.strictEqual(errorOf(yield* Fiber.join(refreshing)).code, "SHUTTING_DOWN")
        assert.deepStrictEqual([provider.interrupted(), provider.underWay()], [1, 0])
      }))

    it.effect("[L8] a first lookup after it fails as unavailable", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { cache, provider } = yield* Scope.provide(cacheOf(keysOf("a")), scope)
        yield* TestClock.adjust(0)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        assert.strictEqual(errorOf(yield* Effect.exit(cache.keySet)).code, "JWKS_UNAVAILABLE")
        assert.deepInclude((yield* cache.status).metrics, { hits: 0, misses: 2 })
        assert.lengthOf(provider.requests, 1)
      }))

    it.effect("[L8] ends the trust in the keys; later lookups fail without a fetch", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { cache, provider } = yield* Scope.provide(cacheOf(keysOf("a")), scope)
        const [candidate] = yield* cache.find(header("a"))
        yield* Scope.close(scope, Exit.void)
        const error = errorOf(yield* Effect.exit(cache.find(header("a"))))
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", lastFailure: "SHUTTING_DOWN" })
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "SHUTTING_DOWN")
        assert.isFalse(yield* Effect.clockWith((clock) => Effect.sync(() => candidate?.trust.holds(clock))))
        assert.lengthOf(provider.requests, 1)
      }))
  })
})
