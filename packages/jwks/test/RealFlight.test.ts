import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import {
  type Cache,
  cacheAt,
  hanging,
  inParts,
  keyOrigin,
  localEgress,
  sending,
  stalling
} from "@keelson/testing/keyOrigin"
import { outcome } from "@keelson/testing/observe"
import { header, jwks } from "@keelson/testing/scriptedProvider"
import { Effect, Exit, Fiber, Layer, Random, Scope } from "effect"

const waiters = (cache: Cache, count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.forkChild(outcome(cache, "a"), { startImmediately: true })
  )

/** Begins a call, which ends with a code. */
const ended = <A, E extends { readonly code: string }>(call: Effect.Effect<A, E>) =>
  Effect.forkChild(Effect.match(call, { onSuccess: () => "none", onFailure: ({ code }) => code }), {
    startImmediately: true
  })

describe("JwksCache and many callers, over HTTP", () => {
  it.live.each([false, true])(
    "[S1-10] [L1] 1,000 cold callers at once: one request, prefetched or not (%s)",
    (prefetch) =>
      Effect.gen(function*() {
        const origin = yield* keyOrigin(sending(jwks("a")))
        const cache = yield* cacheAt(origin, { prefetch })
        const callers = Array.from(
          { length: 1_000 },
          (_, index) => index % 2 === 0 ? outcome(cache, "a") : cache.keySet
        )
        assert.lengthOf(yield* Effect.all(callers, { concurrency: "unbounded" }), 1_000)
        assert.strictEqual(yield* outcome(cache, "a"), "a")
        assert.strictEqual(origin.requests.length, 1)
        assert.deepInclude((yield* cache.status).metrics, { requests: 1_001, hits: 1, misses: 1_000 })
      })
  )

  it.live("[S1-10] [L1] 99 of 100 cold waiters interrupted at random points: one request, the last gets its key", () =>
    Effect.gen(function*() {
      const parts = inParts(jwks("a"))
      const origin = yield* keyOrigin(parts.handle)
      const cache = yield* cacheAt(origin)
      const others = yield* waiters(cache, 99)
      const [last] = yield* waiters(cache, 1)
      const points = yield* Effect.forEach(others, () => Random.nextIntBetween(0, 3))
      const interrupt = (point: number) => Fiber.interruptAll(others.filter((_, index) => points[index] === point))
      yield* interrupt(0)
      yield* eventually(() => origin.requests.length === 1)
      yield* interrupt(1)
      yield* parts.begin
      yield* interrupt(2)
      yield* interrupt(3)
      assert.isUndefined(last?.pollUnsafe())
      yield* parts.end
      assert.strictEqual(last === undefined ? "none" : yield* Fiber.join(last), "a")
      assert.deepStrictEqual([origin.requests.length, origin.connections()], [1, 1])
    }))

  it.live("[L1] if the only waiter is interrupted, the request continues, and the next lookup gets its key", () =>
    Effect.gen(function*() {
      const parts = inParts(jwks("a"))
      const origin = yield* keyOrigin(parts.handle)
      const cache = yield* cacheAt(origin)
      const only = yield* waiters(cache, 1)
      yield* eventually(() => origin.requests.length === 1)
      yield* Fiber.interruptAll(only)
      yield* parts.begin
      yield* parts.end
      assert.strictEqual(yield* outcome(cache, "a"), "a")
      assert.strictEqual(origin.requests.length, 1)
    }))

  it.live.each(
    [["before the answer", hanging], ["in its middle", stalling("{\"keys\":")]] as const
  )(
    "[L1] [L8] [R28] the end of the scope %s closes the connection, and fails who waits at once",
    ([, answer]) =>
      Effect.gen(function*() {
        const origin = yield* keyOrigin(answer)
        // Of another scope, so that it is the cache that ends the request.
        const egress = Layer.succeedContext(yield* Layer.build(localEgress))
        const life = yield* Scope.make()
        const cache = yield* Scope.provide(cacheAt(origin, {}, egress), life)
        const waiting = yield* Effect.all([
          ended(cache.find(header("a"))),
          ended(cache.keySet),
          ended(cache.refresh)
        ])
        yield* eventually(() => origin.requests.length === 1)
        yield* Scope.close(life, Exit.void)
        const codes = yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber))
        assert.deepStrictEqual(codes, ["JWKS_UNAVAILABLE", "JWKS_UNAVAILABLE", "SHUTTING_DOWN"])
        yield* eventually(() => origin.open() === 0)
      })
  )
})
