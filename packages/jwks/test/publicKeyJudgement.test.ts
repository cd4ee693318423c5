/** One public key is judged alike, whether a key set publishes it or the application supplies it. */
import { assert, describe, it } from "@effect/vitest"
import { metric, outcome, recording } from "@keelson/testing/observe"
import { cacheOf, documentOf, header, jwk, jwks, keysOf } from "@keelson/testing/scriptedProvider"
import { Effect, Exit, Result } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { KeyImport } from "../src/internal/keys/importKey.ts"
import * as Jwk from "../src/Jwk.ts"
import * as StaticKeys from "../src/StaticKeys.ts"
import * as Keys from "./fixtures/keys/generated.ts"

type Members = Readonly<Record<string, unknown>>

const issuer = "https://issuer.example"
const rsa: Members = Keys.jwk(Keys.rsa)
const ec: Members = Keys.jwk(Keys.p256)
const okp: Members = Keys.jwk(Keys.ed25519)

const standard = (text: unknown) => Buffer.from(String(text), "base64url").toString("base64")
const longer = (text: unknown) =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(String(text), "base64url")]).toString("base64url")

/** A P-256 key whose x begins with a zero byte, which some libraries leave out: one of 256 has it. */
const short = (): Members => {
  const key = Keys.jwk(generateKeyPairSync("ec", { namedCurve: "P-256" }))
  return Buffer.from(String(key["x"]), "base64url")[0] === 0 ? key : short()
}

type Probe = readonly [name: string, members: Members, isAccepted: boolean]
const probes: ReadonlyArray<Probe> = [
  ["nothing odd", rsa, true],
  ["a padded n", { ...rsa, n: standard(rsa["n"]) }, true],
  ["a padded e", { ...rsa, e: "Aw==" }, true],
  ["an n in standard base64", { ...rsa, n: standard(rsa["n"]).replace(/=+$/, "") }, true],
  ["an n with a line feed", { ...rsa, n: `${String(rsa["n"])}\n` }, true],
  ["an n with a letter of no alphabet", { ...rsa, n: `${String(rsa["n"])}*` }, false],
  ["an n with a leading zero", { ...rsa, n: longer(rsa["n"]) }, true],
  ["a 33-bit e", { ...rsa, e: "AQAAAAE" }, false],
  ["an even e", { ...rsa, e: "AQAA" }, false],
  ["a padded x of EC", { ...ec, x: standard(ec["x"]) }, true],
  ["an x of EC with one more zero", { ...ec, x: longer(ec["x"]) }, true],
  ["an x of EC with one byte more", { ...ec, x: `${String(ec["x"]).slice(0, -1)}AAA` }, false],
  ["an x of EC with one byte less", { ...ec, x: String(ec["x"]).slice(0, -2) }, false],
  ["an x of OKP with one byte more", { ...okp, x: longer(okp["x"]) }, false],
  ["a padded x of OKP", { ...okp, x: standard(okp["x"]) }, true],
  ["an RSA crv of null", { ...rsa, crv: null }, true],
  ["an EC crv of null", { ...ec, crv: null }, false],
  ["an empty kid", { ...rsa, kid: "" }, true],
  ["a kid of null", { ...rsa, kid: null }, true],
  ["a kid of 257 characters", { ...rsa, kid: "k".repeat(257) }, false],
  ["an issuer that is no text", { ...rsa, issuer: 1 }, false],
  ["an alg of null", { ...rsa, alg: null }, true],
  ["a use of null", { ...rsa, use: null }, true],
  ["an issuer of null", { ...rsa, issuer: null }, true],
  ["key_ops of null", { ...rsa, key_ops: null }, true],
  ["a d of null", { ...rsa, d: null }, true],
  ["a d beside a k of null", { ...rsa, d: "AQ", k: null }, false],
  ["an n of null", { ...rsa, n: null }, false],
  ["a kty of null", { ...rsa, kty: null }, false],
  ["the use enc", { ...rsa, use: "enc" }, false],
  ["key_ops with a duplicate", { ...rsa, key_ops: ["verify", "verify"] }, false],
  ["key_ops with a number", { ...rsa, key_ops: ["verify", 1] }, false],
  ["key_ops with sign", { ...rsa, key_ops: ["sign", "verify"] }, true],
  ["an own, undefined d", { ...rsa, d: undefined }, true],
  ["a d", { ...rsa, d: "AQ" }, false],
  ["a k", { ...rsa, k: "AQ" }, false],
  ["a priv", { ...rsa, priv: "AQ" }, false],
  ["the type oct", { kty: "oct", k: "AQ" }, false],
  ["another curve", { ...ec, crv: "secp256k1" }, false]
]

