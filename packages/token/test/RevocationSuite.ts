import { assert, it } from "@effect/vitest"
import { Clock, Context, DateTime, Effect, Layer, type Scope } from "effect"
import { Revocation } from "../src/index.ts"

export type List = Revocation.Revocation["Service"]
export type Identity = Revocation.Identity

export const issuer = "https://idp.example"

/** A token with the given claims only. */
export const token = (names: Partial<Identity> = {}): Identity => ({
  iss: issuer,
  jti: undefined,
  sid: undefined,
  sub: undefined,
  iat: undefined,
  ...names
})

/** The time in a number of milliseconds from now. */
export const inMillis = (millis: number) =>
  Effect.map(Clock.currentTimeMillis, (now) => DateTime.makeUnsafe(now + millis))

/** Revokes tokens that expire in an hour. */
export const revoke = (list: List, subject: Revocation.Subject, life = 3_600_000) =>
  Effect.flatMap(inMillis(life), (until) => list.revoke(subject, until))

/** The reason of a `RevocationUnavailable`. */
export const unavailable = <A>(self: Effect.Effect<A, Revocation.RevocationUnavailable>) =>
  Effect.map(Effect.flip(self), ({ reason }) => reason)

/** The list of a layer, built in the scope. */
export const listOf = <E>(layer: Layer.Layer<Revocation.Revocation, E>): Effect.Effect<List, E, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Revocation.Revocation))

/** A clock whose wall time is fixed, while timers continue. */
const standing = (millis: number) =>
  Effect.map(Clock.Clock, (base): Clock.Clock =>
    Object.create(base, {
      currentTimeMillisUnsafe: { value: () => millis },
      currentTimeMillis: { value: Effect.succeed(millis) }
    }))

