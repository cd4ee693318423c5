import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Option, Redacted, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import * as JwksSnapshots from "../src/JwksSnapshots.ts"

/** The texts that a back end keeps, reached behind its back. */
export interface Raw {
  readonly get: (identity: JwksSnapshots.Identity) => Effect.Effect<string>
  readonly set: (identity: JwksSnapshots.Identity, text: string) => Effect.Effect<void>
}

export interface Backend {
  /** Snapshots over the same texts, signed with these keys. */
  readonly layer: (key: JwksSnapshots.SnapshotKey) => Layer.Layer<JwksSnapshots.JwksSnapshots, unknown>
  /** `undefined` if the stored texts cannot be accessed. */
  readonly raw?: Raw
}

export const [key, newKey] = [Redacted.make("k".repeat(32)), Redacted.make("n".repeat(32))]

export const identity: JwksSnapshots.Identity = {
  tenantId: "tenant-1",
  providerId: "provider_1",
  issuer: "https://issuer.example",
  url: "https://issuer.example/jwks"
}

/** When the snapshots of these tests are saved. */
export const now = 1_800_000_000_000
const minute = 60_000

export const snapshot = {
  ...identity,
  body: "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\u00e4\u{1f511}\ud800\"}]}\n",
  documentUrl: "https://keys.issuer.example/jwks",
  headers: {
    etag: "W/\"a\"",
    "last-modified": "Fri, 20 Nov 2026 16:00:00 GMT",
    "cache-control": "max-age=3660",
    expires: "Fri, 20 Nov 2026 17:00:00 GMT",
    vary: "accept"
  },
  receivedAt: now - minute,
  expiresAt: now + 60 * minute,
  staleUntil: now + 75 * minute
}

export const limits = { maxBytes: 1_000 }

const service = JwksSnapshots.JwksSnapshots
export const save = (value: Omit<JwksSnapshots.Snapshot, "persistedAt">) => service.use((all) => all.save(value))
export const load = (of: JwksSnapshots.Identity = identity, maxBytes = limits.maxBytes) =>
  service.use((all) => all.load(of, { maxBytes }))
export const remove = (of: JwksSnapshots.Identity) => service.use((all) => all.remove(of))

/** Why a load was refused; `given` if it succeeded. */
export const refusal = (of: JwksSnapshots.Identity = identity, maxBytes = limits.maxBytes) =>
  Effect.match(load(of, maxBytes), {
    onSuccess: () => "given",
    onFailure: (error) => error._tag === "SnapshotRefused" ? error.reason : error._tag
  })

/** A payload with the signature of a key over it. */
const signed = (payload: string, by: Redacted.Redacted = key): string =>
  `${
    createHmac("sha256", Redacted.value(by)).update(`@keelson/jwks/JwksSnapshots\n${payload}`).digest("base64url")
  }\n${payload}`

const payloadOf = (text: string) => text.slice(text.indexOf("\n") + 1)

const changed = (payload: string, change: object) => JSON.stringify({ ...JSON.parse(payload), ...change })

type Body = (raw: Raw) => Effect.Effect<void, unknown, JwksSnapshots.JwksSnapshots | Scope.Scope>

/** Tests that every back end must pass, for use in its `describe`. */
export const jwksSnapshotsSuite = (
  make: Effect.Effect<Backend, unknown, Scope.Scope>,
  { isSigned }: { readonly isSigned: boolean }
): void => {
  const noRaw: Raw = { get: () => Effect.die("no texts"), set: () => Effect.die("no texts") }
  const test = (title: string, body: Body) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const { layer, raw = noRaw } = yield* make
        yield* Effect.provide(body(raw), layer(key))
      }))

  test("[S1-35] [K-06] returns the saved snapshot with its times and the time of saving", () =>
    Effect.gen(function*() {
      yield* save(snapshot)
      assert.deepStrictEqual(yield* load(), Option.some({ ...snapshot, persistedAt: now }))
      const plain = { ...snapshot, headers: {} }
      yield* TestClock.adjust("1 second")
      yield* save(plain)
      assert.deepStrictEqual(yield* load(), Option.some({ ...plain, persistedAt: now + 1_000 }))
    }))

  test("[S1-35] returns None if nothing was saved, and after a removal", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* load()))
      yield* remove(identity)
      const other = { ...snapshot, providerId: "other" }
      yield* Effect.andThen(save(snapshot), save(other))
      yield* remove(identity)
      assert.isTrue(Option.isNone(yield* load()))
      assert.isTrue(Option.isSome(yield* load(other)))
    }))

  test("[S1-35] keeps tenants and providers apart, whatever their ids are", () =>
    Effect.gen(function*() {
      const plain = [["a", "b"], ["A", "b"], ["..", "../x"], ["", ""]]
      const odd = [["a:b", "c"], ["a;b", "c"], ["a", "b:c"], ["\u00012", ""], ["\u0012", ""], ["\ud800", "%d800"]]
      const ids = [...plain, ...odd]
      const all = ids.map(([tenantId = "", providerId = ""]) => ({ ...snapshot, tenantId, providerId }))
      yield* Effect.forEach(all, save)
      for (const one of all) assert.deepStrictEqual(yield* load(one), Option.some({ ...one, persistedAt: now }))
    }))

  test("[S1-36] refuses a snapshot of another issuer or URL", () =>
    Effect.gen(function*() {
      yield* save(snapshot)
      assert.strictEqual(yield* refusal({ ...identity, issuer: `${identity.issuer}/` }), "foreign")
      assert.strictEqual(yield* refusal({ ...identity, url: "https://issuer.example/JWKS" }), "foreign")
    }))

  test("[S1-36] refuses a body over the limit, and accepts one at the limit", () =>
    Effect.gen(function*() {
      yield* save({ ...snapshot, body: "\u00e4".repeat(500) })
      assert.strictEqual(yield* refusal(), "given")
      assert.strictEqual(yield* refusal(identity, 999), "tooLarge")
      yield* save({ ...snapshot, body: "\u0000".repeat(100_000) })
      assert.strictEqual(yield* refusal(identity, 100_000), "given")
      assert.strictEqual(yield* refusal(identity, 99_999), "tooLarge")
    }))

  test("[S1-36] does not extend lifetimes: times stay, and past the stale deadline a snapshot is refused", () =>
    Effect.gen(function*() {
      yield* save(snapshot)
      yield* TestClock.setTime(snapshot.staleUntil - 1)
      assert.deepStrictEqual(yield* load(), Option.some({ ...snapshot, persistedAt: now }))
      yield* TestClock.setTime(snapshot.staleUntil)
      assert.strictEqual(yield* refusal(), "expired")
    }))

  test("[K-06] refuses a snapshot written or received more than a minute in the future", () =>
    Effect.gen(function*() {
      yield* save(snapshot)
      yield* TestClock.setTime(now - minute)
      assert.strictEqual(yield* refusal(), "given")
      yield* TestClock.setTime(now - minute - 1)
      assert.strictEqual(yield* refusal(), "future")
      yield* save({ ...snapshot, receivedAt: now })
      assert.strictEqual(yield* refusal(), "future")
    }))

  test("[S1-36] refuses times out of order, and those that are none", () =>
    Effect.gen(function*() {
      const wrong = [
        { expiresAt: snapshot.receivedAt - 1 },
        { expiresAt: snapshot.staleUntil + 1 },
        { receivedAt: -1 },
        { expiresAt: Number.NaN }
      ]
      for (const times of wrong) {
        yield* save({ ...snapshot, ...times })
        assert.strictEqual(yield* refusal(), "malformed")
      }
    }))

  if (isSigned) signedSuite(make, test)
}

