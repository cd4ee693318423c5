import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { metric, quiet } from "@keelson/testing/observe"
import {
  cacheOf,
  documentOf,
  down,
  hanging,
  header,
  ids,
  issuer,
  jwks,
  keysOf,
  registryOf,
  statusOf,
  url
} from "@keelson/testing/scriptedProvider"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect, Exit, Fiber, Layer, Metric, Option } from "effect"
import { TestClock } from "effect/testing"
import { JwksSnapshots } from "../src/index.ts"

const options = { issuer, url }
const names = ids("t", "p")

/** A store whose snapshot always has ten minutes left, and which fails to save. */
const behind = (body: string) =>
  Layer.succeed(JwksSnapshots.JwksSnapshots, {
    save: () => Effect.void,
    remove: () => Effect.void,
    load: (identity) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const times = { receivedAt: now, expiresAt: now + 600_000, staleUntil: now + 660_000, persistedAt: now }
        const headers = { "cache-control": "max-age=36000" }
        return Option.some({ ...identity, ...times, documentUrl: url, body, headers })
      })
  })

describe("a provider that replaces another", () => {
  it.effect("[L5] [S1-28] takes over its keys, and no older ones from the snapshot store", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("new"), behind(jwks("old")))
      yield* registry.put(names, { ...options, prefetch: false }, { ifAbsent: true })
      yield* registry.refresh(names)
      provider.answer = down
      yield* registry.put(names, { ...options, prefetch: false, staleWindow: "10 minutes" }, { ifPresent: true })
      yield* TestClock.adjust("1 minute")
      const held = yield* registry.cached(names)
      assert.deepStrictEqual(held?.keySet.all.map(({ kid }) => kid), ["new"])
    }).pipe(Effect.scoped, quiet))

  it.effect.each(
    [
      ["from another URL", { url: "https://idp.example/other" }],
      ["with other hosts", { allowedHosts: ["idp.example"] }],
      ["with pins", { pins: [Buffer.alloc(32).toString("base64")] }],
      ["with a smaller size", { maxBytes: 1000 }],
      ["with fewer redirects", { maxRedirects: 0 }]
    ] as const
  )("[L5] takes over no keys that might not be fetched %s", ([, changes]) =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("old"))
      yield* registry.put(names, { ...options, prefetch: false }, { ifAbsent: true })
      yield* registry.refresh(names)
      provider.answer = down
      yield* registry.put(names, { ...options, prefetch: false, ttl: "2 hours" }, { ifPresent: true })
      assert.isDefined(yield* registry.cached(names))
      yield* registry.put(names, { ...options, prefetch: false, ...changes }, { ifPresent: true })
      assert.isUndefined(yield* registry.cached(names))
    }).pipe(Effect.scoped, quiet))

  it.effect("[L5] the replaced provider does not write its pending snapshot any more", () =>
    Effect.gen(function*() {
      const saved: Array<string> = []
      const failing = Layer.succeed(JwksSnapshots.JwksSnapshots, {
        save: (snapshot) =>
          Effect.suspend(() => {
            saved.push(snapshot.url)
            return Effect.fail(
              new JwksSnapshots.SnapshotUnavailable({ store: "memory", operation: "save", reason: "no" })
            )
          }),
        remove: () => Effect.void,
        load: () => Effect.succeedNone
      })
      const { provider, registry } = yield* registryOf(keysOf("old"), failing)
      yield* registry.put(names, { ...options, prefetch: false }, { ifAbsent: true })
      yield* registry.refresh(names)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(saved, [url])
      provider.answer = down
      yield* registry.put(names, { ...options, prefetch: false, url: "https://idp.example/other" }, { ifPresent: true })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(saved, [url])
    }).pipe(Effect.scoped, quiet))

  it.effect("[L4] [S1-36] does not extend the lifetime of restored keys, although their Age header is not stored", () =>
    Effect.gen(function*() {
      const { registry } = yield* registryOf(down, behind(jwks("a")))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      const before = yield* registry.status(names)
      for (const ttl of ["2 hours", "3 hours"] as const) {
        yield* registry.put(names, { ...options, ttl }, { ifPresent: true })
      }
      const after = yield* registry.status(names)
      assert.isDefined(before.expiresAt)
      assert.deepStrictEqual([after.expiresAt, after.staleUntil], [before.expiresAt, before.staleUntil])
    }).pipe(Effect.scoped, quiet))

  it.effect("[L5] [K-04] restores no invalidated keys from a store that failed to remove them", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"), behind(jwks("a")))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      provider.answer = down
      yield* registry.invalidate(names)
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* registry.cached(names))
    }).pipe(Effect.scoped, quiet))

  it.effect("[L5] does not take over keys that were invalidated before", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      provider.answer = hanging
      yield* Effect.all([
        registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true }),
        registry.invalidate(names)
      ], { concurrency: "unbounded" })
      assert.isUndefined(yield* registry.cached(names))
    }).pipe(Effect.scoped, quiet))

  it.effect("[R19] [L3] begins fetches ten seconds apart, however often it is replaced, and keeps the failure count", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* TestClock.adjust("1 second")
      const replaceOften = Effect.forEach(Array.from({ length: 100 }), (_, index) =>
        Effect.andThen(
          registry.put(names, { ...options, ttl: index % 2 === 0 ? "2 hours" : "3 hours" }, { ifPresent: true }),
          TestClock.adjust("100 millis")
        ))
      yield* replaceOften
      assert.isAtMost(provider.requests.length, 3)
      provider.answer = statusOf(404)
      yield* TestClock.adjust("10 seconds")
      const failures = (yield* registry.status(names)).errorCount
      yield* registry.put(names, { ...options, ttl: "4 hours" }, { ifPresent: true })
      assert.isAbove(failures, 0)
      assert.strictEqual((yield* registry.status(names)).errorCount, failures)
    }).pipe(Effect.scoped, quiet))

  it.effect("[S1-28] serves the waiters of the replaced provider", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(hanging)
      yield* registry.put(names, options, { ifAbsent: true })
      const one = yield* Effect.forkChild(registry.resolve(names, header("a")), { startImmediately: true })
      const source = registry.keySource("t")
      const two = yield* Effect.forkChild(source.find(issuer, header("a")), { startImmediately: true })
      const set = yield* Effect.forkChild(registry.keySet(names), { startImmediately: true })
      provider.answer = keysOf("a")
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      assert.strictEqual((yield* Fiber.join(one))[0]?.kid, "a")
      assert.strictEqual((yield* Fiber.join(two))[0]?.kid, "a")
      assert.strictEqual((yield* Fiber.join(set)).all.length, 1)
    }).pipe(Effect.scoped, quiet))

  it.effect("[S1-32] its counts of fetches continue, and each provider's durations are shown once", () =>
    Effect.gen(function*() {
      const { registry } = yield* registryOf(keysOf("a"))
      const labels = "tenant=\"t\",provider=\"p\""
      const counted = Effect.all([
        metric("jwks_cache_refresh_total", `${labels},status="success"`),
        metric("jwks_cache_refresh_duration_seconds_count", labels)
      ])
      yield* registry.put(names, { ...options, prefetch: false }, { ifAbsent: true })
      yield* registry.refresh(names)
      assert.deepStrictEqual(yield* counted, [1, 1])
      yield* registry.put(names, { ...options, prefetch: false, ttl: "2 hours" }, { ifPresent: true })
      assert.deepStrictEqual(yield* counted, [1, 1])
      yield* registry.refresh(names)
      assert.deepStrictEqual(yield* counted, [2, 2])
      yield* registry.remove(names)
      assert.deepStrictEqual(yield* counted, [undefined, undefined])
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

  it.effect("[L8] [S1-32] a lookup in a cache whose scope is closed adds no metric series", () =>
    Effect.gen(function*() {
      const { cache } = yield* Effect.scoped(cacheOf(keysOf("a")))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(cache.find(header("a")))))
      const left = (yield* Metric.snapshot).map(({ id }) => id)
      assert.deepStrictEqual(left, [])
    }).pipe(quiet, Effect.provide(Metrics.layerIsolated)))

  it.effect("[L8] [S1-32] leaves no metric series behind when it is removed", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      const empty = (yield* Metric.snapshot).length
      for (const id of ["p", "q", "r"]) {
        provider.answer = keysOf("a")
        yield* registry.put(ids("t", id), options, { ifAbsent: true })
        yield* Effect.exit(registry.resolve(ids("t", id), header("other")))
        provider.answer = down
        yield* Effect.exit(
          registry.refresh(ids("t", id)).pipe(Effect.timeout("20 seconds"), (self) =>
            Effect.flatMap(
              Effect.forkChild(self),
              (fiber) => Effect.andThen(TestClock.adjust("20 seconds"), Fiber.await(fiber))
            ))
        )
        assert.isAbove((yield* Metric.snapshot).length, empty)
        yield* registry.remove(ids("t", id))
      }
      const left = (yield* Metric.snapshot).map(({ id }) => id)
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))
})

