import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { atOnce, metric, outcome, recording } from "@keelson/testing/observe"
import {
  type Answer,
  cacheOf,
  documentOf,
  down,
  hanging,
  header,
  jwks,
  keysOf
} from "@keelson/testing/scriptedProvider"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

/** A cache that holds `a`, under a wall clock that can be set apart. */
const onSkewedClock = <A, E>(
  use: (world: {
    readonly cache: Effect.Success<ReturnType<typeof cacheOf>>["cache"]
    readonly provider: Effect.Success<ReturnType<typeof cacheOf>>["provider"]
    readonly skew: { millis: number }
  }) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    yield* TestClock.adjust("1 day")
    const { clock, skew } = yield* skewedClock
    const run = Effect.gen(function*() {
      const world = yield* cacheOf(keysOf("a"), plain)
      yield* world.cache.keySet
      yield* use({ ...world, skew })
    })
    yield* Effect.provideService(run, Clock.Clock, clock)
  }).pipe(Effect.scoped)

const day = 86_400_000
const hour = 3_600_000

/** Answers with a date that is off by so many seconds. */
const dated = (seconds: () => number): Answer => () =>
  Effect.clockWith((clock) =>
    Effect.sync(() => ({
      body: jwks("a"),
      headers: { date: new Date(clock.currentTimeMillisUnsafe() + seconds() * 1000).toUTCString() }
    }))
  )

describe("JwksCache clocks", () => {
  it.effect("[S1-13] [R23] [L6] a wall clock set back changes nothing: neither lifetime, nor schedule, nor window", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        skew.millis = -10 * hour
        yield* TestClock.adjust(3_570_000 - 1)
        assert.lengthOf(provider.times, 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(provider.times, [day, day + 3_570_000])
        provider.answer = down
        yield* TestClock.adjust(3_660_000 - 1)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "JWKS_UNAVAILABLE")
      })
    ))

  it.effect("[K-28 J7] [R23] [L2] a refresh is due by the wall clock too, though the clocks differ by less than a divergence", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        // Due at 3,570 s. The monotonic clock has passed 3,560 s, the wall clock 3,569.999 s.
        yield* TestClock.adjust(3_560_000)
        skew.millis = 9_999
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 1)
        skew.millis = 10_000
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 2)
      })
    ))

  it.effect("[K-28 J7] [R23] the delay after a failure ends by the wall clock too", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        provider.answer = down
        for (let n = 0; n < 6; n++) yield* Effect.exit(cache.refresh)
        const asked = provider.requests.length
        // The sixth failure delays the next fetch by 32 s.
        skew.millis = 31_999
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, asked)
        skew.millis = 32_000
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, asked + 1)
      })
    ))

  it.effect("[K-28 J7] [R23] [K-02] the cooldown of unknown keys ends by the wall clock too", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* outcome(cache, "b"), "JWKS_KEY_NOT_FOUND")
        assert.lengthOf(provider.requests, 2)
        skew.millis = 29_999
        assert.strictEqual(yield* outcome(cache, "b"), "JWKS_KEY_NOT_FOUND")
        assert.lengthOf(provider.requests, 2)
        skew.millis = 30_000
        assert.strictEqual(yield* outcome(cache, "b"), "JWKS_KEY_NOT_FOUND")
        assert.lengthOf(provider.requests, 3)
      })
    ))

  it.effect("[S1-13] [R23] set forward within the lifetime: the lookup does not wait, and the keys are confirmed", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        skew.millis = 30_000
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 1)
        skew.millis = 30_001
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 2)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 2)
      })
    ))

  it.effect("[R23] set forward while the provider hangs or is down: no lookup waits or fails", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        provider.answer = hanging
        skew.millis = hour / 2
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        yield* TestClock.adjust("3 seconds")
        provider.answer = down
        for (let index = 0; index < 50; index++) assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 2)
      })
    ))

  it.effect("[S1-13] set forward past everything: the lookup fetches, and does not fail", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        skew.millis = 100 * hour
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.lengthOf(provider.requests, 2)
      })
    ))

  it.effect("[R23] [L4] [L6] a machine that slept: no key is trusted past the stale deadline of the wall clock", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        const [candidate] = yield* cache.find(header("a"))
        const clock = yield* Clock.Clock
        provider.answer = down
        skew.millis = 3_660_000 - 1
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.isTrue(candidate?.trust.holds(clock))
        skew.millis += 1
        assert.isFalse(candidate?.trust.holds(clock))
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        assert.strictEqual(yield* cache.health, "bad")
      })
    ))

  it.effect("[R23] nothing depends on the fiber having run: health and stale counts are those of the clock", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        provider.answer = hanging
        skew.millis = 3_600_000
        assert.strictEqual(yield* cache.health, "bad")
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.deepInclude((yield* cache.status).metrics, { hits: 1, stale: 1 })
        assert.lengthOf(provider.requests, 2)
      })
    ))

  it.effect("[R23] [S1-14] nor does the status: past the stale deadline it is Empty, although no fiber or lookup has run", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        provider.answer = down
        skew.millis = 3_660_000 - 1
        assert.deepInclude(yield* cache.status, { state: "Ready", keys: 1 })
        skew.millis += 1
        const status = yield* cache.status
        assert.deepInclude(status, { state: "Empty", keys: 0, generation: 0, health: "bad" })
        assert.notProperty(status, "staleUntil")
      })
    ))

  it.effect("[R23] after a suspension, due keys are fetched by a lookup, and by the scheduler once it runs", () =>
    onSkewedClock(({ cache, provider, skew }) =>
      Effect.gen(function*() {
        skew.millis = 3_580_000
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        assert.lengthOf(provider.requests, 2)
        const { expiresAt } = yield* cache.status
        assert.strictEqual(expiresAt?.epochMilliseconds, day + 3_580_000 + hour)
      })
    ))

  it.effect("[R24] warns once of a provider whose clock is off by more than 60 s, and has it as a gauge", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      let seconds = 60
      const { cache } = yield* cacheOf(dated(() => seconds), plain)
      const warnings = () => lines.filter((line) => line.includes("WARN") && line.includes("clock")).length
      for (const [off, count] of [[60, 0], [61, 1], [300, 1], [-61, 1], [0, 1], [-61, 2]] as const) {
        seconds = off
        yield* cache.refresh
        assert.strictEqual(warnings(), count)
        assert.strictEqual((yield* cache.status).clockSkewSeconds, off)
        const gauge = yield* metric("jwks_cache_clock_skew_seconds", "tenant=\"default\",provider=\"default\"")
        assert.strictEqual(gauge, off)
      }
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })

  it.effect("[R24] without a Date the clock skew is unknown", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(documentOf(jwks("a"), { date: "yesterday" }), plain)
      yield* cache.keySet
      assert.notProperty(yield* cache.status, "clockSkewSeconds")
    }).pipe(Effect.scoped))
})
