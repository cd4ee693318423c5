import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import {
  byUrl,
  documentOf,
  down,
  hanging,
  header,
  ids,
  issuer,
  jwk,
  jwks,
  keysOf,
  registryOf
} from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { Clock, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { JwksOptions } from "../src/index.ts"

const one = "https://one.example/jwks"
const two = "https://two.example/jwks"

/** Two endpoints of one issuer, `one` registered first. */
const twoEndpoints = (answers: Parameters<typeof byUrl>[0], options: Partial<JwksOptions.Options> = {}) =>
  Effect.gen(function*() {
    const { provider, registry } = yield* registryOf(byUrl(answers))
    yield* registry.put(ids("a", "one"), { issuer, url: one, ...options }, { ifAbsent: true })
    yield* registry.put(ids("a", "two"), { issuer, url: two, ...options }, { ifAbsent: true })
    yield* TestClock.adjust("1 second")
    const { find } = registry.keySource("a")
    return { provider, registry, find: (kid?: string) => find(issuer, header(kid)) }
  })

const told = ({ _tag, reason }: { readonly _tag: string; readonly reason?: unknown }) => ({ _tag, reason })

const kidsOf = (candidates: ReadonlyArray<{ readonly kid: string | undefined }>) => candidates.map(({ kid }) => kid)

describe("several endpoints of one issuer", () => {
  it.effect("[S0-19] verifies with the keys of each", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      assert.deepStrictEqual(kidsOf(yield* find("a")), ["a"])
      assert.deepStrictEqual(kidsOf(yield* find("b")), ["b"])
      assert.strictEqual(provider.requests.length, 2)
    }))

  it.effect("[S0-19] verifies with a key that is rotated in at one of them", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      provider.answer = byUrl({ [one]: keysOf("a"), [two]: keysOf("b", "c") })
      assert.deepStrictEqual(kidsOf(yield* find("c")), ["c"])
    }))

  it.effect("[S0-19] returns a key that both have once, from the endpoint registered first", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("a", "b") })
      // Once from the provider, and once from memory.
      assert.lengthOf(yield* find("a"), 1)
      const [found, ...rest] = yield* find("a")
      assert.deepStrictEqual(rest, [])
      assert.deepStrictEqual(kidsOf(yield* find("b")), ["b"])
      assert.strictEqual(found?.kid, "a")
    }))

  it.effect("[S0-19] [R4] counts the keys of replicas once, so that they are not too many", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("a", "b", "c"), [two]: keysOf("a", "b", "c") })
      assert.deepStrictEqual(kidsOf(yield* find()), ["a", "b", "c"])
      assert.deepStrictEqual(kidsOf(yield* find()), ["a", "b", "c"])
    }))

  it.effect("[S1-26] returns all keys that match a header without a kid, in the order of registration", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("b", "d"), [two]: keysOf("a", "c") })
      assert.deepStrictEqual(kidsOf(yield* find()), ["b", "d", "a", "c"])
    }))

  it.effect("[R4] rejects a header without a kid that matches more than four keys of one endpoint, whatever the others have", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("a", "b", "c", "d", "e"), [two]: keysOf("f") })
      yield* find("f")
      for (const error of [yield* Effect.flip(find()), yield* Effect.flip(find())]) {
        assert.deepInclude(error, { code: "JWKS_KEY_NOT_FOUND", reason: "ambiguous" })
      }
    }))

  it.effect("[R4] refuses a header without a name that more than four keys of them all fit", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("a", "b", "c"), [two]: keysOf("d", "e") })
      // Asked twice: once from the provider, once from memory.
      for (const error of [yield* Effect.flip(find()), yield* Effect.flip(find())]) {
        assert.deepInclude(told(error), { _tag: "JwksKeyNotFound", reason: "ambiguous" })
      }
    }))

  it.effect("[R5] is a 401 for an unknown key if each of them has a usable set", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      const error = yield* Effect.flip(find("x"))
      assert.deepInclude(told(error), { _tag: "JwksKeyNotFound", reason: "unknown" })
    }))

  it.effect("[R5] is a 503 for an unknown key while one of them has no usable set", () =>
    Effect.gen(function*() {
      const bad = [down, documentOf("<html>"), documentOf(JSON.stringify({ keys: [] }))]
      for (const [broken, fine] of [[one, two], [two, one]] as const) {
        for (const answer of bad) {
          const { find } = yield* twoEndpoints({ [broken]: answer, [fine]: keysOf("a") })
          yield* TestClock.adjust("10 seconds")
          const { exit } = yield* runOut(find("x"), "10 seconds")
          assert.strictEqual(errorOf(exit)._tag, "JwksUnavailable")
          assert.deepStrictEqual(kidsOf(yield* find("a")), ["a"])
        }
      }
    }))

  it.effect("[R5] is a 503 while the keys of one are past their stale deadline, and a 401 after they are refreshed", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      provider.answer = byUrl({ [one]: keysOf("a"), [two]: down })
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(errorOf((yield* runOut(find("x"), "10 seconds")).exit)._tag, "JwksUnavailable")
      provider.answer = byUrl({ [one]: keysOf("a"), [two]: keysOf("b") })
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(errorOf((yield* runOut(find("x"), "10 seconds")).exit)._tag, "JwksKeyNotFound")
    }))

  it.effect("[R5] is a 401 for a key that one has for another algorithm, and names that", () =>
    Effect.gen(function*() {
      const other = documentOf(JSON.stringify({ keys: [jwk("a", { alg: undefined, use: "sig" })] }))
      const { registry } = yield* twoEndpoints({ [one]: other, [two]: keysOf("b") })
      const error = yield* Effect.flip(registry.keySource("a").find(issuer, { alg: "RS256", kid: "a" }))
      assert.deepInclude(told(error), { _tag: "JwksKeyNotFound", reason: "mismatched" })
    }))

  it.effect("[R5] is a 503 if one has the key for another algorithm, and the other has no usable set", () =>
    Effect.gen(function*() {
      for (const [broken, fine] of [[one, two], [two, one]] as const) {
        const { registry } = yield* twoEndpoints({ [broken]: down, [fine]: keysOf("a") })
        yield* TestClock.adjust("10 seconds")
        const find = registry.keySource("a").find(issuer, { alg: "RS256", kid: "a" })
        assert.strictEqual(errorOf((yield* runOut(find, "10 seconds")).exit)._tag, "JwksUnavailable")
      }
    }))

  it.effect("[L7] waits for an endpoint without keys for a header without a kid, and counts once for each", () =>
    Effect.gen(function*() {
      const { find, registry } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") }, { prefetch: false })
      yield* registry.resolve(ids("a", "one"), header("a"))
      assert.deepStrictEqual(kidsOf(yield* find()), ["a", "b"])
      const counts = (yield* registry.statuses("a")).map(({ status: { metrics } }) => [metrics.hits, metrics.misses])
      assert.deepStrictEqual(counts, [[1, 1], [0, 1]])
    }))

  it.effect("[L2] does not wait for a hanging endpoint if another has the key", () =>
    Effect.gen(function*() {
      for (const [hung, fine] of [[one, two], [two, one]] as const) {
        const { find } = yield* twoEndpoints({ [hung]: hanging, [fine]: keysOf("a") })
        const fiber = yield* Effect.forkChild(find("a"), { startImmediately: true })
        assert.isTrue(fiber.pollUnsafe() !== undefined && Exit.isSuccess(yield* Fiber.await(fiber)))
      }
    }))

  it.effect("returns the keys of one endpoint for a header without a kid if the other's fetch failed", () =>
    Effect.gen(function*() {
      const { find } = yield* twoEndpoints({ [one]: hanging, [two]: keysOf("a") })
      const { exit } = yield* runOut(find(), "1 minute")
      assert.deepStrictEqual(Exit.isSuccess(exit) ? kidsOf(exit.value) : exit, ["a"])
    }))

  it.effect("fetches each of them at most once for an unknown key", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      for (const kid of ["x", "y", "z"]) yield* Effect.flip(find(kid))
      assert.deepStrictEqual(provider.requests.slice(2).map((request) => request.url), [one, two])
    }))

  it.effect("[S0-19] stops verifying with the keys of a removed endpoint, and keeps those of the others", () =>
    Effect.gen(function*() {
      const { find, registry } = yield* twoEndpoints({ [one]: keysOf("a"), [two]: keysOf("b") })
      const [candidate] = yield* find("a")
      yield* registry.remove(ids("a", "one"))
      assert.strictEqual((yield* Effect.flip(find("a")))._tag, "JwksKeyNotFound")
      assert.deepStrictEqual(kidsOf(yield* find("b")), ["b"])
      assert.isFalse(candidate?.trust.holds(yield* Clock.Clock))
      yield* registry.remove(ids("a", "two"))
      assert.strictEqual((yield* Effect.flip(find("b")))._tag, "JwksNotRegistered")
    }))

  it.effect("[L7] counts each lookup at an endpoint as its hit or its miss", () =>
    Effect.gen(function*() {
      const { find, registry } = yield* twoEndpoints({ [one]: documentOf(jwks("a")), [two]: keysOf("b") })
      yield* find("a")
      yield* find()
      yield* Effect.flip(find("x"))
      for (const { status: { metrics } } of yield* registry.statuses("a")) {
        assert.strictEqual(metrics.hits + metrics.misses, metrics.requests)
        assert.strictEqual(metrics.misses, 1)
      }
    }))
})
