import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import { select, type Selectable } from "../../src/internal/keys/keySelection.ts"

interface Key extends Selectable {
  readonly place: number
}

const kinds = [
  { kty: "RSA", crv: undefined, own: ["RS256", "PS256"] },
  { kty: "EC", crv: "P-256", own: ["ES256"] },
  { kty: "EC", crv: "P-384", own: ["ES384"] },
  { kty: "OKP", crv: "Ed25519", own: ["EdDSA", "Ed25519"] },
  { kty: "oct", crv: undefined, own: ["HS256"] },
  { kty: "AKP", crv: undefined, own: ["ML-DSA-44"] }
] as const

const ids = ["a", "b", "__proto__", "", undefined]
const algorithms = kinds.flatMap(({ own }) => own)

const members = fc.constantFrom(...kinds).chain(({ crv, kty, own }) =>
  fc.record({
    kid: fc.constantFrom(...ids),
    kty: fc.constant(kty),
    crv: fc.constant(crv),
    alg: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(undefined, ...own) },
      { weight: 1, arbitrary: fc.constantFrom(...algorithms) }
    ),
    use: fc.constantFrom("sig", undefined, undefined, "enc")
  })
)
/** Few kinds, so that there are often several candidates. */
const keys = fc.array(members, { maxLength: 14 }).map((all) => all.map((key, place): Key => ({ ...key, place })))
const header = fc.record({
  alg: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...algorithms) }, { weight: 1, arbitrary: fc.string() }),
  kid: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(undefined, ...ids) }, { weight: 1, arbitrary: fc.string() })
})

const setOf = (all: ReadonlyArray<Key>) => {
  const byKid = new Map<string, Array<Key>>()
  for (const key of all) if (key.kid !== undefined) byKid.set(key.kid, [...(byKid.get(key.kid) ?? []), key])
  return { all, byKid }
}

const canonical = (alg: string | undefined) => alg === "Ed25519" ? "EdDSA" : alg
const isVerified = (alg: string) => !alg.startsWith("ML-DSA")

/** Whether a key fits, according to the table above. */
const fits = (key: Key, alg: string): boolean =>
  isVerified(alg) && key.use !== "enc" &&
  kinds.some(({ crv, kty, own }) => kty === key.kty && crv === key.crv && own.some((name) => name === alg)) &&
  (key.alg === undefined || canonical(key.alg) === canonical(alg))

describe("keySelection", () => {
  it("[S1-26] [S1-27] [R4] up to four candidates, which all fit, by alg, use and place; otherwise a reason", (t) =>
    forAll(t, 3_000, fc.tuple(keys, header), ([all, { alg, kid }]) => {
      const named = all.filter((key) => kid === undefined || key.kid === kid)
      const fitting = named.filter((key) => fits(key, alg))
      const selection = select(setOf(all), { alg, kid })
      if (selection._tag === "NotFound") {
        const known = kid === undefined || named.length === 0 ? "unknown" : "mismatched"
        assert.strictEqual(selection.reason, fitting.length === 0 ? known : "ambiguous")
        assert.isTrue(fitting.length === 0 || fitting.length > 4)
        return
      }
      assert.isAtMost(selection.keys.length, 4)
      assert.sameMembers([...selection.keys], fitting)
      const order = selection.keys.map((key) =>
        [key.alg === undefined ? "1" : "0", key.use === undefined ? "1" : "0", String(key.place).padStart(3, "0")]
          .join()
      )
      assert.deepStrictEqual(order, order.toSorted())
    }))

  it("[S1-26] an equal set and header give the same result, and keys that do not fit change nothing", (t) =>
    forAll(t, 2_000, fc.tuple(keys, keys, header), ([all, more, { alg, kid }]) => {
      const selection = select(setOf(all), { alg, kid })
      assert.deepStrictEqual(select(setOf(all.map((key) => ({ ...key }))), { alg, kid }), selection)
      const unrelated = more.filter((key) => !fits(key, alg) && (kid === undefined || key.kid !== kid))
      const mixed = all.flatMap((key, place) => [...unrelated.slice(place, place + 1), key])
      assert.deepStrictEqual(select(setOf([...mixed, ...unrelated]), { alg, kid }), selection)
    }))
})