const algorithmOf = ({ kty }: Members) => kty === "EC" ? "ES256" : kty === "OKP" ? "EdDSA" : "RS256"

const isStatic = (jwk: Members) =>
  Effect.map(
    Effect.exit(StaticKeys.make({ issuers: [issuer], keys: [{ algorithm: algorithmOf(jwk), jwk }] })),
    Exit.isSuccess
  )

/** Whether a key set accepts a key, imported by WebCrypto as in production. */
const isPublished = Effect.fnUntraced(function*(members: Members) {
  const parsed = Jwk.parse(members)
  if (Result.isFailure(parsed)) return false
  const importKey = yield* KeyImport
  return Exit.isSuccess(yield* Effect.exit(importKey(parsed.success, algorithmOf(members))))
})

describe("a public key", () => {
  for (const [name, members, isAccepted] of probes) {
    it.live(`[K-28 I2] with ${name} is ${isAccepted ? "accepted" : "refused"} in a set and as a static key`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual([yield* isPublished(members), yield* isStatic(members)], [isAccepted, isAccepted])
      }))
  }

  it.live("[K-28 I2] of EC without the leading zero of a coordinate is the key with it", () =>
    Effect.gen(function*() {
      const full = short()
      const stripped = { ...full, x: Buffer.from(String(full["x"]), "base64url").subarray(1).toString("base64url") }
      assert.deepStrictEqual(Jwk.parse(stripped), Jwk.parse(full))
      assert.deepStrictEqual([yield* isPublished(stripped), yield* isStatic(stripped)], [true, true])
    }))

  it.live("[K-28 A2] [K-28 I2] with an empty kid is the key of tokens with an empty kid", () =>
    Effect.gen(function*() {
      const keys = [{ algorithm: "RS256" as const, jwk: { ...rsa, kid: "" } }]
      const { find } = yield* StaticKeys.make({ issuers: [issuer], keys })
      assert.strictEqual((yield* find(issuer, { alg: "RS256", kid: "" })).length, 1)
      assert.strictEqual((yield* Effect.flip(find(issuer, { alg: "RS256", kid: "a" })))._tag, "JwksKeyNotFound")
    }))
})

describe("an accepted deviation", () => {
  const labels = (kind: string) => `tenant="default",provider="default",kind="${kind}"`
  const padded = JSON.stringify({ keys: [jwk("a", { x: `${jwk("a").x}=` }), jwk("b", { x: `${jwk("b").x}=\n` })] })

  it.effect("[K-28 A3] is one log line and a counter per provider and kind", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      yield* record(Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(documentOf(padded), { prefetch: false })
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.strictEqual(yield* outcome(cache, "b"), "b")
        assert.strictEqual(yield* metric("jwks_deviations_total", labels("padding")), 1)
        assert.strictEqual(yield* metric("jwks_deviations_total", labels("whitespace")), 1)
        assert.isUndefined(yield* metric("jwks_deviations_total", labels("alphabet")))
        yield* cache.refresh
        assert.strictEqual(yield* metric("jwks_deviations_total", labels("padding")), 2)
        provider.answer = keysOf("a")
        yield* cache.refresh
        assert.strictEqual(yield* metric("jwks_deviations_total", labels("padding")), 2)
      }))
      const noted = lines.filter((line) => line.includes("deviates from RFC 7518"))
      assert.strictEqual(noted.length, 2)
      assert.isTrue(noted.every((line) => line.includes("\"provider\":\"default\"")))
      for (const secret of [jwk("a").x, "\"a\""]) assert.isFalse(noted.some((line) => line.includes(secret)))
    }).pipe(Effect.scoped))

  it.effect("[K-28 A3] a member that is null is said, once for each document", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      const document = JSON.stringify({ keys: [jwk("a", { use: null, alg: null }), jwk("b", { d: null })] })
      yield* record(Effect.gen(function*() {
        const { cache } = yield* cacheOf(documentOf(document), { prefetch: false })
        assert.deepStrictEqual([yield* outcome(cache, "a"), yield* outcome(cache, "b")], ["a", "b"])
        assert.strictEqual(yield* metric("jwks_deviations_total", labels("null")), 1)
      }))
      assert.strictEqual(lines.filter((line) => line.includes("a member is null")).length, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-28 A3] leaves no series behind when its provider is gone", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(
        Effect.flatMap(cacheOf(documentOf(padded), { prefetch: false }), ({ cache }) => cache.refresh)
      )
      assert.isUndefined(yield* metric("jwks_deviations_total", labels("padding")))
    }))

  it.effect("[K-28 A3] of a static key is one log line, which names its place, and a counter", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      const key = { algorithm: "EdDSA" as const, jwk: { ...okp, x: standard(okp["x"]) } }
      yield* record(StaticKeys.make({ issuers: [issuer], keys: [{ algorithm: "RS256", jwk: rsa }, key] }))
      const noted = lines.filter((line) => line.includes("deviates"))
      assert.isTrue(noted.length >= 1 && noted.every((line) => line.includes("keys.1.jwk")))
      const series = "tenant=\"default\",provider=\"static\",kind=\"padding\""
      assert.isAtLeast((yield* metric("jwks_deviations_total", series)) ?? 0, 1)
    }))
})

