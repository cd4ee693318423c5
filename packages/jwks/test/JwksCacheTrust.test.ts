/** Trust ends with the set it was made for, whatever was remembered about it. */
import { assert, describe, it } from "@effect/vitest"
import { outcome, quiet } from "@keelson/testing/observe"
import {
  type Answer,
  cacheOf,
  documentOf,
  hanging,
  header,
  ids,
  issuer,
  jwk,
  jwks,
  keysOf,
  registryOf,
  url
} from "@keelson/testing/scriptedProvider"
import { Clock, Deferred, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { JwksSnapshots, type KeySource } from "../src/index.ts"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const

/** A key under a kid, with the material of a seed. */
const keyOf = (kid: string, seed: string): Answer =>
  documentOf(JSON.stringify({ keys: [jwk(kid, { x: jwk(seed).x })] }))

const only = (candidates: ReadonlyArray<KeySource.Candidate>): KeySource.Candidate => {
  const [candidate, ...more] = candidates
  assert.deepStrictEqual(more, [])
  return candidate ?? assert.fail("no candidate")
}

describe("remembered candidates", () => {
  it.effect("[K-28 J2] [K-04] end with the set that they were made for, for every algorithm", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(
        documentOf(JSON.stringify({ keys: [jwk("a", { alg: undefined })] })),
        plain
      )
      const find = (alg: string) => Effect.map(cache.find({ alg, kid: "a" }), only)
      const clock = yield* Clock.Clock
      const [first, other] = [yield* find("EdDSA"), yield* find("Ed25519")]
      assert.strictEqual(yield* find("EdDSA"), first)
      provider.answer = documentOf(JSON.stringify({ keys: [jwk("a", { alg: undefined, x: jwk("b").x })] }))
      yield* cache.refresh
      // The first lookup after the change fills the memo again. It must not keep what the other algorithm had.
      const renewed = yield* find("Ed25519")
      const replaced = yield* find("EdDSA")
      for (const [now, before] of [[renewed, other], [replaced, first]] as const) {
        assert.notStrictEqual(now.key, before.key)
        assert.notStrictEqual(now.trust, before.trust)
        assert.deepStrictEqual([now.trust.holds(clock), before.trust.holds(clock)], [true, false])
      }
    }).pipe(Effect.scoped))

  it.effect("[K-28 J2] [K-04] end when the same keys are trusted anew, after an invalidation", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(keysOf("a"), plain)
      const clock = yield* Clock.Clock
      const first = only(yield* cache.find(header("a")))
      yield* cache.invalidate
      const second = only(yield* cache.find(header("a")))
      assert.notStrictEqual(second.trust, first.trust)
      assert.deepStrictEqual([second.trust.holds(clock), first.trust.holds(clock)], [true, false])
    }).pipe(Effect.scoped))

  it.effect("[K-28 J2] [L5] of a key that was removed are not found again", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a", "b"), plain)
      assert.deepStrictEqual([yield* outcome(cache, "a"), yield* outcome(cache, "b")], ["a", "b"])
      provider.answer = keysOf("b")
      yield* cache.refresh
      assert.deepStrictEqual([yield* outcome(cache, "a"), yield* outcome(cache, "b")], ["JWKS_KEY_NOT_FOUND", "b"])
    }).pipe(Effect.scoped))
})