const signedSuite = (
  make: Effect.Effect<Backend, unknown, Scope.Scope>,
  test: (title: string, body: Body) => void
): void => {
  test("[K-06] refuses a malformed snapshot, even with a valid signature", (raw) =>
    Effect.gen(function*() {
      yield* save(snapshot)
      const payload = payloadOf(yield* raw.get(identity))
      const wrong = [
        "x",
        payload.trim(),
        ...[
          "",
          "null",
          "[]",
          payload.slice(0, -1),
          changed(payload, { version: 1 }),
          changed(payload, { version: 3 }),
          changed(payload, { extra: 1 }),
          changed(payload, { body: 1 }),
          changed(payload, { documentUrl: undefined }),
          changed(payload, { headers: undefined }),
          changed(payload, { headers: { etag: null } }),
          changed(payload, { headers: { age: "1" } }),
          changed(payload, { staleUntil: "x" })
        ].map((text) => signed(text))
      ]
      for (const text of wrong) {
        yield* raw.set(identity, text)
        assert.strictEqual(yield* refusal(), "malformed", text)
      }
    }))

  test("[R18] refuses a snapshot with any field changed, and one whose signature is gone", (raw) =>
    Effect.gen(function*() {
      yield* save(snapshot)
      const text = yield* raw.get(identity)
      const [signature, payload] = [text.slice(0, text.indexOf("\n")), payloadOf(text)]
      assert.strictEqual(text, signed(payload))
      for (const [field, value] of Object.entries(JSON.parse(payload))) {
        const other = typeof value === "number" ? value + 1 : typeof value === "string" ? `${value}x` : {}
        yield* raw.set(identity, `${signature}\n${changed(payload, { [field]: other })}`)
        assert.strictEqual(yield* refusal(), "tampered", field)
      }
      for (const wrong of [signature.slice(1), "!", signature.toLowerCase(), signature + signature]) {
        yield* raw.set(identity, `${wrong}\n${payload}`)
        assert.strictEqual(yield* refusal(), "tampered", wrong)
      }
      yield* raw.set(identity, `\n${payload}`)
      assert.strictEqual(yield* refusal(), "unsigned")
    }))

  test("[R18] [S1-36] refuses a signed snapshot that was copied to another tenant's or provider's place", (raw) =>
    Effect.gen(function*() {
      for (const other of [{ ...snapshot, tenantId: "other" }, { ...snapshot, providerId: "other" }]) {
        yield* save(other)
        yield* raw.set(identity, yield* raw.get(other))
        assert.strictEqual(yield* refusal(), "foreign")
      }
    }))

  test("[K-06] refuses a text far over the limit before anything else is looked at", (raw) =>
    Effect.gen(function*() {
      const most = limits.maxBytes * 6 + 65_536
      yield* raw.set(identity, "x".repeat(most))
      assert.strictEqual(yield* refusal(), "malformed")
      for (const text of ["x".repeat(most + 1), "\u00e4".repeat(most / 2 + 1), "\u{1f511}".repeat(most)]) {
        yield* raw.set(identity, text)
        assert.strictEqual(yield* refusal(), "tooLarge")
      }
    }))

  it.effect("[R18] rotates keys: the first one signs, each of them verifies, and no other does", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const { layer } = yield* make
      yield* Effect.provide(save(snapshot), layer(key))
      assert.strictEqual(yield* Effect.provide(refusal(), layer(newKey)), "tampered")
      assert.strictEqual(yield* Effect.provide(refusal(), layer([newKey, key])), "given")
      yield* Effect.provide(save(snapshot), layer([newKey, key]))
      assert.strictEqual(yield* Effect.provide(refusal(), layer(key)), "tampered")
      assert.strictEqual(yield* Effect.provide(refusal(), layer([newKey])), "given")
    }))
}
