import { assert, describe, it } from "@effect/vitest"
import type { KeySource } from "@keelson/jwks"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { audienceMismatch, signatureInvalid } from "../src/internal/validation/reasons.ts"
import {
  type CacheLimits,
  isUsable,
  type KeyNames,
  TokenCache,
  type VerifiedToken
} from "../src/internal/validation/tokenCache.ts"

const minute = 60_000

/** Trust that a test can withdraw. */
const trustOf = () => {
  const state = { holds: true, asked: new Array<Clock.Clock>() }
  const trust: KeySource.KeyTrust = {
    generation: 1,
    holds: (clock) => {
      state.asked.push(clock)
      return state.holds
    },
    staleDeadline: () => undefined
  }
  return { state, trust }
}

const registered = {
  iss: "https://idp.example",
  sub: undefined,
  aud: [],
  exp: 0,
  nbf: undefined,
  iat: undefined,
  jti: undefined,
  sid: undefined,
  cnf: undefined,
  client_id: undefined,
  scope: undefined,
  scopes: []
}

/** An entry that is valid for one minute from time 0. */
const entryOf = (value: string, more: Partial<VerifiedToken<string>> = {}): VerifiedToken<string> => ({
  issuer: { keysOf: "https://idp.example" },
  exit: Exit.succeed(value),
  value,
  registered,
  members: {},
  alg: "RS256",
  trust: trustOf().trust,
  key: { place: 1, candidates: 1 },
  window: { begins: 0, ends: minute },
  endsAt: BigInt(minute) * 1_000_000n,
  size: 100,
  ...more
})

const cacheOf = (limits: Partial<CacheLimits> = {}) =>
  new TokenCache<string>({ maxEntries: 10, maxBytes: 1_000_000, ...limits })

const always = () => true

describe("entries", () => {
  it.effect("[K-05] are found by the hash they were put in under, and by no other", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      const entry = entryOf("a")
      cache.set("one", entry)
      assert.strictEqual(cache.get("one", clock), entry)
      assert.isUndefined(cache.get("another", clock))
    }))

  it.effect("[R6] [T3] the trust in their key is checked on every hit", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      const { state, trust } = trustOf()
      cache.set("one", entryOf("a", { trust }))
      cache.get("one", clock)
      cache.get("one", clock)
      assert.deepStrictEqual(state.asked, [clock, clock])
      state.holds = false
      assert.isUndefined(cache.get("one", clock))
      assert.strictEqual(cache.entries, 0)
      state.holds = true
      assert.isUndefined(cache.get("one", clock))
    }))

  it.effect("[R6] [T3] end at the millisecond at which their window ends, and are gone then", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      cache.set("one", entryOf("a"))
      yield* TestClock.adjust(minute - 1)
      assert.isDefined(cache.get("one", clock))
      yield* TestClock.adjust(1)
      assert.isUndefined(cache.get("one", clock))
      assert.strictEqual(cache.entries, 0)
      assert.strictEqual(cache.bytes, 0)
    }))

  it.effect("[R6] are not used before their window begins", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const early = entryOf("a", { window: { begins: 1000, ends: minute } })
      yield* TestClock.adjust(999)
      assert.isFalse(isUsable(early, clock))
      yield* TestClock.adjust(1)
      assert.isTrue(isUsable(early, clock))
    }))

  it.effect("[R23] [R29] end on the monotonic clock where the wall clock was set back", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const cache = cacheOf()
      cache.set("one", entryOf("a"))
      skew.millis = -minute / 2
      yield* TestClock.adjust(minute - 1)
      assert.isDefined(cache.get("one", clock))
      yield* TestClock.adjust(1)
      assert.isUndefined(cache.get("one", clock))
    }))

  it.effect("[R23] end on the wall clock where a machine was suspended", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const cache = cacheOf()
      cache.set("one", entryOf("a"))
      skew.millis = minute - 1
      assert.isDefined(cache.get("one", clock))
      skew.millis = minute
      assert.isUndefined(cache.get("one", clock))
    }))
})

