import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { eventsOf, metric, outcome, recording } from "@keelson/testing/observe"
import {
  cacheOf,
  documentOf,
  down,
  issuer,
  jwk,
  jwks,
  keysOf,
  makeProvider,
  revalidating,
  url,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { JwksCache, JwksStatus } from "../src/index.ts"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

/** A cache with its own ids. */
const named = Effect.fnUntraced(function*(names: { readonly tenantId: string; readonly providerId: string }) {
  const { egress, provider } = makeProvider(keysOf("a"))
  const layer = JwksCache.layer({ issuer, url, ...plain }, names)
  const context = yield* Layer.build(Layer.provide(layer, [egress, virtualImport]))
  return { cache: yield* Effect.provideContext(JwksCache.JwksCache, context), provider }
})

const at = (millis: number) => DateTime.makeUnsafe(millis)

describe("JwksCache telemetry", () => {
  describe("status", () => {
    it.effect("[S0-17] [S1-31] before anything happened: Empty, all counts zero, and no time known", () =>
      Effect.gen(function*() {
        const { cache } = yield* cacheOf(down, { prefetch: false })
        assert.deepStrictEqual(yield* cache.status, {
          state: "Empty",
          health: "ok",
          errorCount: 0,
          generation: 0,
          keys: 0,
          skipped: [],
          hitRate: 0,
          staleServeRatio: 0,
          metrics: {
            requests: 0,
            hits: 0,
            misses: 0,
            stale: 0,
            refreshes: 0,
            notModified: 0,
            errors: 0,
            floodLimited: 0
          }
        })
      }).pipe(Effect.scoped))

    it.effect("[S0-17] [S1-31] has the state, times, counts, ratios and skipped keys", () =>
      Effect.gen(function*() {
        const body = JSON.stringify({ keys: [jwk("a"), { kty: "oct", k: "c2VjcmV0" }, jwk("b")] })
        const { cache } = yield* cacheOf(documentOf(body), { ...plain, prefetch: false })
        yield* TestClock.adjust("1 minute")
        for (const kid of ["a", "a", "b", "c"]) yield* outcome(cache, kid)
        const status = yield* cache.status
        const { metrics, ...rest } = status
        assert.deepStrictEqual(rest, {
          state: "Ready",
          health: "ok",
          lastRefresh: at(60_000),
          nextRefresh: at(60_000 + 3_570_000),
          expiresAt: at(60_000 + 3_600_000),
          staleUntil: at(60_000 + 3_660_000),
          errorCount: 0,
          generation: 1,
          keys: 2,
          skipped: [{ index: 1, reason: "symmetric" }],
          hitRate: 0.5,
          staleServeRatio: 0
        })
        assert.deepInclude(metrics, { requests: 4, hits: 2, misses: 2, refreshes: 2 })
        const encoded = Schema.encodeUnknownSync(JwksStatus.JwksStatus)(status)
        assert.strictEqual(encoded.lastRefresh, "1970-01-01T00:01:00.000Z")
      }).pipe(Effect.scoped))

    it.effect("[S1-31] while the provider is down, has the last failure, the error count and the next refresh", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        yield* cache.keySet
        provider.answer = down
        yield* TestClock.adjust(3_572_000)
        assert.deepInclude(yield* cache.status, {
          state: "Refreshing",
          health: "degraded",
          errorCount: 2,
          lastFailure: "NETWORK_ERROR",
          lastRefresh: at(0),
          nextRefresh: at(3_573_000)
        })
      }).pipe(Effect.scoped))
  })

  describe("metrics", () => {
    it.effect("[S0-17] [S1-32] count by tenant and provider: lookups, hits, misses, stale hits, fetches by result, errors", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* named({ tenantId: "acme", providerId: "main" })
        const labels = "tenant=\"acme\",provider=\"main\""
        provider.answer = revalidating(jwks("a"), "\"1\"")
        for (const kid of ["a", "a", "b", "c"]) yield* outcome(cache, kid)
        provider.answer = down
        yield* TestClock.adjust(3_605_000)
        yield* outcome(cache, "a")
        const { errors } = (yield* cache.status).metrics
        for (
          const [name, value] of [
            ["requests_total", 5],
            ["hits_total", 2],
            ["misses_total", 3],
            ["stale_total", 1],
            ["flood_limited_total", 1],
            ["refresh_errors_total", errors],
            ["refresh_duration_seconds_count", errors + 2],
            ["health", 2]
          ] as const
        ) assert.strictEqual(yield* metric(`jwks_cache_${name}`, labels), value, name)
        for (const [status, count] of [["success", 1], ["not_modified", 1], ["failure", errors]] as const) {
          assert.strictEqual(yield* metric("jwks_cache_refresh_total", `${labels},status="${status}"`), count)
        }
        assert.strictEqual(errors, 6)
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.effect("[S1-32] the duration of a fetch counts all its attempts, in seconds", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* named({ tenantId: "acme", providerId: "main" })
        provider.answer = () => Effect.delay(Effect.succeed({ body: jwks("a") }), "2 seconds")
        const lookup = yield* Effect.forkChild(outcome(cache, "a"), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(lookup)
        const labels = "tenant=\"acme\",provider=\"main\""
        assert.strictEqual(yield* metric("jwks_cache_refresh_duration_seconds_sum", labels), 2)
        assert.strictEqual(yield* metric("jwks_cache_refresh_duration_seconds_bucket", `${labels},le="1"`), 0)
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.effect("[S1-32] two caches do not share a series; a closed cache leaves no gauge", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(named({ tenantId: "acme", providerId: "one" }), scope)
        const two = yield* named({ tenantId: "acme", providerId: "two" })
        yield* Effect.all([outcome(one.cache, "a"), outcome(two.cache, "a"), outcome(two.cache, "a")])
        assert.strictEqual(yield* metric("jwks_cache_requests_total", "tenant=\"acme\",provider=\"one\""), 1)
        assert.strictEqual(yield* metric("jwks_cache_requests_total", "tenant=\"acme\",provider=\"two\""), 2)
        yield* Scope.close(scope, Exit.void)
        assert.isUndefined(yield* metric("jwks_cache_health", "tenant=\"acme\",provider=\"one\""))
        assert.notInclude(yield* PrometheusEndpoint.format, "\"one\"} NaN")
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
  })

  describe("spans", () => {
    it.effect("[S1-34] a fetch and a lookup that waits for it have spans with tenant and provider; a hit has none", () => {
      const { record, spans } = recording()
      return record(Effect.gen(function*() {
        const { cache, provider } = yield* named({ tenantId: "acme", providerId: "main" })
        yield* outcome(cache, "a")
        const labels = { tenant: "acme", provider: "main" }
        const shown = spans.map(({ attributes, kind, name }) => [name, kind, Object.fromEntries(attributes)])
        assert.deepStrictEqual(shown, [
          ["JwksCache.find", "internal", labels],
          ["JwksCache.refresh", "client", { ...labels, cause: "lookup" }]
        ])
        yield* outcome(cache, "a")
        assert.lengthOf(spans, 2)
        provider.answer = down
        yield* Effect.exit(cache.refresh)
        assert.strictEqual(spans[2]?.attributes.get("cause"), "forced")
        assert.isTrue(spans[2]?.status._tag === "Ended" && Exit.isFailure(spans[2].status.exit))
      })).pipe(Effect.scoped)
    })
  })

  describe("events", () => {
    it.effect("[S1-09] report each transition with its cause, each load and each failure", () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a", "b"), { ...plain, prefetch: false })
        const events = yield* eventsOf(cache)
        yield* outcome(cache, "a")
        provider.answer = keysOf("b", "c", "d")
        yield* cache.refresh
        provider.answer = down
        yield* Effect.exit(cache.refresh)
        yield* cache.invalidate
        yield* TestClock.adjust(0)
        const origin = { tenantId: "default", providerId: "default" }
        assert.deepStrictEqual(events, [
          { _tag: "Changed", from: "Empty", to: "Loading", cause: "lookup", ...origin },
          { _tag: "Changed", from: "Loading", to: "Ready", cause: "loaded", ...origin },
          { _tag: "Loaded", keys: 2, from: "provider", ...origin },
          { _tag: "Changed", from: "Ready", to: "Refreshing", cause: "forced", ...origin },
          { _tag: "Changed", from: "Refreshing", to: "Ready", cause: "loaded", ...origin },
          { _tag: "Refreshed", keys: 3, ...origin },
          { _tag: "KeysAdded", count: 2, ...origin },
          { _tag: "KeysRemoved", count: 1, ...origin },
          { _tag: "Changed", from: "Ready", to: "Refreshing", cause: "forced", ...origin },
          { _tag: "Changed", from: "Refreshing", to: "Refreshing", cause: "failed", ...origin },
          { _tag: "Failed", code: "NETWORK_ERROR", nextAttempt: Duration.seconds(1), ...origin },
          { _tag: "Changed", from: "Refreshing", to: "Empty", cause: "invalidated", ...origin }
        ])
      }).pipe(Effect.scoped))

    it.effect("an outage is logged once, and its end once", () => {
      const { lines, record } = recording()
      return record(Effect.gen(function*() {
        const { provider } = yield* cacheOf(down, plain)
        yield* TestClock.adjust("10 minutes")
        provider.answer = keysOf("a")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(lines.map((line) => JSON.parse(line).level), ["WARN", "INFO"])
        assert.include(lines[0], "NET-002")
      })).pipe(Effect.scoped)
    })
  })
})
