import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { atOnce, eventsOf, outcome } from "@keelson/testing/observe"
import { cacheOf, documentOf, down, hanging, header, jwk, jwks, keysOf } from "@keelson/testing/scriptedProvider"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

const kids = Array.from({ length: 50 }, (_, index) => `unknown-${index}`)

describe("JwksCache limits", () => {
  it.effect("[K-01] [K-02] 50 unknown keys make one fetch, past the caches on the way; each is a 401", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      for (const kid of kids) assert.strictEqual(yield* outcome(cache, kid), "JWKS_KEY_NOT_FOUND")
      assert.lengthOf(provider.requests, 2)
      assert.strictEqual(provider.requests[1]?.headers?.["cache-control"], "no-cache")
      assert.deepInclude((yield* cache.status).metrics, { hits: 0, misses: 51, floodLimited: 49 })
    }).pipe(Effect.scoped))

  it.effect("[K-30] lookups of unknown keys, and lookups in an outage, fail with one error that is made once", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, staleWindow: Duration.zero })
      yield* cache.keySet
      const failures = yield* Effect.forEach(kids, (kid) => Effect.flip(cache.find(header(kid))))
      assert.strictEqual(new Set(failures).size, 1)
      assert.isTrue(Object.isFrozen(failures[0]))
      provider.answer = down
      yield* TestClock.adjust("2 hours")
      const outages = yield* Effect.forEach(kids, (kid) => Effect.flip(cache.find(header(kid))))
      assert.strictEqual(outages[0]?.code, "JWKS_UNAVAILABLE")
      assert.strictEqual(new Set(outages.slice(1)).size, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-02] [S1-10] 50 unknown keys at the same time make one fetch", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      provider.answer = () => Effect.delay(Effect.succeed({ body: jwks("a", "unknown-49") }), "1 second")
      const lookups = Effect.all(kids.map((kid) => outcome(cache, kid)), { concurrency: "unbounded" })
      const fiber = yield* Effect.forkChild(lookups, { startImmediately: true })
      assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      yield* TestClock.adjust("1 second")
      const found = yield* Fiber.join(fiber)
      assert.strictEqual(found.filter((code) => code === "JWKS_KEY_NOT_FOUND").length, 49)
      assert.strictEqual(found[49], "unknown-49")
      assert.lengthOf(provider.requests, 2)
    }).pipe(Effect.scoped))

  it.effect("[K-02] [L3] 50 unknown keys each second make at most one fetch in each cooldown", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      for (let second = 0; second < 300; second++) {
        for (const kid of kids) yield* outcome(cache, `${kid}-${second}`)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(provider.times, [0, ...Array.from({ length: 10 }, (_, index) => index * 30_000)])
    }).pipe(Effect.scoped))

  it.effect("[K-02] [L3] a good key rotated in is found within one cooldown, in the middle of a flood", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      let foundAfter: number | undefined
      for (let second = 0; second < 90; second++) {
        for (const kid of kids) yield* outcome(cache, `${kid}-${second}`)
        if (second === 35) provider.answer = keysOf("a", "rotated")
        if (second >= 35 && (yield* outcome(cache, "rotated")) === "rotated") foundAfter ??= second - 35
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(foundAfter, 25)
    }).pipe(Effect.scoped))

  it.effect("[S1-27] the cooldown is negativeCacheTtl to the millisecond, with one event", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, negativeCacheTtl: Duration.seconds(1) })
      yield* cache.keySet
      const events = yield* eventsOf(cache)
      yield* outcome(cache, "b")
      yield* TestClock.adjust(999)
      yield* Effect.all([outcome(cache, "b"), outcome(cache, "c"), outcome(cache, "d")])
      assert.lengthOf(provider.requests, 2)
      yield* TestClock.adjust(1)
      yield* outcome(cache, "c")
      assert.lengthOf(provider.requests, 3)
      yield* outcome(cache, "d")
      yield* TestClock.adjust(0)
      assert.lengthOf(events.filter(({ _tag }) => _tag === "FloodLimited"), 2)
      assert.strictEqual((yield* cache.status).metrics.floodLimited, 4)
    }).pipe(Effect.scoped))

  it.effect("[S1-27] with a negativeCacheTtl of zero every unknown key causes a fetch", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, negativeCacheTtl: Duration.zero })
      yield* cache.keySet
      for (const kid of kids) yield* outcome(cache, kid)
      assert.lengthOf(provider.requests, 51)
    }).pipe(Effect.scoped))

  it.effect("[S1-27] a key missing from the first fetch causes no second fetch at once", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, prefetch: false })
      assert.strictEqual(yield* outcome(cache, "b"), "JWKS_KEY_NOT_FOUND")
      assert.lengthOf(provider.requests, 1)
    }).pipe(Effect.scoped))

  it.effect("[R5] after a failed fetch an unknown key is a 503 without a fetch, since the key may exist", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      provider.answer = down
      const first = errorOf(yield* Effect.exit(cache.find(header("b"))))
      assert.deepInclude(first, { code: "JWKS_UNAVAILABLE", status: 503, lastFailure: "NETWORK_ERROR" })
      assert.strictEqual(yield* outcome(cache, "c"), "JWKS_UNAVAILABLE")
      assert.lengthOf(provider.requests, 2)
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      provider.answer = keysOf("a")
      yield* cache.refresh
      assert.strictEqual(yield* outcome(cache, "c"), "JWKS_KEY_NOT_FOUND")
    }).pipe(Effect.scoped))

  it.effect("[L3] the failure backoff limits unknown keys too, and the cooldown does not limit the backoff", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...plain, negativeCacheTtl: Duration.seconds(1) })
      yield* cache.keySet
      provider.answer = down
      for (let second = 0; second < 16; second++) {
        yield* outcome(cache, `b-${second}`)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(provider.times, [0, 0, 1000, 3000, 7000, 15_000])
    }).pipe(Effect.scoped))

  it.effect("[L3] the flood does not put off the refresh that is due, nor the other way round", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(documentOf(jwks("a"), { "cache-control": "max-age=60" }), plain)
      yield* cache.keySet
      yield* TestClock.adjust("20 seconds")
      provider.answer = hanging
      yield* Effect.forkScoped(outcome(cache, "b"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      provider.answer = keysOf("a", "b")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(provider.times, [0, 20_000, 24_000])
      assert.strictEqual(yield* atOnce(outcome(cache, "b")), "b")
    }).pipe(Effect.scoped))

  it.effect("[S1-10] an unknown key waits for the running fetch before it starts one", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
      yield* cache.keySet
      provider.answer = () => Effect.delay(Effect.succeed({ body: jwks("a", "b") }), "1 second")
      yield* Effect.forkScoped(Effect.exit(cache.refresh), { startImmediately: true })
      const lookup = yield* Effect.forkChild(outcome(cache, "b"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(lookup), "b")
      assert.lengthOf(provider.requests, 2)
    }).pipe(Effect.scoped))

  it.effect("[R4] without a key id matching keys are found without a fetch; if none matches, one fetch is made", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(documentOf(JSON.stringify({ keys: [jwk("a"), jwk("b")] })), plain)
      assert.strictEqual(yield* outcome(cache), "a,b")
      assert.lengthOf(provider.requests, 1)
      const error = errorOf(yield* Effect.exit(cache.find({ alg: "ES256" })))
      assert.deepInclude(error, { code: "JWKS_KEY_NOT_FOUND", reason: "unknown" })
      assert.lengthOf(provider.requests, 2)
      provider.answer = keysOf("a", "b", "c", "d", "e")
      yield* cache.refresh
      assert.deepInclude(errorOf(yield* Effect.exit(cache.find(header()))), { reason: "ambiguous" })
    }).pipe(Effect.scoped))
})