/** Runs with a fixed wall time. */
const at = <A, E, R>(millis: number, self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(standing(millis), (clock) => Effect.provideService(self, Clock.Clock, clock))

const oddIds = [
  "",
  " ",
  "a",
  "A",
  "a:b",
  "a\",\"b",
  "[\"a\"]",
  "a\nb",
  "\u0000",
  "\ud800",
  "\ud801",
  "\ufffd",
  "__proto__",
  "constructor",
  "\u00e4",
  "a\u0308",
  "x".repeat(60_000),
  `${"x".repeat(60_000)}y`
]

/** Tests for every back end. `tolerance` is the clock tolerance of the lists, in milliseconds. */
export const revocationSuite = (make: Effect.Effect<List, unknown, Scope.Scope>, tolerance: number): void => {
  const test = (title: string, body: (list: List) => Effect.Effect<void, unknown>) =>
    it.live(title, () => Effect.flatMap(make, body))

  test("[K-04] lets in what was not revoked", (list) =>
    Effect.gen(function*() {
      yield* revoke(list, { issuer, jti: "other" })
      assert.isFalse(yield* list.isRevoked(token()))
      assert.isFalse(yield* list.isRevoked(token({ jti: "a", sid: "b", sub: "c", iat: 1 })))
    }))

  for (const kind of ["jti", "sid"] as const) {
    test(`[K-04] a revoked ${kind} means the tokens that have it, of its issuer alone, whenever they were issued`, (list) =>
      Effect.gen(function*() {
        yield* revoke(list, kind === "jti" ? { issuer, jti: "a" } : { issuer, sid: "a" })
        assert.isTrue(yield* list.isRevoked(token({ [kind]: "a" })))
        assert.isTrue(yield* list.isRevoked(token({ jti: "x", sid: "y", sub: "z", [kind]: "a", iat: 253_402_300_799 })))
        assert.isFalse(yield* list.isRevoked(token({ [kind]: "b" })))
        assert.isFalse(yield* list.isRevoked(token({ [kind]: "a", iss: `${issuer}/` })))
        for (const other of ["jti", "sid", "sub"].filter((name) => name !== kind)) {
          assert.isFalse(yield* list.isRevoked(token({ [other]: "a" })), other)
        }
      }))
  }

  test("[K-04] a revoked subject means its tokens of that issuer that were issued before, and those without iat", (list) =>
    Effect.gen(function*() {
      yield* revoke(list, { issuer, sub: "a" })
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      assert.isTrue(yield* list.isRevoked(token({ sub: "a", iat: now })))
      assert.isTrue(yield* list.isRevoked(token({ sub: "a", iat: 0 })))
      assert.isTrue(yield* list.isRevoked(token({ sub: "a" })))
      assert.isFalse(yield* list.isRevoked(token({ sub: "a", iat: now + tolerance / 1000 + 60 })))
      assert.isFalse(yield* list.isRevoked(token({ sub: "a", iat: now, iss: "https://other.example" })))
      assert.isFalse(yield* list.isRevoked(token({ sub: "b", iat: now })))
      assert.isFalse(yield* list.isRevoked(token({ jti: "a", sid: "a", iat: now })))
    }))

  test("[R23] a subject's last token is of the whole second in which the revocation and the tolerance end", (list) =>
    Effect.gen(function*() {
      const second = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const last = second + tolerance / 1000
      const cases = [[0, last], [1, last + 1], [999, last + 1]] as const
      for (const [millis, iat] of cases) {
        const sub = `at ${millis}`
        yield* at(second * 1000 + millis, revoke(list, { issuer, sub }))
        assert.isTrue(yield* list.isRevoked(token({ sub, iat })), sub)
        assert.isFalse(yield* list.isRevoked(token({ sub, iat: iat + 0.001 })), sub)
        assert.isFalse(yield* list.isRevoked(token({ sub, iat: iat + 1 })), sub)
      }
    }))

  test("[R23] a revocation by a clock that is behind takes nothing back from one before it", (list) =>
    Effect.gen(function*() {
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000) * 1000
      const iat = (now + tolerance) / 1000
      yield* at(now, revoke(list, { issuer, sub: "a" }))
      yield* at(now - 120_000, revoke(list, { issuer, sub: "a" }))
      assert.isTrue(yield* list.isRevoked(token({ sub: "a", iat })))
      yield* at(now + 120_000, revoke(list, { issuer, sub: "a" }))
      assert.isTrue(yield* list.isRevoked(token({ sub: "a", iat: iat + 120 })))
      assert.isFalse(yield* list.isRevoked(token({ sub: "a", iat: iat + 121 })))
    }))

  test("[R23] keeps nothing of tokens that are past their expiry and any tolerance", (list) =>
    Effect.gen(function*() {
      yield* revoke(list, { issuer, jti: "a" }, -300_000)
      assert.isFalse(yield* list.isRevoked(token({ jti: "a" })))
      yield* revoke(list, { issuer, jti: "a" }, -240_000)
      assert.isTrue(yield* list.isRevoked(token({ jti: "a" })))
    }))

  test("[K-04] tells ids of any form and length apart", (list) =>
    Effect.gen(function*() {
      for (const [place, jti] of oddIds.entries()) {
        yield* revoke(list, { issuer, jti })
        for (const [other, id] of oddIds.entries()) {
          assert.strictEqual(yield* list.isRevoked(token({ jti: id })), other <= place, `${place} ${other}`)
          assert.isFalse(yield* list.isRevoked(token({ iss: id, jti: issuer })))
          assert.isFalse(yield* list.isRevoked(token({ sub: id })))
        }
      }
    }))

  test("[R6] many revocations at once are all kept, and of the same one too", (list) =>
    Effect.gen(function*() {
      const ids = Array.from({ length: 40 }, (_, place) => `id ${place % 30}`)
      yield* Effect.forEach(ids, (sid) => revoke(list, { issuer, sid }), { concurrency: "unbounded", discard: true })
      const results = yield* Effect.forEach(ids, (sid) => list.isRevoked(token({ sid })), { concurrency: "unbounded" })
      assert.isTrue(results.every(Boolean))
    }))
}