describe("running operations while a provider is replaced", () => {
  it.effect("[S1-27] a fetch for an unknown key that is stopped does not use up the cooldown", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      provider.answer = hanging
      const waiting = yield* Effect.forkChild(registry.resolve(names, header("b")), { startImmediately: true })
      provider.answer = keysOf("a", "b")
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      assert.strictEqual((yield* Fiber.join(waiting))[0]?.kid, "b")
    }).pipe(Effect.scoped, quiet))

  it.effect("a waiting lookup is repeated at most twice, however often the provider is replaced", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(hanging)
      yield* registry.put(names, { ...options, prefetch: false }, { ifAbsent: true })
      const source = registry.keySource("t")
      const asks = [registry.resolve(names, header("a")), source.find(issuer, header("a"))]
      const waiting = yield* Effect.forEach(
        asks,
        (ask) => Effect.forkChild(Effect.exit(ask), { startImmediately: true })
      )
      for (let turn = 0; turn < 10; turn++) {
        yield* registry.put(names, { ...options, prefetch: false, ttl: `${turn + 2} hours` }, { ifPresent: true })
        yield* TestClock.adjust("1 second")
      }
      for (const fiber of waiting) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Failure")
      assert.isAtMost(provider.requests.length, 3)
    }).pipe(Effect.scoped, quiet))

  it.effect("[L4] keys past their stale deadline are not handed on, whatever the new options say", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const { provider, registry } = yield* registryOf(keysOf("a"))
      const program = Effect.gen(function*() {
        yield* registry.put(names, options, { ifAbsent: true })
        yield* registry.keySet(names)
        provider.answer = down
        skew.millis = 7_200_000
        yield* registry.put(names, { ...options, staleWindow: "24 hours" }, { ifPresent: true })
        assert.isUndefined(yield* registry.cached(names))
      })
      yield* Effect.provideService(program, Clock.Clock, clock)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-06] a snapshot that is being read is read again by the one in its place", () =>
    Effect.gen(function*() {
      const slow = Layer.effect(
        JwksSnapshots.JwksSnapshots,
        Effect.map(JwksSnapshots.JwksSnapshots, (store) => ({
          ...store,
          load: (...args: Parameters<typeof store.load>) => Effect.delay(store.load(...args), "200 millis")
        }))
      )
      const { registry } = yield* registryOf(down, Layer.provide(slow, behind(jwks("a"))))
      yield* registry.put(names, options, { ifAbsent: true })
      yield* TestClock.adjust("100 millis")
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      yield* TestClock.adjust("20 seconds")
      assert.isDefined(yield* registry.cached(names))
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-06] a running write ends before the removal and before the next write", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const store = Layer.succeed(JwksSnapshots.JwksSnapshots, {
        load: () => Effect.succeedNone,
        save: ({ body }) =>
          Effect.uninterruptible(Effect.andThen(Effect.sleep("1500 millis"), Effect.sync(() => calls.push(body)))),
        remove: () => Effect.sync(() => calls.push("removed"))
      })
      const { registry } = yield* registryOf(keysOf("a"), store)
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      const updating = yield* Effect.forkChild(
        registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true }),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust("1 milli")
      const invalidating = yield* Effect.forkChild(registry.invalidate(names), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(updating)
      yield* Fiber.join(invalidating)
      assert.deepStrictEqual(calls, [jwks("a"), "removed"])
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-06] [L5] the new provider writes the snapshot that the old one could not write, and no removed key stays", () =>
    Effect.gen(function*() {
      const state = { isUp: true, body: "" }
      const store = Layer.succeed(JwksSnapshots.JwksSnapshots, {
        load: () => Effect.succeedNone,
        save: ({ body }) => state.isUp ? Effect.sync(() => void (state.body = body)) : Effect.die("away"),
        remove: () => Effect.void
      })
      const { provider, registry } = yield* registryOf(keysOf("removed", "b"), store)
      yield* registry.put(names, options, { ifAbsent: true })
      yield* registry.keySet(names)
      yield* TestClock.adjust("1 second")
      state.isUp = false
      provider.answer = keysOf("b")
      yield* registry.refresh(names)
      provider.answer = down
      yield* registry.put(names, { ...options, ttl: "2 hours" }, { ifPresent: true })
      state.isUp = true
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(state.body, jwks("b"))
    }).pipe(Effect.scoped, quiet))

  it.effect("[L4] keys that end before the next fetch is due are fetched when they end", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(documentOf(jwks("a"), { "cache-control": "max-age=30" }))
      const short = {
        ...options,
        staleWindow: "0 millis",
        refreshEarly: "1 second",
        refreshJitter: "0 millis"
      } as const
      yield* registry.put(names, short, { ifAbsent: true })
      yield* registry.keySet(names)
      provider.answer = hanging
      yield* TestClock.adjust("29500 millis")
      assert.strictEqual(provider.requests.length, 2)
      provider.answer = keysOf("a")
      yield* registry.put(names, { ...short, ttl: "2 hours" }, { ifPresent: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(provider.requests.length, 3)
      assert.strictEqual((yield* registry.status(names)).state, "Ready")
    }).pipe(Effect.scoped, quiet))

  it.effect("[R19] the rest between fetches holds through replacements that do not fetch by themselves", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(hanging)
      yield* registry.put(names, options, { ifAbsent: true })
      yield* TestClock.adjust("100 millis")
      for (let turn = 0; turn < 20; turn++) {
        yield* registry.put(names, { ...options, prefetch: turn % 2 === 1 }, { ifPresent: true })
        yield* TestClock.adjust("100 millis")
      }
      assert.strictEqual(provider.requests.length, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(provider.requests.length, 2)
    }).pipe(Effect.scoped, quiet))
})
