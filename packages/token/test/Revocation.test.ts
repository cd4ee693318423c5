import { assert, describe, it } from "@effect/vitest"
import { type KeelsonError, Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, ConfigProvider, DateTime, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Revocation, type RevocationOptions } from "../src/index.ts"
import { inMillis, issuer, type List, listOf, revocationSuite, revoke, token, unavailable } from "./RevocationSuite.ts"

const memory = (options?: RevocationOptions.MemoryOptions) => listOf(Revocation.layerMemory(options))

const isRevoked = (list: List, jti: string) => list.isRevoked(token({ jti }))

const hour = 3_600_000
const tolerated = 300_000

describe("Revocation.layerMemory", () => {
  revocationSuite(memory(), 30_000)

  describe("with a tolerance of its own", () => {
    revocationSuite(memory({ clockTolerance: "0 millis" }), 0)
  })

  it.effect("[R23] keeps an entry until its tokens are past their expiry and any tolerance, on both clocks", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      yield* Effect.provideService(Clock.Clock, clock)(Effect.gen(function*() {
        const list = yield* memory()
        yield* revoke(list, { issuer, jti: "a" }, hour)
        yield* TestClock.adjust(hour + tolerated - 1)
        assert.isTrue(yield* isRevoked(list, "a"))
        yield* TestClock.adjust(1)
        assert.isFalse(yield* isRevoked(list, "a"))
        yield* revoke(list, { issuer, jti: "ahead" }, hour)
        skew.millis = 10 * hour
        yield* TestClock.adjust(hour + tolerated - 1)
        assert.isTrue(yield* isRevoked(list, "ahead"), "a wall clock that is ahead ends nothing")
        yield* TestClock.adjust(1)
        assert.isFalse(yield* isRevoked(list, "ahead"))
        yield* revoke(list, { issuer, jti: "behind" }, hour)
        skew.millis -= 1
        yield* TestClock.adjust(hour + tolerated)
        assert.isTrue(yield* isRevoked(list, "behind"), "its tokens are not expired by the wall clock")
        yield* TestClock.adjust(1)
        assert.isFalse(yield* isRevoked(list, "behind"))
      }))
    }))

  it.effect("[R10] [R23] gives the room of what has ended back, also after a wall clock that was ahead for a while", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      yield* Effect.provideService(Clock.Clock, clock)(Effect.gen(function*() {
        const list = yield* memory({ maxEntries: 2 })
        yield* revoke(list, { issuer, jti: "a" }, hour)
        skew.millis = 1000 * hour
        yield* revoke(list, { issuer, jti: "b" }, 0)
        skew.millis = 0
        yield* TestClock.adjust(2 * hour)
        assert.isFalse(yield* isRevoked(list, "a"))
        yield* revoke(list, { issuer, jti: "c" }, hour)
        assert.isTrue(yield* isRevoked(list, "b"), "its tokens are not expired by the wall clock")
        skew.millis = 1000 * hour
        yield* TestClock.adjust(2 * 60_000)
        yield* revoke(list, { issuer, jti: "d" }, hour)
      }))
    }))

  it.effect("[R10] a full list refuses what is new, lets nothing go before its end, and has room after it", () =>
    Effect.gen(function*() {
      const list = yield* memory({ maxEntries: 3 })
      yield* revoke(list, { issuer, jti: "short" }, 0)
      yield* revoke(list, { issuer, sid: "a" })
      yield* revoke(list, { issuer: "https://other.example", sub: "a" })
      assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "new" })), "full")
      assert.isFalse(yield* isRevoked(list, "new"))
      assert.isTrue(yield* isRevoked(list, "short"))
      assert.isTrue(yield* list.isRevoked(token({ sid: "a" })))
      yield* TestClock.adjust(tolerated)
      yield* revoke(list, { issuer, jti: "new" })
      assert.isTrue(yield* isRevoked(list, "new"))
      assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "newer" })), "full")
    }))

  it.effect("[R10] a full list extends what it has", () =>
    Effect.gen(function*() {
      const list = yield* memory({ maxEntries: 1 })
      yield* revoke(list, { issuer, jti: "a" }, hour)
      yield* revoke(list, { issuer, jti: "a" }, 2 * hour)
      yield* revoke(list, { issuer, jti: "a" }, 0)
      yield* TestClock.adjust(2 * hour + tolerated - 1)
      assert.isTrue(yield* isRevoked(list, "a"))
      yield* TestClock.adjust(1)
      assert.isFalse(yield* isRevoked(list, "a"))
      yield* revoke(list, { issuer, jti: "b" })
    }))

  it.effect("[R10] is bounded in bytes as well: long ids fill it sooner, and give their room back", () =>
    Effect.gen(function*() {
      const list = yield* memory({ maxBytes: 65_536 })
      const long = "x".repeat(10_000)
      for (const jti of ["a", "b", "c"]) yield* revoke(list, { issuer, jti: long + jti }, 0)
      assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: `${long}d` })), "full")
      yield* revoke(list, { issuer, jti: "short" }, 0)
      yield* TestClock.adjust(tolerated)
      for (const jti of ["d", "e", "f"]) yield* revoke(list, { issuer, jti: long + jti })
      assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: `${long}g` })), "full")
    }))

  it.effect("[R23] forgets many in the order in which they end, whatever that of their revocation was", () =>
    Effect.gen(function*() {
      const list = yield* memory({ maxEntries: 100 })
      const lives = Array.from({ length: 100 }, (_, place) => (place * 37) % 100)
      for (const life of lives) yield* revoke(list, { issuer, jti: `${life}` }, life * 1000)
      yield* TestClock.adjust(tolerated)
      for (let second = 0; second < 100; second++) {
        yield* revoke(list, { issuer, sid: `${second}` }, hour)
        assert.strictEqual(yield* unavailable(revoke(list, { issuer, sid: "one more" })), "full")
        assert.isFalse(yield* isRevoked(list, `${second}`))
        if (second < 99) assert.isTrue(yield* isRevoked(list, `${second + 1}`))
        yield* TestClock.adjust(1000)
      }
    }))

  it.effect("counts its entries, without those that have ended", () =>
    Effect.gen(function*() {
      const list = yield* memory()
      const entries = Effect.map(PrometheusEndpoint.format, (text) =>
        /^keelson_revocation_entries\{store="memory"\} (\d+)$/m.exec(text)?.[1])
      yield* revoke(list, { issuer, jti: "a" }, 0)
      yield* revoke(list, { issuer, jti: "b" })
      yield* revoke(list, { issuer, jti: "b" })
      assert.strictEqual(yield* entries, "2")
      yield* TestClock.adjust(tolerated)
      assert.strictEqual(yield* entries, "1")
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[R21] what it fails with names nothing that was revoked", () =>
    Effect.gen(function*() {
      const list = yield* memory({ maxEntries: 1 })
      yield* revoke(list, { issuer, jti: "first" })
      const until = yield* inMillis(hour)
      const error = yield* Effect.flip(list.revoke({ issuer, sub: "SecretSubject" }, until))
      assert.deepStrictEqual(Problem.encode(error).details, { reason: "full" })
      assert.strictEqual(error.status, 503)
      assert.notMatch(JSON.stringify([error, error.message, String(error.stack)]), /SecretSubject|idp\.example/)
    }))

  it.effect("takes any moment, also one that never comes", () =>
    Effect.gen(function*() {
      const list = yield* memory()
      yield* list.revoke({ issuer, jti: "a" }, DateTime.makeUnsafe(8_640_000_000_000_000))
      yield* list.revoke({ issuer, jti: "b" }, DateTime.makeUnsafe(-8_640_000_000_000_000))
      yield* TestClock.adjust("20000 days")
      assert.isTrue(yield* isRevoked(list, "a"))
      assert.isFalse(yield* isRevoked(list, "b"))
    }))

  describe("options", () => {
    const refused = (layer: Layer.Layer<Revocation.Revocation, KeelsonError.ConfigurationError>) =>
      Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) => errorOf(exit).details)

    it.effect("refuses what is out of its range or unknown, naming the path and the bound", () =>
      Effect.gen(function*() {
        const cases: ReadonlyArray<readonly [RevocationOptions.MemoryOptions, string]> = [
          [{ maxEntries: 0 }, "maxEntries"],
          [{ maxEntries: 10_000_001 }, "maxEntries"],
          [{ maxBytes: 65_535 }, "maxBytes"],
          [{ clockTolerance: "301 seconds" }, "clockTolerance"]
        ]
        const unknown = { maxEntries: 1, other: 1 }
        for (const [options, path] of cases) {
          assert.deepInclude(yield* refused(Revocation.layerMemory(options)), { path })
        }
        assert.deepInclude(yield* refused(Revocation.layerMemory(unknown)), { path: "other" })
      }))

    it.effect("come from the environment too", () =>
      Effect.gen(function*() {
        const env = ConfigProvider.fromEnv({ env: { APP_DENY_MAX_ENTRIES: "1" } })
        const list = yield* Effect.provideService(
          listOf(Revocation.layerMemoryConfig(["app", "deny"])),
          ConfigProvider.ConfigProvider,
          env
        )
        yield* revoke(list, { issuer, jti: "a" })
        assert.strictEqual(yield* unavailable(revoke(list, { issuer, jti: "b" })), "full")
      }))
  })
})