describe("trust", () => {
  it.effect("[K-28 J3] [K-04] [L5] is a new object for each set that replaces another, even if a key stays", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a", "b"), plain)
      const clock = yield* Clock.Clock
      const answers = [keysOf("a"), keysOf("a", "c"), keyOf("a", "other"), keysOf("a", "b")]
      let before = only(yield* cache.find(header("a")))
      for (const answer of answers) {
        provider.answer = answer
        yield* cache.refresh
        const now = only(yield* cache.find(header("a")))
        assert.notStrictEqual(now.trust, before.trust)
        assert.deepStrictEqual([now.trust.holds(clock), before.trust.holds(clock)], [true, false])
        assert.strictEqual(before.trust.staleDeadline(), 0n)
        assert.isAbove(now.trust.generation, before.trust.generation)
        before = now
      }
    }).pipe(Effect.scoped))

  it.effect("[K-28 J3] is the same object for the same keys, whose deadline moves with each refresh", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(keysOf("a"), plain)
      const { trust } = only(yield* cache.find(header("a")))
      const deadline = trust.staleDeadline() ?? 0n
      yield* TestClock.adjust("1 minute")
      yield* cache.refresh
      assert.strictEqual(only(yield* cache.find(header("a"))).trust, trust)
      assert.strictEqual(trust.staleDeadline(), deadline + 60_000_000_000n)
    }).pipe(Effect.scoped))

  it.effect("[K-28 J3] [K-04] ends with the provider that another replaces, which makes its own", () =>
    Effect.gen(function*() {
      const { registry } = yield* registryOf(keysOf("a"))
      const clock = yield* Clock.Clock
      const names = ids("t", "p")
      yield* registry.put(names, { issuer, url }, { ifAbsent: true })
      const before = only(yield* registry.resolve(names, header("a")))
      yield* registry.put(names, { issuer, url, ttl: "2 hours" }, { ifPresent: true })
      const now = only(yield* registry.resolve(names, header("a")))
      assert.notStrictEqual(now.trust, before.trust)
      assert.deepStrictEqual([now.trust.holds(clock), before.trust.holds(clock)], [true, false])
    }).pipe(Effect.scoped))
})

/** A store with one snapshot, with these times. */
const stored = (times: Pick<JwksSnapshots.Snapshot, "expiresAt" | "receivedAt" | "staleUntil">) =>
  Layer.succeed(JwksSnapshots.JwksSnapshots, {
    save: () => Effect.void,
    remove: () => Effect.void,
    load: (identity) =>
      Effect.succeedSome({
        ...identity,
        ...times,
        documentUrl: url,
        body: jwks("stored"),
        headers: {},
        persistedAt: times.receivedAt
      })
  })

describe("a restored snapshot", () => {
  const minute = 60_000
  const times = { receivedAt: 0, expiresAt: 10 * minute, staleUntil: 12 * minute }

  it.effect("[K-28 J13] [K-06] [L4] keeps its own stale deadline where that is earlier than the configured one", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(5 * minute)
      const { cache } = yield* cacheOf(hanging, { ...plain, staleWindow: "24 hours" }, stored(times))
      assert.strictEqual(yield* outcome(cache, "stored"), "stored")
      const { expiresAt, staleUntil } = yield* cache.status
      assert.deepStrictEqual([expiresAt?.epochMilliseconds, staleUntil?.epochMilliseconds], [10 * minute, 12 * minute])
      const { trust } = only(yield* cache.find(header("stored")))
      yield* TestClock.setTime(12 * minute - 1)
      assert.isTrue(trust.holds(yield* Clock.Clock))
      yield* TestClock.setTime(12 * minute)
      assert.isFalse(trust.holds(yield* Clock.Clock))
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 J13] [K-06] gets the configured stale window where its own was longer", () =>
    Effect.gen(function*() {
      const options = { ...plain, staleWindow: "30 seconds" } as const
      const { cache } = yield* cacheOf(hanging, options, stored({ ...times, staleUntil: 300 * minute }))
      yield* outcome(cache, "stored")
      assert.strictEqual((yield* cache.status).staleUntil?.epochMilliseconds, 10.5 * minute)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 J13] [K-06] gets no longer stale window from an update of its provider", () =>
    Effect.gen(function*() {
      const { registry } = yield* registryOf(hanging, stored(times))
      const names = ids("t", "p")
      const put = (staleWindow: "24 hours" | "1 minute", ttl: "2 hours" | "3 hours") =>
        registry.put(names, { issuer, url, ...plain, staleWindow, ttl })
      const staleUntil = Effect.map(registry.status(names), (status) => status.staleUntil?.epochMilliseconds)
      yield* put("24 hours", "2 hours")
      yield* registry.keySet(names)
      assert.strictEqual(yield* staleUntil, 12 * minute)
      yield* put("24 hours", "3 hours")
      assert.strictEqual(yield* staleUntil, 12 * minute)
      yield* put("1 minute", "3 hours")
      assert.strictEqual(yield* staleUntil, 11 * minute)
      yield* put("24 hours", "3 hours")
      assert.strictEqual(yield* staleUntil, 12 * minute)
    }).pipe(Effect.scoped, quiet))
})

