import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Result } from "effect"
import fc from "fast-check"
import { entryId } from "../../src/internal/keys/keyIds.ts"
import * as KeySet from "../../src/internal/keys/keySet.ts"
import * as Jwk from "../../src/Jwk.ts"
import { offCurve, okpOf, recording, rsaOf } from "../publicKeys.ts"

/** Good keys of different material, seeded by their position. */
const good = (count: number): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Array.from({ length: count }, (_, seed) => seed % 2 === 0 ? okpOf(seed) : { ...rsaOf({ seed }), kid: `k${seed}` })

const names = ["kty", "crv", "alg", "use", "kid", "key_ops", "x", "y", "n", "e", "k", "d", "issuer", "__proto__"]
const words = [
  "RSA",
  "EC",
  "OKP",
  "AKP",
  "oct",
  "P-256",
  "Ed25519",
  "sig",
  "enc",
  "RS256",
  "ES256",
  "EdDSA",
  "AQAB",
  ""
]

/** Objects that look like keys, with members of any kind. */
const keyLike = fc.dictionary(
  fc.constantFrom(...names),
  fc.oneof(fc.constantFrom(...words), fc.jsonValue({ maxDepth: 1 }), fc.constantFrom(rsaOf({}).n, okpOf(1).x)),
  { maxKeys: 8 }
)

/** One good key with one member changed to anything, or left out. */
const damaged = fc.record({
  key: fc.constantFrom(...good(2)),
  name: fc.constantFrom(...names),
  value: fc.oneof(fc.constantFrom(...words), fc.jsonValue({ maxDepth: 1 }), fc.constant(undefined))
}).map(({ key, name, value }) => ({ ...key, [name]: value }))

const anything = fc.oneof(keyLike, damaged, fc.jsonValue({ maxDepth: 3 }), fc.constant({ kty: "AKP", pub: "AA" }))

/** Entries that are skipped in any set. */
const garbage = fc.oneof(anything, fc.constant(good(1)[0]).map((key) => ({ ...key, use: "enc" })))
  .filter((entry) => Result.isFailure(Jwk.parse(JSON.parse(JSON.stringify(entry)))))

const parse = (document: unknown, previous?: KeySet.KeySet, generation = 1) =>
  KeySet.parse(typeof document === "string" ? document : JSON.stringify(document), {
    importKey: recording().importKey,
    previous,
    generation
  })

const entriesOf = (text: string): ReadonlyArray<unknown> => JSON.parse(text).keys

describe("KeySet", () => {
  it("[S1-24] [S1-25] any document is keys that stand alone, or JWKS_INVALID: nothing throws", (t) =>
    forAllEffect(
      t,
      500,
      fc.oneof(
        fc.array(anything, { maxLength: 8 }).map((keys) => JSON.stringify({ keys })),
        fc.json(),
        fc.string(),
        fc.record({ keys: fc.jsonValue() }).map((document) => JSON.stringify(document))
      ),
      (text) =>
        Effect.gen(function*() {
          const result = yield* Effect.result(parse(text))
          if (Result.isFailure(result)) return assert.strictEqual(result.failure.code, "JWKS_INVALID")
          const { keySet, skipped } = result.success
          const entries = entriesOf(text)
          const alone = entries.map(Jwk.parse).flatMap((one) => Result.isSuccess(one) ? [entryId(one.success)] : [])
          for (const { id } of keySet.all) assert.include(alone, id)
          assert.strictEqual(keySet.all.length + skipped.length, entries.length)
          assert.strictEqual(new Set(skipped.map(({ index }) => index)).size, skipped.length)
          for (const { index, reason } of skipped) {
            if (reason === "duplicate" || reason === "unusable") continue
            assert.strictEqual(Result.getOrThrow(Result.flip(Jwk.parse(entries[index]))), reason)
          }
        })
    ))

  it("[S1-25] [K-24] garbage between good keys loses none of them, nor their order, up to a hundred", (t) =>
    forAllEffect(
      t,
      300,
      fc.integer({ min: 1, max: 120 }).chain((count) =>
        fc.tuple(
          fc.constant(count),
          fc.array(fc.tuple(fc.nat({ max: count }), garbage), { maxLength: 30 })
        )
      ),
      ([count, odd]) =>
        Effect.gen(function*() {
          const keys = good(count)
          const before = (place: number) => odd.flatMap(([at, entry]) => at === place ? [entry] : [])
          const mixed = [...keys.flatMap((key, place) => [...before(place), key]), ...before(count)]
          const { keySet, skipped } = yield* parse({ keys: mixed })
          assert.deepStrictEqual<unknown>(keySet.all.map(({ kid }) => kid), keys.slice(0, 100).map(({ kid }) => kid))
          assert.strictEqual(skipped.length, Math.min(100, mixed.length - keySet.all.length))
          assert.deepStrictEqual([...keySet.byKid.values()].flat(), [...keySet.all])
        })
    ))

  const change = fc.oneof(
    fc.record({
      at: fc.nat(),
      with: fc.constantFrom({ kid: "new" }, { alg: undefined }, { issuer: "i" }, { use: "sig" })
    })
      .map(({ at, with: members }) => (keys: ReadonlyArray<object>) =>
        keys.map((key, place) => place === at % keys.length ? { ...key, ...members } : key)
      ),
    fc.nat().map((at) => (keys: ReadonlyArray<object>) => keys.filter((_, place) => place !== at % keys.length)),
    fc.constant((keys: ReadonlyArray<object>) => [...keys, okpOf(1_000)]),
    fc.constant((keys: ReadonlyArray<object>) => [okpOf(1_000), ...keys.slice(1)]),
    fc.constant((keys: ReadonlyArray<object>) => keys.toReversed())
  )

  it("[S1-24] the same keys give the identical set, and any change of them another generation", (t) =>
    forAllEffect(
      t,
      300,
      fc.record({
        count: fc.integer({ min: 2, max: 20 }),
        noise: fc.array(fc.oneof(garbage, fc.constant(offCurve(1))), { maxLength: 5 }),
        change
      }),
      ({ change, count, noise }) =>
        Effect.gen(function*() {
          const keys = good(count)
          const { keySet: first } = yield* parse({ keys }, undefined, 3)
          const same = { comment: noise.length, keys: [...noise, ...keys, keys[0]] }
          const { keySet: again } = yield* parse(same, first, 4)
          assert.strictEqual(again, first)
          const changed = change(keys)
          const isSame = JSON.stringify(changed) === JSON.stringify(keys)
          const { keySet: next } = yield* parse({ keys: changed }, first, 4)
          assert.strictEqual(next === first, isSame)
          assert.strictEqual(next.generation, isSame ? 3 : 4)
          for (const key of next.all) {
            const known = first.all.find(({ id }) => id === key.id)
            if (known !== undefined) assert.strictEqual(key, known)
          }
        })
    ))
})
