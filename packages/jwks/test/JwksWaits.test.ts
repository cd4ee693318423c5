import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { metric, quiet, recording } from "@keelson/testing/observe"
import {
  byUrl,
  cacheOf,
  down,
  hanging,
  header,
  ids,
  issuer,
  keysOf,
  makeProvider,
  registryOf,
  statusOf,
  url,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { JwksCache, JwksError, KeySource } from "../src/index.ts"

const at = (host: string) => `https://${host}.example/jwks`
const lazy = { prefetch: false }

/** A registry with one permit, held by a provider that never responds. */
const crowded = Effect.gen(function*() {
  const limit = Layer.orDie(JwksCache.layerFetchLimit(1))
  const made = yield* registryOf(byUrl({ [at("slow")]: hanging, [at("good")]: keysOf("a") }), limit)
  yield* made.registry.put(ids("t", "slow"), {
    issuer: "slow",
    url: at("slow"),
    deadline: "1 minute",
    attemptTimeout: "1 minute"
  }, { ifAbsent: true })
  yield* made.registry.put(ids("u", "good"), { issuer: "good", url: at("good"), ...lazy }, { ifAbsent: true })
  yield* TestClock.adjust("1 second")
  return made
})

describe("waits", () => {
  it.effect("[K-07] [R25] a lookup behind the permits ends a second after its deadline, with a 503", () =>
    Effect.gen(function*() {
      const { registry } = yield* crowded
      const fiber = yield* Effect.forkChild(Effect.exit(registry.resolve(ids("u", "good"), header("a"))))
      yield* TestClock.adjust(8999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const error = errorOf(yield* Fiber.join(fiber))
      assert.instanceOf(error, JwksError.JwksUnavailable)
      assert.strictEqual(error.lastFailure, "TIMEOUT")
    }).pipe(Effect.scoped, quiet))

  it.effect("[S1-38] a first fetch that waits for a permit longer than a fetch may take is bad", () =>
    Effect.gen(function*() {
      const { registry } = yield* crowded
      yield* Effect.forkChild(Effect.exit(registry.resolve(ids("u", "good"), header("a"))))
      yield* TestClock.adjust(7999)
      assert.strictEqual((yield* registry.status(ids("u", "good"))).health, "ok")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* registry.status(ids("u", "good"))).health, "bad")
    }).pipe(Effect.scoped, quiet))

  it.effect("[R25] fetches with waiters run before scheduled ones", () =>
    Effect.gen(function*() {
      const limit = Layer.orDie(JwksCache.layerFetchLimit(1))
      const slow = (): ReturnType<typeof hanging> => Effect.as(Effect.sleep("1 second"), { status: 500 })
      const { provider, registry } = yield* registryOf(slow, limit)
      for (const id of ["a", "b", "c", "d"]) {
        yield* registry.put(ids("t", id), { issuer: id, url: at(id), maxAttempts: 1 }, { ifAbsent: true })
      }
      yield* registry.put(ids("t", "wanted"), { issuer: "wanted", url: at("wanted"), maxAttempts: 1, ...lazy }, {
        ifAbsent: true
      })
      yield* TestClock.adjust(100)
      yield* Effect.forkChild(Effect.exit(registry.resolve(ids("t", "wanted"), header("a"))))
      yield* TestClock.adjust(2500)
      assert.include(provider.requests.map((request) => String(request.url)), at("wanted"))
    }).pipe(Effect.scoped, quiet))

  it.effect("a limit out of its range is refused by its bound", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(JwksCache.layerFetchLimit(0)))
      assert.deepInclude(error, { code: "INVALID_CONFIG" })
      assert.include(error.message, "from 1 to 10000")
    }).pipe(Effect.scoped))
})

describe("telemetry of lookups and fetches", () => {
  it.effect("[S1-32] counts failed lookups by reason, which separates a 401 from a 503", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"))
      yield* Effect.exit(cache.find(header("other")))
      yield* Effect.exit(cache.find({ alg: "RS256", kid: "a" }))
      yield* cache.invalidate
      provider.answer = statusOf(404)
      yield* Effect.exit(cache.find(header("a")))
      const failures = (reason: string) =>
        metric("jwks_cache_lookup_failures_total", `tenant="default",provider="default",reason="${reason}"`)
      const reasons = yield* Effect.forEach(["unknown", "mismatched", "unavailable", "ambiguous"], failures)
      assert.deepStrictEqual(reasons, [1, 1, 1, undefined])
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

  it.effect("[S1-34] the span of a fetch has no parent, since it outlives the spans of the cache's creator and the caller", () =>
    Effect.gen(function*() {
      const { record, spans } = recording()
      const used = Effect.gen(function*() {
        const { cache } = yield* Effect.withSpan(cacheOf(keysOf("a"), lazy), "startup")
        yield* Effect.withSpan(cache.find(header("a")), "request")
      })
      yield* record(used)
      const refresh = spans.find(({ name }) => name === "JwksCache.refresh")
      assert.isDefined(refresh)
      assert.strictEqual(refresh?.parent._tag, "None")
    }).pipe(Effect.scoped))

  it.effect("logs again when a fetch fails with another code", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      yield* record(Effect.gen(function*() {
        const { provider } = yield* cacheOf(down, { maxAttempts: 1 })
        yield* TestClock.adjust("4 seconds")
        provider.answer = statusOf(404)
        yield* TestClock.adjust("1 minute")
      }))
      const warned = lines.filter((line) => line.includes("could not be fetched"))
      assert.strictEqual(warned.length, 2)
    }).pipe(Effect.scoped))
})

describe("names and replacements", () => {
  it.effect("[K-26] several sources of one program have names of their own in metrics", () =>
    Effect.gen(function*() {
      const { egress } = makeProvider(keysOf("a"))
      const source = (providerId: string) =>
        Layer.build(Layer.provide(KeySource.layerJwks({ issuer, url }, { providerId }), [egress, virtualImport]))
      for (const providerId of ["one", "two"]) {
        const context = yield* source(providerId)
        yield* Context.get(context, KeySource.KeySource).find(issuer, header("a"))
        const requests = yield* metric("jwks_cache_requests_total", `tenant="default",provider="${providerId}"`)
        assert.strictEqual(requests, 1)
      }
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[R19] [S1-20] an update with other egress rules drops the keys fetched under the old ones", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* registry.keySet(ids("t", "p"))
      provider.answer = hanging
      yield* registry.put(ids("t", "p"), { issuer, url, staleWindow: "1 hour" }, { ifPresent: true })
      assert.isDefined(yield* registry.cached(ids("t", "p")))
      yield* registry.put(ids("t", "p"), { issuer, url, staleWindow: "1 hour", allowedHosts: ["idp.example"] }, {
        ifPresent: true
      })
      assert.isUndefined(yield* registry.cached(ids("t", "p")))
    }).pipe(Effect.scoped))
})