describe("the limits of fetches", () => {
  const names = ids("t", "p")

  it.effect("[K-28 J21] [K-02] keep the cooldown of unknown keys when the provider is updated", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      const ask = (kid: string) => Effect.map(Effect.flip(registry.resolve(names, header(kid))), ({ code }) => code)
      yield* registry.put(names, { issuer, url, ...plain, prefetch: false }, { ifAbsent: true })
      yield* registry.keySet(names)
      assert.strictEqual(yield* ask("x"), "JWKS_KEY_NOT_FOUND")
      assert.strictEqual(provider.requests.length, 2)
      for (const ttl of ["2 hours", "3 hours", "4 hours"] as const) {
        yield* registry.put(names, { issuer, url, ...plain, prefetch: false, ttl }, { ifPresent: true })
        for (const kid of ["x", "y", "z"]) assert.strictEqual(yield* ask(kid), "JWKS_KEY_NOT_FOUND")
      }
      assert.strictEqual(provider.requests.length, 2)
      assert.isAbove((yield* registry.status(names)).metrics.floodLimited, 0)
      // Cooldowns of thirty seconds: the third fetch is the scheduled one, which the update brought forward.
      yield* TestClock.adjust("29 seconds")
      const scheduled = provider.requests.length
      assert.strictEqual(yield* ask("x"), "JWKS_KEY_NOT_FOUND")
      assert.strictEqual(provider.requests.length, scheduled)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* ask("x"), "JWKS_KEY_NOT_FOUND")
      assert.strictEqual(provider.requests.length, scheduled + 1)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 J21] [K-02] keep the delay after a failure when the provider is updated", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(documentOf("{}"))
      const ask = Effect.map(Effect.flip(registry.resolve(names, header("a"))), ({ code }) => code)
      const options = { issuer, url, ...plain, prefetch: false, failureDelay: "1 minute" } as const
      yield* registry.put(names, options, { ifAbsent: true })
      assert.strictEqual(yield* ask, "JWKS_UNAVAILABLE")
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      assert.strictEqual(yield* ask, "JWKS_UNAVAILABLE")
      assert.strictEqual(provider.requests.length, 1)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 J21] [S1-12] [L1] start no due refresh beside one that runs", () =>
    Effect.gen(function*() {
      const options = { ...plain, ttl: "2 minutes", refreshEarly: "1 minute", deadline: "1 minute" } as const
      const { cache, provider } = yield* cacheOf(keysOf("a"), { ...options, attemptTimeout: "1 minute" })
      const gate = yield* Deferred.make<void>()
      yield* outcome(cache, "a")
      provider.answer = (request) => Effect.andThen(Deferred.await(gate), keysOf("a")(request))
      yield* TestClock.adjust("59 seconds")
      const refreshing = yield* Effect.forkChild(cache.refresh, { startImmediately: true })
      // The refresh is due at 60 seconds, by the schedule and by each lookup.
      for (let second = 0; second < 40; second++) {
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.deepStrictEqual([provider.underWay(), provider.requests.length], [1, 2])
      }
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(refreshing), "loaded")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* cache.status).metrics.refreshes, 2)
    }).pipe(Effect.scoped, quiet))
})
