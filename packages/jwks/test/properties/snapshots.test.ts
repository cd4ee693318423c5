import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Layer, Option } from "effect"
import { KeyValueStore } from "effect/persistence"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as JwksSnapshots from "../../src/JwksSnapshots.ts"
import { key, load, now, save } from "../JwksSnapshotsSuite.ts"

const text = fc.string({ unit: "binary", maxLength: 40 })
const span = fc.integer({ min: 0, max: 100_000_000 })

const snapshots = fc.record({
  tenantId: text,
  providerId: text,
  issuer: text,
  url: text,
  body: fc.oneof(text, fc.json()),
  documentUrl: text,
  headers: fc.record(
    { etag: text, "last-modified": text, "cache-control": text, expires: text, vary: text },
    { requiredKeys: [] }
  ).map((headers) => ({ ...headers })),
  ages: fc.tuple(span, span, span)
}).map(({ ages: [age, fresh, stale], ...rest }) => {
  const receivedAt = now - age
  const expiresAt = receivedAt + fresh
  return { ...rest, receivedAt, expiresAt, staleUntil: Math.max(expiresAt, now + 1) + stale }
})

/** One change of a text: a character replaced, left out or put in, the text cut, or two characters swapped. */
const changes = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  kind: fc.constantFrom("replace", "remove", "insert", "cut", "swap", "flip"),
  unit: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.constantFrom("\n", "\"", " ", ",", ":", "{", "}", "0", "1", "9", "-", "_", "=", "\\")
  )
})

type Change = typeof changes extends fc.Arbitrary<infer A> ? A : never

const applied = (original: string, { at, kind, unit }: Change): string => {
  const index = Math.floor(at * original.length)
  const [before, here, after] = [original.slice(0, index), original.charAt(index), original.slice(index + 1)]
  switch (kind) {
    case "replace":
      return before + unit + after
    case "remove":
      return before + after
    case "insert":
      return before + unit + here + after
    case "cut":
      return before
    case "swap":
      return before + after.charAt(0) + here + after.slice(1)
    case "flip":
      return before + String.fromCharCode(here.charCodeAt(0) ^ 1) + after
  }
}

const maxBytes = 10_000

/** Runs an effect over a store of one text, which it can read and replace. */
const overOneText = Effect.fnUntraced(function*() {
  const store = yield* Layer.build(KeyValueStore.layerMemory)
  const layer = Layer.provide(JwksSnapshots.layerKeyValueStore({ key }), Layer.succeedContext(store))
  const texts = yield* Effect.provideContext(KeyValueStore.KeyValueStore, store)
  const stored = Effect.flatMap(
    texts.keys,
    ([name = ""]) => Effect.map(texts.get(name), (text = "") => ({ name, text }))
  )
  return { layer, texts, stored }
})

describe("JwksSnapshots", () => {
  it("[K-06] any snapshot is loaded as it was saved", (context) =>
    forAllEffect(context, 300, snapshots, (snapshot) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const { layer } = yield* overOneText()
        const loaded = yield* Effect.provide(Effect.andThen(save(snapshot), load(snapshot, maxBytes)), layer)
        assert.deepStrictEqual(loaded, Option.some({ ...snapshot, persistedAt: now }))
      })))

  it("[R18] after any one change of the stored text a load refuses it, or returns the same snapshot", (context) =>
    forAllEffect(context, 1_000, fc.tuple(snapshots, changes), ([snapshot, change]) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const { layer, stored, texts } = yield* overOneText()
        yield* Effect.provide(save(snapshot), layer)
        const { name, text } = yield* stored
        yield* texts.set(name, applied(text, change))
        const loaded = yield* Effect.exit(Effect.provide(load(snapshot, maxBytes), layer))
        if (loaded._tag === "Success") {
          assert.deepStrictEqual(loaded.value, Option.some({ ...snapshot, persistedAt: now }))
        } else {
          const error = yield* Effect.flip(loaded)
          assert.strictEqual(error._tag, "SnapshotRefused")
        }
      })))

  it("[R18] with any one field changed a load refuses", (context) => {
    const fields = fc.constantFrom(
      "tenantId",
      "providerId",
      "issuer",
      "url",
      "body",
      "documentUrl",
      "headers",
      "version",
      "receivedAt",
      "expiresAt",
      "staleUntil",
      "persistedAt",
      "extra"
    )
    const values = fc.oneof(text, fc.integer(), fc.constant(null), fc.constant(undefined), span.map((by) => now + by))
    return forAllEffect(
      context,
      1_000,
      fc.tuple(snapshots, fields, values),
      ([snapshot, field, value]) =>
        Effect.gen(function*() {
          yield* TestClock.setTime(now)
          const { layer, stored, texts } = yield* overOneText()
          yield* Effect.provide(save(snapshot), layer)
          const { name, text } = yield* stored
          const [signature, payload] = [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1)]
          const changed = JSON.stringify({ ...JSON.parse(payload), [field]: value })
          if (changed === payload) return
          yield* texts.set(name, `${signature}\n${changed}`)
          const error = yield* Effect.flip(Effect.provide(load(snapshot, maxBytes), layer))
          assert.strictEqual(error._tag === "SnapshotRefused" && error.reason, "tampered")
        })
    )
  })
})