describe("bounds", () => {
  it.effect("[R6] [K-05] keeps as many entries as it may, those used last", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf({ maxEntries: 3 })
      for (const name of ["a", "b", "c"]) cache.set(name, entryOf(name))
      cache.get("a", clock)
      cache.set("d", entryOf("d"))
      assert.strictEqual(cache.entries, 3)
      assert.isUndefined(cache.get("b", clock))
      for (const name of ["a", "c", "d"]) assert.strictEqual(cache.get(name, clock)?.value, name)
    }))

  it.effect("[R6] [K-05] keeps as many bytes as it may, and counts them", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf({ maxBytes: 1000 })
      cache.set("a", entryOf("a", { size: 400 }))
      cache.set("b", entryOf("b", { size: 600 }))
      assert.strictEqual(cache.bytes, 1000)
      cache.get("a", clock)
      cache.set("c", entryOf("c", { size: 1 }))
      assert.isUndefined(cache.get("b", clock))
      assert.strictEqual(cache.bytes, 401)
      assert.strictEqual(cache.entries, 2)
      cache.set("a", entryOf("a", { size: 300 }))
      assert.strictEqual(cache.bytes, 301)
    }))

  it.effect("[R6] does not keep an entry that alone is too large, and evicts no other for it", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf({ maxBytes: 1000 })
      cache.set("a", entryOf("a"))
      cache.set("large", entryOf("large", { size: 1001 }))
      assert.isUndefined(cache.get("large", clock))
      assert.strictEqual(cache.get("a", clock)?.value, "a")
      cache.set("full", entryOf("full", { size: 1000 }))
      assert.strictEqual(cache.get("full", clock)?.value, "full")
    }))

  it("[R6] [K-05] the names of a token are kept up to a length, so that hostile ones take little memory", () => {
    const cache = new TokenCache<string>({ maxEntries: 10, maxBytes: 65_536 })
    const namesOf = (kid: string, tid: string | undefined): KeyNames => ({
      header: { alg: "ES256", kid, typ: "at+jwt" },
      issuer: entryOf("a").issuer,
      members: tid === undefined ? {} : { tid },
      registered
    })
    cache.setKeyNames("short", namesOf("k".repeat(256), "t".repeat(256)))
    assert.strictEqual(cache.keyNames("short")?.header.kid, "k".repeat(256))
    cache.setKeyNames("long kid", namesOf("k".repeat(513), undefined))
    assert.isUndefined(cache.keyNames("long kid"))
    cache.setKeyNames("long tenant", namesOf("k", "t".repeat(16_000)))
    assert.isUndefined(cache.keyNames("long tenant"))
  })

  it.effect("[R6] clear deletes entries and rejections", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      cache.set("a", entryOf("a"))
      cache.reject("b", signatureInvalid, [], clock, always)
      cache.clear()
      assert.strictEqual(cache.entries, 0)
      assert.strictEqual(cache.bytes, 0)
      assert.isUndefined(cache.get("a", clock))
      assert.isUndefined(cache.rejection("b", clock))
    }))
})

describe("rejections", () => {
  it.effect("[R6] are kept for ten seconds, by hash, and separately from entries", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      cache.reject("a", signatureInvalid, [trustOf().trust], clock, always)
      assert.strictEqual(cache.rejection("a", clock), signatureInvalid)
      assert.isUndefined(cache.rejection("b", clock))
      assert.isUndefined(cache.get("a", clock))
      assert.strictEqual(cache.entries, 0)
      yield* TestClock.adjust(9999)
      assert.strictEqual(cache.rejection("a", clock), signatureInvalid)
      yield* TestClock.adjust(1)
      assert.isUndefined(cache.rejection("a", clock))
    }))

  it.effect("[R6] [R23] the ten seconds are counted on the clock that is ahead", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const cache = cacheOf()
      cache.reject("suspended", signatureInvalid, [], clock, always)
      skew.millis = 9999
      assert.isDefined(cache.rejection("suspended", clock))
      skew.millis = 10_000
      assert.isUndefined(cache.rejection("suspended", clock))
      skew.millis = 0
      cache.reject("set back", signatureInvalid, [], clock, always)
      skew.millis = -minute
      yield* TestClock.adjust(9999)
      assert.isDefined(cache.rejection("set back", clock))
      yield* TestClock.adjust(1)
      assert.isUndefined(cache.rejection("set back", clock))
    }))

  it.effect("[R6] [K-04] end with the trust in any of the tried keys", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      const one = trustOf()
      const other = trustOf()
      cache.reject("a", signatureInvalid, [one.trust, other.trust], clock, always)
      assert.strictEqual(cache.rejection("a", clock), signatureInvalid)
      other.state.holds = false
      assert.isUndefined(cache.rejection("a", clock))
      other.state.holds = true
      assert.isUndefined(cache.rejection("a", clock))
    }))

  it.effect("[R6] end when the reason changes with the wall clock", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      const cache = cacheOf()
      cache.reject("a", audienceMismatch, [], clock, (now) => now < 5000)
      skew.millis = 4999
      assert.strictEqual(cache.rejection("a", clock), audienceMismatch)
      skew.millis = 5000
      assert.isUndefined(cache.rejection("a", clock))
    }))

  it.effect("[R6] are a thousand at most, those used last, whatever entries there may be", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf({ maxEntries: 1 })
      cache.set("entry", entryOf("entry"))
      for (let index = 0; index < 1000; index++) cache.reject(`r${index}`, signatureInvalid, [], clock, always)
      assert.isDefined(cache.rejection("r0", clock))
      cache.reject("one more", signatureInvalid, [], clock, always)
      assert.isUndefined(cache.rejection("r1", clock))
      for (const name of ["r0", "r2", "r999", "one more"]) assert.isDefined(cache.rejection(name, clock), name)
      assert.isDefined(cache.get("entry", clock))
    }))

  it.effect("[R6] a flood of tokens without keys evicts no other rejection, nor the other way round", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const cache = cacheOf()
      const { trust } = trustOf()
      cache.reject("with keys", signatureInvalid, [trust], clock, always)
      for (let index = 0; index < 1000; index++) cache.reject(`r${index}`, audienceMismatch, [], clock, always)
      assert.strictEqual(cache.rejection("with keys", clock), signatureInvalid)
      for (let index = 0; index < 1000; index++) cache.reject(`k${index}`, signatureInvalid, [trust], clock, always)
      assert.isUndefined(cache.rejection("with keys", clock))
      assert.strictEqual(cache.rejection("r0", clock), audienceMismatch)
    }))
})
