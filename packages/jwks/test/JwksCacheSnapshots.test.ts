import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { atOnce, eventsOf, metric, outcome, recording } from "@keelson/testing/observe"
import {
  type Answer,
  byUrl,
  cacheOf,
  documentOf,
  down,
  hanging,
  issuer,
  jwks,
  keysOf,
  revalidating,
  statusOf,
  url
} from "@keelson/testing/scriptedProvider"
import { Duration, Effect, Exit, Fiber, Latch, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { JwksOptions } from "../src/index.ts"
import { JwksSnapshots } from "../src/index.ts"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const
const labels = "tenant=\"default\",provider=\"default\""

/** A store in memory that is shared by the caches of a test. */
const sharedStore = Effect.map(
  Layer.build(JwksSnapshots.layerMemory),
  (context) => Layer.succeedContext(context)
)

/** A store whose behaviour the test sets. */
const scripted = (script: Partial<JwksSnapshots.JwksSnapshots["Service"]>) =>
  Layer.succeed(JwksSnapshots.JwksSnapshots, {
    load: () => Effect.succeedNone,
    save: () => Effect.void,
    remove: () => Effect.void,
    ...script
  })

const refused = Effect.fail(new JwksSnapshots.SnapshotUnavailable({ store: "memory", operation: "load", reason: "no" }))

const snapshot = (times: { receivedAt: number; expiresAt: number; staleUntil: number }): JwksSnapshots.Snapshot => ({
  tenantId: "default",
  providerId: "default",
  issuer,
  url,
  documentUrl: url,
  body: jwks("stored"),
  headers: { etag: "\"1\"" },
  persistedAt: times.receivedAt,
  ...times
})

const stored = (times: Parameters<typeof snapshot>[0]) => scripted({ load: () => Effect.succeedSome(snapshot(times)) })

const hour = 3_600_000

/** A cache that lived for ten minutes and left its keys in the store. */
const left = Effect.fnUntraced(function*(
  store: Layer.Layer<never>,
  answer: Answer,
  options: Partial<JwksOptions.Options> = {}
) {
  const scope = yield* Scope.make()
  const { cache } = yield* Scope.provide(cacheOf(answer, { ...plain, ...options }, store), scope)
  yield* cache.keySet
  yield* TestClock.adjust("10 minutes")
  yield* Scope.close(scope, Exit.void)
})

describe("JwksCache snapshots", () => {
  it.effect("[S1-35] [K-06] restored keys serve at once, and are revalidated at once by their ETag", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      yield* left(store, revalidating(jwks("a"), "\"1\""))
      const { cache, provider } = yield* cacheOf(hanging, { ...plain, prefetch: false }, store)
      assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      yield* TestClock.adjust(0)
      assert.strictEqual(provider.requests[0]?.headers?.["if-none-match"], "\"1\"")
      assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
    }).pipe(Effect.scoped))

  it.effect("[S1-35] a 304 to a restored document gives it a new lifetime; the keys and their trust stay", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      yield* left(store, revalidating(jwks("a"), "\"1\""))
      const { cache } = yield* cacheOf(revalidating(jwks("a"), "\"1\""), plain, store)
      const events = yield* eventsOf(cache)
      yield* TestClock.adjust(10)
      assert.deepInclude((yield* cache.status).metrics, { refreshes: 1, notModified: 1 })
      assert.strictEqual((yield* cache.status).expiresAt?.epochMilliseconds, 600_010 + hour)
      assert.deepInclude(events[0] ?? {}, { _tag: "Changed", cause: "start" })
      assert.isTrue(events.some((event) => event._tag === "Loaded" && event.from === "snapshot" && event.keys === 1))
    }).pipe(Effect.scoped))

  it.effect("[S1-08] [K-06] with discovery, restored keys are revalidated by their ETag too", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      const keys = "https://keys.example/jwks"
      const answer = byUrl({
        [`${issuer}/.well-known/openid-configuration`]: documentOf(JSON.stringify({ issuer, jwks_uri: keys })),
        [keys]: revalidating(jwks("a"), "\"1\"")
      })
      yield* left(store, answer, { url: undefined })
      const { cache, provider } = yield* cacheOf(answer, { ...plain, url: undefined }, store)
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      assert.deepInclude((yield* cache.status).metrics, { refreshes: 1, notModified: 1 })
      const asked = provider.requests.find((request) => String(request.url) === keys)
      assert.strictEqual(asked?.headers?.["if-none-match"], "\"1\"")
    }).pipe(Effect.scoped))

  it.effect("[S1-36] [S1-08] a 304 that says nothing leaves a restored document the lifetime that was stated", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      yield* left(store, documentOf(jwks("a"), { etag: "\"1\"", "cache-control": "max-age=300" }), {
        staleWindow: Duration.hours(1)
      })
      const { cache } = yield* cacheOf(statusOf(304), { ...plain, staleWindow: Duration.hours(1) }, store)
      yield* TestClock.adjust(10)
      const { expiresAt, metrics } = yield* cache.status
      assert.deepInclude(metrics, { refreshes: 1, notModified: 1 })
      assert.strictEqual(expiresAt?.epochMilliseconds, 600_010 + 300_000)
    }).pipe(Effect.scoped))

  it.effect("[S1-36] of the headers those are stored that concern later responses, and no others", () =>
    Effect.gen(function*() {
      const saved: Array<unknown> = []
      const store = scripted({ save: ({ headers }) => Effect.sync(() => void saved.push(headers)) })
      const lasting = {
        etag: "\"1\"",
        "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT",
        "cache-control": "max-age=300",
        expires: "Thu, 01 Jan 1970 01:00:00 GMT",
        vary: "accept"
      }
      const others = { age: "10", date: "Thu, 01 Jan 1970 00:00:00 GMT", "content-type": "application/json" }
      const { cache } = yield* cacheOf(documentOf(jwks("a"), { ...lasting, ...others }), plain, store)
      yield* cache.keySet
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(saved, [lasting])
    }).pipe(Effect.scoped))

  it.effect.each(
    [
      ["keeps its age", { receivedAt: 0, expiresAt: hour, staleUntil: hour + 60_000 }, {}, hour, hour + 60_000],
      [
        "no longer than maxTtl",
        { receivedAt: 0, expiresAt: 24 * hour, staleUntil: 25 * hour },
        {
          maxTtl: Duration.hours(2)
        },
        2 * hour,
        2 * hour + 60_000
      ],
      [
        "as long as ttl, where that is above maxTtl",
        { receivedAt: 0, expiresAt: 5 * hour, staleUntil: 5 * hour + 60_000 },
        {
          ttl: Duration.hours(4),
          maxTtl: Duration.hours(2)
        },
        4 * hour,
        4 * hour + 60_000
      ],
      [
        "no longer stale than the window",
        { receivedAt: 0, expiresAt: hour, staleUntil: 9 * hour },
        {
          staleWindow: Duration.zero
        },
        hour,
        hour
      ]
    ] as const
  )(
    "[S1-36] [L6] what is restored gets no new life: %s",
    ([, times, options, expiresAt, staleUntil]) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("30 minutes")
        const given: Partial<JwksOptions.Options> = { ...plain, ...options }
        const { cache } = yield* cacheOf(down, given, stored(times))
        yield* TestClock.adjust(staleUntil - 1_800_000 - 1)
        const status = yield* cache.status
        assert.strictEqual(status.expiresAt?.epochMilliseconds, expiresAt)
        assert.strictEqual(status.staleUntil?.epochMilliseconds, staleUntil)
        assert.strictEqual(yield* outcome(cache, "stored"), "stored")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* outcome(cache, "stored"), "JWKS_UNAVAILABLE")
      }).pipe(Effect.scoped)
  )

  it.effect("[R23] [S1-36] a snapshot that a machine with a later clock wrote lives no longer than its lifetime from now on", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("30 minutes")
      const store = stored({ receivedAt: 1.5 * hour, expiresAt: 2.5 * hour, staleUntil: 2.5 * hour + 60_000 })
      const { cache } = yield* cacheOf(down, plain, store)
      assert.strictEqual(yield* outcome(cache, "stored"), "stored")
      assert.strictEqual((yield* cache.status).expiresAt?.epochMilliseconds, 1.5 * hour)
      yield* TestClock.adjust(hour + 59_999)
      assert.strictEqual(yield* outcome(cache, "stored"), "stored")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* outcome(cache, "stored"), "JWKS_UNAVAILABLE")
    }).pipe(Effect.scoped))

  it.effect("[S1-36] already expired content is served as stale, within its window only", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust(hour + 30_000)
      const store = stored({ receivedAt: 0, expiresAt: hour, staleUntil: hour + 60_000 })
      const { cache } = yield* cacheOf(down, plain, store)
      assert.strictEqual(yield* outcome(cache, "stored"), "stored")
      yield* outcome(cache, "stored")
      assert.deepInclude((yield* cache.status).metrics, { stale: 1 })
      yield* TestClock.adjust(30_000)
      assert.strictEqual(yield* outcome(cache, "stored"), "JWKS_UNAVAILABLE")
    }).pipe(Effect.scoped))

  it.effect("[K-06] [R5] a key that the snapshot lacks is fetched, even by the first lookup", () =>
    Effect.gen(function*() {
      const store = stored({ receivedAt: 0, expiresAt: hour, staleUntil: hour })
      const { cache, provider } = yield* cacheOf(keysOf("new"), { ...plain, prefetch: false }, store)
      assert.strictEqual(yield* outcome(cache, "new"), "new")
      assert.lengthOf(provider.requests, 1)
    }).pipe(Effect.scoped))

  it.effect("[L5] a snapshot never replaces newer keys of the provider", () =>
    Effect.gen(function*() {
      const store = stored({ receivedAt: 0, expiresAt: 24 * hour, staleUntil: 24 * hour })
      const { cache, provider } = yield* cacheOf(keysOf("new"), { ...plain, prefetch: false }, store)
      assert.strictEqual(yield* cache.refresh, "loaded")
      provider.answer = down
      yield* TestClock.adjust(3_575_000)
      assert.strictEqual(yield* outcome(cache, "new"), "new")
      yield* TestClock.adjust("3 hours")
      assert.strictEqual(yield* outcome(cache, "stored"), "JWKS_UNAVAILABLE")
    }).pipe(Effect.scoped))

  it.effect("[S0-20] invalidated keys are not restored from the store", () =>
    Effect.gen(function*() {
      const store = stored({ receivedAt: 0, expiresAt: hour, staleUntil: hour })
      const { cache } = yield* cacheOf(keysOf("new"), { ...plain, prefetch: false }, store)
      yield* cache.invalidate
      assert.strictEqual(yield* outcome(cache, "stored"), "JWKS_KEY_NOT_FOUND")
      assert.strictEqual(yield* outcome(cache, "new"), "new")
    }).pipe(Effect.scoped))

  it.effect("[L5] [S0-20] a snapshot that was being loaded during an invalidation is not used", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe()
      const times = { receivedAt: 0, expiresAt: hour, staleUntil: hour + 60_000 }
      const store = scripted({ load: () => Effect.as(gate.await, Option.some(snapshot(times))) })
      const { cache } = yield* cacheOf(hanging, plain, store)
      yield* TestClock.adjust(0)
      yield* cache.invalidate
      gate.openUnsafe()
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* cache.status).keys, 0)
      assert.isUndefined(yield* atOnce(outcome(cache, "stored")))
    }).pipe(Effect.scoped))

  it.effect("[S0-20] invalidated keys are removed from the store, so a restart does not restore them", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      const scope = yield* Scope.make()
      const { cache, provider } = yield* Scope.provide(cacheOf(keysOf("a"), plain, store), scope)
      yield* cache.keySet
      yield* TestClock.adjust(0)
      provider.answer = down
      yield* cache.invalidate
      yield* Scope.close(scope, Exit.void)
      const again = yield* cacheOf(down, plain, store)
      assert.strictEqual(yield* outcome(again.cache, "a"), "JWKS_UNAVAILABLE")
    }).pipe(Effect.scoped))

  it.effect("[S0-20] a running write ends before the removal; the trust ends before both", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const call = (name: string) => Effect.delay(Effect.sync(() => void calls.push(name)), "100 millis")
      const { cache } = yield* cacheOf(
        keysOf("a"),
        { ...plain, prefetch: false },
        scripted({ save: () => call("saved"), remove: () => call("removed") })
      )
      yield* cache.keySet
      yield* TestClock.adjust(0)
      const trust = yield* Effect.map(cache.find({ alg: "EdDSA", kid: "a" }), ([candidate]) => candidate?.trust)
      const invalidating = yield* Effect.forkChild(cache.invalidate, { startImmediately: true })
      assert.strictEqual((yield* cache.status).state, "Empty")
      assert.isFalse(yield* Effect.clockWith((clock) => Effect.sync(() => trust?.holds(clock))))
      assert.isUndefined(invalidating.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      assert.isDefined(invalidating.pollUnsafe())
      assert.deepStrictEqual(calls, ["saved", "removed"])
    }).pipe(Effect.scoped))

  it.effect("[S0-20] a removal that fails is counted and warned about, and invalidates all the same", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const { cache } = yield* cacheOf(keysOf("a"), { ...plain, prefetch: false }, scripted({ remove: () => refused }))
      yield* cache.keySet
      yield* cache.invalidate
      assert.strictEqual((yield* cache.status).state, "Empty")
      assert.strictEqual(yield* metric("jwks_cache_snapshot_errors_total", labels), 1)
      const warnings = lines.filter((line) => line.includes("WARN"))
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0] ?? "", "Key set snapshot could not be removed")
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })

  it.effect.each(
    [
      ["fails", refused],
      ["refuses it", Effect.fail(new JwksSnapshots.SnapshotRefused({ reason: "tampered" }))],
      ["holds garbage", Effect.succeedSome({ ...snapshot({ receivedAt: 0, expiresAt: 1, staleUntil: 2 }), body: "{" })]
    ] as const
  )("[S1-35] [K-06] a store that %s: the cache works, warns and counts", ([, load]) => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), plain, scripted({ load: () => load }))
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      assert.lengthOf(provider.requests, 1)
      assert.strictEqual(yield* metric("jwks_cache_snapshot_errors_total", labels), 1)
      assert.lengthOf(lines.filter((line) => line.includes("WARN")), 1)
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })

  it.effect("[S1-35] a store that does not take it: the cache works and counts", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(keysOf("a"), plain, scripted({ save: () => refused }))
      yield* cache.keySet
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      assert.strictEqual(yield* metric("jwks_cache_snapshot_errors_total", labels), 1)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[S1-35] a failed write is retried until it succeeds: each failure counts, the first is logged", () => {
    const { lines, record } = recording()
    let saved = 0
    let save: Effect.Effect<void, JwksSnapshots.SnapshotUnavailable> = refused
    return record(Effect.gen(function*() {
      const store = scripted({ save: () => Effect.suspend(() => save) })
      const { cache } = yield* cacheOf(keysOf("a"), plain, store)
      yield* cache.keySet
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* metric("jwks_cache_snapshot_errors_total", labels), 4)
      const warnings = lines.filter((line) => line.includes("WARN"))
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0] ?? "", "Key set snapshot could not be written")
      save = Effect.sync(() => void saved++)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(saved, 1)
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })

  it.effect("[S1-36] [K-06] each document and each 304 is written, with times, validators and whose it is", () =>
    Effect.gen(function*() {
      const saved: Array<Omit<JwksSnapshots.Snapshot, "persistedAt">> = []
      const store = scripted({ save: (one) => Effect.sync(() => void saved.push(one)) })
      const { cache } = yield* cacheOf(revalidating(jwks("a"), "\"1\""), plain, store)
      yield* cache.keySet
      yield* TestClock.adjust(3_570_000)
      const { persistedAt, ...first } = snapshot({ receivedAt: 0, expiresAt: hour, staleUntil: hour + 60_000 })
      const renewed = { receivedAt: 3_570_000, expiresAt: 3_570_000 + hour, staleUntil: 3_570_000 + hour + 60_000 }
      assert.deepStrictEqual(saved, [{ ...first, body: jwks("a") }, { ...first, ...renewed, body: jwks("a") }])
      assert.strictEqual(persistedAt, 0)
    }).pipe(Effect.scoped))

  it.effect("[S1-35] no lookup waits for a store that is slow to take it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const slow = scripted({ save: () => Effect.never })
      const { cache } = yield* Scope.provide(cacheOf(keysOf("a"), plain, slow), scope)
      yield* cache.keySet
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
    }))

  it.effect("[R28] the end of the scope writes a pending snapshot, for at most two seconds", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const save = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const scope = yield* Scope.make()
      const { cache } = yield* Scope.provide(cacheOf(keysOf("a"), plain, scripted({ save })), scope)
      yield* cache.keySet
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust(1999)
      assert.isUndefined(closing.pollUnsafe())
      assert.strictEqual(yield* atOnce(outcome(cache, "a")), "JWKS_UNAVAILABLE")
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      assert.strictEqual(interrupted, 1)
    }))

  it.effect("[S1-35] the end of the scope keeps the snapshot for the next process", () =>
    Effect.gen(function*() {
      const store = yield* sharedStore
      yield* left(store, keysOf("a"))
      const load = JwksSnapshots.JwksSnapshots.use((snapshots) =>
        snapshots.load({ tenantId: "default", providerId: "default", issuer, url }, { maxBytes: 1024 })
      )
      assert.isTrue(Option.isSome(yield* Effect.provide(load, store)))
    }).pipe(Effect.scoped))
})
