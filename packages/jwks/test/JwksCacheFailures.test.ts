import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { atOnce, eventsOf, outcome } from "@keelson/testing/observe"
import { cacheOf, down, hanging, header, keysOf, statusOf } from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

/** A fetch that fails does so at once, and nothing is drawn. */
const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

describe("JwksCache failures", () => {
  describe("attempts of a fetch", () => {
    it.effect("[S1-16] requests to a provider that is down are tried three times, after 250 and 500 ms", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(down, { prefetch: false, retryJitter: "none" })
        const { exit } = yield* runOut(cache.find(header("a")), "900 millis")
        assert.deepStrictEqual(provider.times, [0, 250, 750])
        assert.deepInclude(errorOf(exit), { code: "JWKS_UNAVAILABLE", lastFailure: "NETWORK_ERROR" })
      }).pipe(Effect.scoped))

    it.effect("[S1-16] a provider that hangs is given 3 s each time, and 8 s in all", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(hanging, { prefetch: false, retryJitter: "none" })
        const { elapsed, exit } = yield* runOut(cache.find(header("a")), "8 seconds")
        assert.deepStrictEqual(provider.times, [0, 3250, 6750])
        assert.strictEqual(Duration.toMillis(elapsed), 8000)
        assert.deepInclude(errorOf(exit), { code: "JWKS_UNAVAILABLE", lastFailure: "TIMEOUT" })
        assert.strictEqual(provider.interrupted(), 3)
      }).pipe(Effect.scoped))

    it.effect("[S1-16] with its own options: attempts, their timeout, delays up to a longest, and the deadline", () =>
      Effect.gen(function*() {
        const options = {
          prefetch: false,
          retryJitter: "none",
          maxAttempts: 5,
          attemptTimeout: Duration.millis(100),
          retryDelay: Duration.seconds(1),
          maxRetryDelay: Duration.seconds(2),
          deadline: Duration.seconds(30)
        } as const
        const { cache, provider } = yield* cacheOf(hanging, options)
        const { elapsed } = yield* runOut(cache.refresh, "7500 millis")
        assert.deepStrictEqual(provider.times, [0, 1100, 3200, 5300, 7400])
        assert.strictEqual(Duration.toMillis(elapsed), 7500)
      }).pipe(Effect.scoped))

    it.effect("[S1-16] by default the delays are spread, and never longer than without", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(down, { prefetch: false })
        yield* runOut(cache.refresh, "900 millis")
        const [first = 0, second = 0, third = 0] = provider.times
        assert.isAtMost(second - first, 250)
        assert.isAtMost(third - second, 500)
        assert.notDeepEqual(provider.times, [0, 250, 750])
      }).pipe(Effect.scoped))

    it.effect("[S1-16] permanent failures are not retried, and a success ends the retries", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(statusOf(404), { prefetch: false, retryJitter: "none" })
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "UPSTREAM_REJECTED")
        assert.lengthOf(provider.requests, 1)
        provider.answer = (request) => provider.requests.length === 2 ? down(request) : keysOf("a")(request)
        const { exit } = yield* runOut(cache.refresh, "250 millis")
        assert.strictEqual(yield* exit, "loaded")
        assert.deepStrictEqual(provider.times, [0, 0, 250])
        assert.deepInclude(yield* cache.status, { errorCount: 0 })
      }).pipe(Effect.scoped))
  })

  describe("backoff", () => {
    it.effect("[S1-18] failures raise the count and delay the next fetch: 1 s doubling to 60 s; success resets", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(down, plain)
        yield* TestClock.adjust("183 seconds")
        assert.deepStrictEqual(provider.times, [0, 1, 3, 7, 15, 31, 63, 123, 183].map((seconds) => seconds * 1000))
        assert.deepInclude(yield* cache.status, { errorCount: 9, lastFailure: "NETWORK_ERROR", state: "Empty" })
        provider.answer = keysOf("a")
        yield* TestClock.adjust("60 seconds")
        const status = yield* cache.status
        assert.deepInclude(status, { errorCount: 0, state: "Ready", health: "ok" })
        assert.notProperty(status, "lastFailure")
        provider.answer = down
        yield* TestClock.adjust(3_570_000 + 1000)
        assert.deepStrictEqual(provider.times.slice(9), [243_000, 3_813_000, 3_814_000])
      }).pipe(Effect.scoped))

    it.effect("[S1-18] a Retry-After puts it off further, up to the longest backoff", () =>
      Effect.gen(function*() {
        const { provider } = yield* cacheOf(statusOf(503, { "retry-after": "20" }), plain)
        yield* TestClock.adjust("39 seconds")
        assert.deepStrictEqual(provider.times, [0, 20_000])
        provider.answer = statusOf(503, { "retry-after": "86400" })
        yield* TestClock.adjust("61 seconds")
        assert.deepStrictEqual(provider.times, [0, 20_000, 40_000, 100_000])
      }).pipe(Effect.scoped))

    it.effect("[K-02] [L3] down and 50 lookups: one fetch in each window, and the lookups fail without waiting", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(down, plain)
        yield* TestClock.adjust(0)
        for (const requests of [1, 2, 2, 3, 3, 3, 3, 4]) {
          for (let index = 0; index < 50; index++) {
            assert.strictEqual(yield* atOnce(outcome(cache, `kid-${index}`)), "JWKS_UNAVAILABLE")
          }
          assert.lengthOf(provider.requests, requests)
          yield* TestClock.adjust("1 second")
        }
        assert.deepInclude((yield* cache.status).metrics, { hits: 0, misses: 400 })
      }).pipe(Effect.scoped))

    it.effect("[S0-16] says when a fetch may be made again", () =>
      Effect.gen(function*() {
        const { cache } = yield* cacheOf(down, plain)
        yield* TestClock.adjust("3500 millis")
        const error = errorOf(yield* Effect.exit(cache.find(header("a"))))
        assert.strictEqual(error._tag, "JwksUnavailable")
        assert.deepStrictEqual(error.details, { last_failure: "NET-002", retry_after_ms: 3500 })
      }).pipe(Effect.scoped))
  })

  describe("stale keys", () => {
    it.effect("[S0-16] [S1-14] [K-03] [L4] serve to the millisecond before the window's end, and then a 503", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        const [candidate] = yield* cache.find(header("a"))
        const holds = Effect.clockWith((clock) => Effect.sync(() => candidate?.trust.holds(clock)))
        provider.answer = down
        yield* TestClock.adjust(3_660_000 - 1)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.isTrue(yield* holds)
        yield* TestClock.adjust(1)
        assert.isFalse(yield* holds)
        const error = errorOf(yield* Effect.exit(cache.find(header("a"))))
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", status: 503 })
        assert.strictEqual(errorOf(yield* Effect.exit(cache.keySet)).code, "JWKS_UNAVAILABLE")
        assert.deepInclude(yield* cache.status, { state: "Empty", keys: 0, health: "bad" })
      }).pipe(Effect.scoped))

    it.effect("[S1-14] [K-03] a window of zero: none are served past the lifetime", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, staleWindow: Duration.zero })
        yield* cache.keySet
        provider.answer = down
        yield* TestClock.adjust(3_600_000 - 1)
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        assert.deepInclude((yield* cache.status).metrics, { stale: 0 })
      }).pipe(Effect.scoped))

    it.effect("[S1-14] past the window the state is Empty, even without a lookup", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = down
        yield* TestClock.adjust(3_660_000)
        assert.deepInclude(yield* cache.status, { state: "Empty", keys: 0, health: "bad" })
      }).pipe(Effect.scoped))

    it.effect("[S1-14] stale hits are counted, with one event until keys are refreshed", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, prefetch: false })
        yield* cache.keySet
        const events = yield* eventsOf(cache)
        provider.answer = down
        yield* TestClock.adjust(3_600_000 - 1)
        yield* outcome(cache, "a")
        assert.deepInclude((yield* cache.status).metrics, { stale: 0 })
        yield* TestClock.adjust(1)
        for (let index = 0; index < 3; index++) yield* outcome(cache, "a")
        assert.deepInclude(yield* cache.status, { staleServeRatio: 3 / 4, health: "bad" })
        yield* TestClock.adjust(0)
        assert.lengthOf(events.filter(({ _tag }) => _tag === "StaleServed"), 1)
      }).pipe(Effect.scoped))

    it.effect("[K-03] after an outage past the window the next lookup that may fetch gets its key", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = down
        yield* TestClock.adjust("2 hours")
        provider.answer = keysOf("a")
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      }).pipe(Effect.scoped))
  })

  describe("health", () => {
    it.effect("[S1-38] two failures in a row are degraded, within 120 s of the first fetch that failed", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), { refreshEarly: Duration.minutes(10) })
        yield* cache.keySet
        assert.strictEqual(yield* cache.health, "ok")
        provider.answer = hanging
        yield* TestClock.adjust("51 minutes")
        assert.strictEqual(yield* cache.health, "degraded")
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      }).pipe(Effect.scoped))

    it.effect("[S1-38] one failure with fresh keys is ok; stale keys are bad at once", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = down
        yield* TestClock.adjust(3_570_000)
        assert.strictEqual(yield* cache.health, "ok")
        yield* TestClock.adjust(1000)
        assert.strictEqual(yield* cache.health, "degraded")
        yield* TestClock.adjust(29_000)
        assert.strictEqual(yield* cache.health, "bad")
      }).pipe(Effect.scoped))

    it.effect("[S1-38] a provider that never responded is bad within 120 s, and ok once it responds", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(hanging)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* cache.health, "bad")
        provider.answer = keysOf("a")
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* cache.health, "ok")
      }).pipe(Effect.scoped))
  })
})