describe("a key set that was fetched", () => {
  const unusable = JSON.stringify({ keys: [{ ...jwk("a"), use: "enc" }, { kty: "oct" }, { ...jwk("b"), use: "enc" }] })

  it.effect("[K-28 A8] and has no usable key says so, with how many keys were skipped and why", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      yield* record(Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(documentOf(unusable), { prefetch: false })
        const message = "The key set was fetched, but all of its keys were skipped: 3 (use: 2, symmetric: 1)"
        const error = yield* Effect.flip(cache.refresh)
        assert.deepStrictEqual([error.code, error.message], ["JWKS_INVALID", message])
        const status = yield* cache.status
        assert.deepStrictEqual([status.keys, status.lastFailure, status.skipped], [0, "JWKS_INVALID", [
          { index: 0, reason: "use" },
          { index: 1, reason: "symmetric" },
          { index: 2, reason: "use" }
        ]])
        const text = lines.join()
        assert.include(text, "Key set was fetched, but not one of its keys is usable")
        assert.include(text, message)
        assert.notInclude(text, "could not be fetched")
        provider.answer = documentOf(JSON.stringify({ keys: [jwk("a"), { kty: "oct" }] }))
        yield* cache.refresh
        assert.deepStrictEqual((yield* cache.status).skipped, [{ index: 1, reason: "symmetric" }])
        provider.answer = documentOf(unusable)
        yield* Effect.flip(cache.refresh)
        assert.strictEqual((yield* cache.status).skipped.length, 3)
      }))
    }).pipe(Effect.scoped))

  const texts: Readonly<Record<string, string>> = {
    "more than a thousand entries": `{"keys":[${"{},".repeat(1000)}{}]}`,
    "no usable key": unusable,
    "no JSON": "<html>"
  }
  for (const [name, text] of Object.entries(texts)) {
    it.effect(`[K-28 G4] with ${name} is requested once: JWKS_INVALID is not retried`, () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(documentOf(text), { prefetch: false, maxAttempts: 3 })
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
        assert.strictEqual((yield* cache.status).lastFailure, "JWKS_INVALID")
        assert.strictEqual(provider.requests.length, 1)
        yield* outcome(cache, "a")
        assert.strictEqual(provider.requests.length, 1)
      }).pipe(Effect.scoped))
  }

  it.effect("[K-28 I5] is handed out frozen: who receives it cannot change what verifies tokens", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(documentOf(jwks("a", "b")))
      const keySet = yield* cache.keySet
      const [key] = keySet.all
      const candidates = yield* cache.find(header("a"))
      const parts: ReadonlyArray<unknown> = [
        keySet,
        keySet.all,
        keySet.byKid,
        keySet.byKid.get("a"),
        ...keySet.all,
        ...keySet.all.map(({ material }) => material),
        candidates,
        ...candidates
      ]
      for (const part of parts) assert.isTrue(Object.isFrozen(part))
      assert.isDefined(key)
      // Nothing that changes a map can be reached.
      for (const name of ["clear", "delete", "set"]) assert.notProperty(keySet.byKid, name)
      assert.notProperty(key, "imported")
      assert.throws(() => Reflect.apply(Reflect.get(Map.prototype, "clear"), keySet.byKid, []), TypeError)
      assert.deepStrictEqual([...keySet.byKid.keys()], ["a", "b"])
      assert.deepStrictEqual([...keySet.byKid.values()].flat(), [...keySet.all])
      const seen: Array<unknown> = []
      keySet.byKid.forEach((keys, kid, index) => seen.push([kid, keys.length, index === keySet.byKid]))
      assert.deepStrictEqual(seen, [["a", 1, true], ["b", 1, true]])
      assert.isTrue(keySet.byKid.has("a") && keySet.byKid.size === 2)
    }).pipe(Effect.scoped))
})
