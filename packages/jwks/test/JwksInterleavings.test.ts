import { assert, describe, it } from "@effect/vitest"
import { outcome, quiet } from "@keelson/testing/observe"
import { cacheOf, documentOf, header, jwks, keysOf } from "@keelson/testing/scriptedProvider"
import { Effect, Fiber, Latch, Layer, References } from "effect"
import { TestClock } from "effect/testing"
import { JwksSnapshots } from "../src/index.ts"
import { KeyImport } from "../src/internal/keys/importKey.ts"

const lazy = { prefetch: false }

describe("interleavings", () => {
  it.effect("[S1-27] [R5] all waiters for a refresh that began before a rotation get the new key", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("old"), { ...lazy, refreshJitter: "0 millis" })
      yield* cache.keySet
      const gates = [Latch.makeUnsafe(), Latch.makeUnsafe()] as const
      let asked = 0
      provider.answer = () =>
        asked++ === 0
          ? Effect.as(gates[0].await, { body: jwks("old") })
          : Effect.as(gates[1].await, { body: jwks("old", "new") })
      yield* TestClock.adjust(3_570_000)
      assert.strictEqual(asked, 1)
      const waiting = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.forkChild(outcome(cache, "new"), { startImmediately: true })
      )
      gates[0].openUnsafe()
      yield* TestClock.adjust(1)
      gates[1].openUnsafe()
      const found = yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(new Set(found), new Set(["new"]))
      assert.strictEqual(asked, 2)
    }).pipe(Effect.scoped, quiet))

  it.effect("[L5] a 304 for keys that expired meanwhile confirms nothing: the document is fetched again", () =>
    Effect.gen(function*() {
      const headers = { etag: "\"1\"", "cache-control": "max-age=60" }
      const { cache, provider } = yield* cacheOf(documentOf(jwks("a"), headers), {
        ...lazy,
        refreshEarly: "1 second",
        refreshJitter: "0 millis",
        staleWindow: "0 millis"
      })
      yield* cache.keySet
      provider.answer = (request) =>
        request.headers?.["if-none-match"] === undefined
          ? Effect.succeed({ status: 200, body: jwks("b"), headers })
          : Effect.delay(Effect.succeed({ status: 304, headers }), "2 seconds")
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* cache.status).keys, 0)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(provider.requests.map((request) => request.headers?.["if-none-match"]), [
        undefined,
        "\"1\"",
        undefined
      ])
      assert.strictEqual(yield* outcome(cache, "b"), "b")
    }).pipe(Effect.scoped, quiet))

  it.effect.each([3, 4, 5, 6, 7, 9, 11, 17])(
    "[S0-20] [L5] an invalidation is never lost between a fetch and its acceptance (yielding every %i steps)",
    (steps) =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), lazy)
        const sent = Effect.sync(() => provider.requests.length)
        const finding = yield* Effect.forkChild(Effect.exit(cache.find(header("a"))), { startImmediately: true })
        let invalidatedAt = -1
        for (let turn = 0; turn < 40 && finding.pollUnsafe() === undefined; turn++) {
          const { state } = yield* cache.status
          if (state === "Loading" && (yield* sent) === 1) {
            yield* cache.invalidate
            invalidatedAt = yield* sent
            break
          }
          yield* Effect.yieldNow
        }
        yield* Fiber.await(finding)
        if (invalidatedAt === 1) assert.isAtLeast(yield* sent, 2)
      }).pipe(Effect.scoped, quiet, Effect.provideService(References.MaxOpsBeforeYield, steps))
  )

  it.effect("[L3] an import that ends itself is a failure like others, and is tried again", () =>
    Effect.gen(function*() {
      let isBroken = true
      const fake = { type: "public", extractable: false, usages: ["verify"], algorithm: { name: "x" } } as const
      const breaking = Layer.succeed(
        KeyImport,
        () => isBroken ? Effect.interrupt : Effect.succeed<CryptoKey>({ ...fake, usages: ["verify"] })
      )
      const { cache } = yield* cacheOf(keysOf("a"), { ...lazy, maxAttempts: 1 }, breaking)
      assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
      const status = yield* cache.status
      assert.deepStrictEqual([status.state, status.errorCount], ["Empty", 1])
      isBroken = false
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome(cache, "a"), "a")
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-06] a snapshot store that dies does not prevent the fetch", () =>
    Effect.gen(function*() {
      const dying = Layer.succeed(JwksSnapshots.JwksSnapshots, {
        load: () => Effect.die("broken"),
        save: () => Effect.die("broken"),
        remove: () => Effect.die("broken")
      })
      const { cache } = yield* cacheOf(keysOf("a"), lazy, dying)
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      yield* cache.invalidate
      assert.strictEqual(yield* outcome(cache, "a"), "a")
    }).pipe(Effect.scoped, quiet))
})
