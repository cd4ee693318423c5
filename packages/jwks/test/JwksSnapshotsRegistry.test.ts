import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { metric, recording } from "@keelson/testing/observe"
import { down, ids, issuer, keysOf, registryOf, url } from "@keelson/testing/scriptedProvider"
import { Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { JwksSnapshots } from "../src/index.ts"

const refused = Effect.fail(new JwksSnapshots.SnapshotUnavailable({ store: "memory", operation: "save", reason: "no" }))

/** A store that can be down, with the calls that it took. */
const makeStore = () => {
  const store = { isUp: true, calls: [] as Array<string> }
  const call = (operation: string, { providerId, url }: JwksSnapshots.Identity) =>
    Effect.suspend(() =>
      store.isUp ? Effect.sync(() => void store.calls.push(`${operation} ${providerId} ${url}`)) : refused
    )
  const layer = Layer.succeed(JwksSnapshots.JwksSnapshots, {
    load: () => Effect.succeedNone,
    save: (snapshot) => call("save", snapshot),
    remove: (identity) => call("remove", identity)
  })
  return Object.assign(store, { layer })
}

const other = "https://idp.example/other"

describe("JwksRegistry snapshots", () => {
  it.effect("[S1-35] persistAll writes what all providers could not, once the store is back, and nothing twice", () =>
    Effect.gen(function*() {
      const store = makeStore()
      store.isUp = false
      const { registry } = yield* registryOf(keysOf("a"), store.layer)
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* registry.put(ids("u", "q"), { issuer, url: other }, { ifAbsent: true })
      yield* TestClock.adjust("1 minute")
      yield* registry.persistAll
      assert.deepStrictEqual(store.calls, [])
      store.isUp = true
      yield* registry.persistAll
      assert.deepStrictEqual(new Set(store.calls), new Set([`save p ${url}`, `save q ${other}`]))
      yield* registry.persistAll
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(store.calls, 2)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[S1-35] persistAll does nothing without a store", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(keysOf("a"))
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 second")
      yield* registry.persistAll
      assert.lengthOf(provider.requests, 1)
      assert.strictEqual((yield* registry.status(ids("t", "p"))).state, "Ready")
    }).pipe(Effect.scoped))

  it.effect("[S0-20] a removed provider's snapshot is removed from the store, also a pending one", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const { registry } = yield* registryOf(keysOf("a"), store.layer)
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 second")
      store.isUp = false
      yield* registry.refresh(ids("t", "p"))
      yield* TestClock.adjust("500 millis")
      store.isUp = true
      yield* registry.remove(ids("t", "p"))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(store.calls.at(-1), `remove p ${url}`)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[S0-20] a failed removal of a snapshot is counted and logged; the provider is removed", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const store = makeStore()
      const { registry } = yield* registryOf(keysOf("a"), store.layer)
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 second")
      store.isUp = false
      yield* registry.remove(ids("t", "p"))
      assert.strictEqual(yield* metric("jwks_cache_snapshot_errors_total", "tenant=\"t\",provider=\"p\""), 1)
      assert.lengthOf(lines.filter((line) => line.includes("Key set snapshot could not be removed")), 1)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(registry.status(ids("t", "p")))))
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })

  it.effect("[S1-35] a snapshot of the old options never replaces one of the new options", () =>
    Effect.gen(function*() {
      const store = makeStore()
      store.isUp = false
      const { provider, registry } = yield* registryOf(keysOf("a"), store.layer)
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("2 seconds")
      store.isUp = true
      yield* registry.put(ids("t", "p"), { issuer, url: other }, { ifPresent: true })
      yield* TestClock.adjust("10 seconds")
      provider.answer = down
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(store.calls, [`save p ${other}`])
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
})
