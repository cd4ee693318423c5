import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { eventsOf, quiet } from "@keelson/testing/observe"
import { cacheOf, hanging, header, jwks, keysOf, revalidating, statusOf } from "@keelson/testing/scriptedProvider"
import { Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { KeyImport } from "../src/internal/keys/importKey.ts"

const lazy = { prefetch: false }
/** No jitter, so that times are exact. */
const exact = { ...lazy, retryJitter: "none", refreshJitter: "0 millis" } as const

describe("fetchKeySet", () => {
  it.effect("[S1-16] the next attempt waits for the provider's Retry-After if the deadline allows it", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(statusOf(429, { "retry-after": "3" }), { ...exact, maxAttempts: 2 })
      const fiber = yield* Effect.forkChild(Effect.exit(cache.refresh), { startImmediately: true })
      yield* TestClock.adjust(2999)
      assert.strictEqual(provider.requests.length, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(provider.requests.length, 2)
      yield* Fiber.await(fiber)
    }).pipe(Effect.scoped, quiet))

  it.effect("[S1-16] a provider that never responds fails with TIMEOUT and its message", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(hanging, lazy)
      const fiber = yield* Effect.forkChild(Effect.exit(cache.refresh), { startImmediately: true })
      // A second past the deadline, which falls between two ticks of a delay that was drawn.
      yield* TestClock.adjust("9 seconds")
      const error = errorOf(yield* Fiber.join(fiber))
      assert.deepInclude(error, { code: "TIMEOUT", message: "Key set request timed out" })
    }).pipe(Effect.scoped, quiet))

  it.effect("a defect is a failure that shows nothing of it in its message", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(() => Effect.die(new Error("secret")), { ...lazy, maxAttempts: 1 })
      const error = errorOf(yield* Effect.exit(cache.refresh))
      assert.deepInclude(error, { code: "NETWORK_ERROR", message: "Key set fetch ended with a defect" })
    }).pipe(Effect.scoped, quiet))

  it.effect("[S1-24] an unsolicited 304 is a failure that names it", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(statusOf(304), { ...lazy, maxAttempts: 1 })
      const error = errorOf(yield* Effect.exit(cache.refresh))
      assert.deepInclude(error, {
        code: "JWKS_INVALID",
        message: "Provider responded with status 304 to a request without validators"
      })
    }).pipe(Effect.scoped, quiet))

  it.effect("[L5] generations go on after an invalidation", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"), lazy)
      const generations: Array<number> = []
      for (const kids of [["a"], ["a", "b"], ["b"]]) {
        provider.answer = keysOf(...kids)
        yield* cache.refresh
        generations.push((yield* cache.keySet).generation)
        yield* cache.invalidate
      }
      assert.deepStrictEqual(generations, [1, 2, 3])
    }).pipe(Effect.scoped, quiet))

  it.effect("an algorithm for which the import fails is tried once, and gives no candidate", () =>
    Effect.gen(function*() {
      const tried: Array<string> = []
      const key = { type: "public", extractable: false, usages: ["verify"], algorithm: { name: "x" } } as const
      const picky = Layer.succeed(KeyImport, (_, alg) => {
        tried.push(alg)
        return alg === "EdDSA" ? Effect.succeed<CryptoKey>({ ...key, usages: ["verify"] }) : Effect.fail("refused")
      })
      const { cache } = yield* cacheOf(keysOf("a"), lazy, picky)
      for (const _ of [1, 2, 3]) {
        const error = errorOf(yield* Effect.exit(cache.find({ alg: "Ed25519", kid: "a" })))
        assert.deepInclude(error, { code: "JWKS_KEY_NOT_FOUND", reason: "mismatched" })
      }
      assert.strictEqual((yield* cache.find(header("a"))).length, 1)
      assert.deepStrictEqual(tried, ["EdDSA", "Ed25519"])
    }).pipe(Effect.scoped, quiet))
})

describe("events of a fetch", () => {
  /** The events of a refresh with a document other than the cached one. */
  const refreshEvents = (before: ReadonlyArray<string>, after: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(revalidating(jwks(...before), "\"1\""), exact)
      yield* cache.keySet
      const events = yield* eventsOf(cache)
      if (before !== after) provider.answer = revalidating(jwks(...after), "\"2\"")
      yield* cache.refresh
      yield* TestClock.adjust(Duration.zero)
      return events.map((event) =>
        event._tag === "Changed" ? event.cause : "count" in event ? `${event._tag} ${event.count}` : event._tag
      )
    }).pipe(Effect.scoped, quiet)

  const same = ["a", "b"]

  it.effect("[S1-09] [S1-08] a 304 is reported as such, with its cause, and changes no keys", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* refreshEvents(same, same), ["forced", "notModified", "NotModified"])
    }))

  it.effect.each(
    [
      [["a"], ["a", "b", "c"], ["KeysAdded 2"]],
      [["a", "b"], ["b"], ["KeysRemoved 1"]],
      [["a", "b"], ["b", "c"], ["KeysAdded 1", "KeysRemoved 1"]],
      [["a", "b"], ["b", "a"], []]
    ] as const
  )(
    "keys that came and went are counted, and only those: %j, then %j",
    ([before, after, counts]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* refreshEvents(before, after), ["forced", "loaded", "Refreshed", ...counts])
      })
  )
})
