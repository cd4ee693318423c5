import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import {
  type Answer,
  cacheOf,
  documentOf,
  down,
  hanging,
  jwks,
  keysOf,
  revalidating
} from "@keelson/testing/scriptedProvider"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"

/** How the provider responds from now on. */
const answers: Record<string, Answer> = {
  "a and b": keysOf("a", "b"),
  "b alone": keysOf("b"),
  revalidating: revalidating(jwks("a", "b"), "\"1\""),
  down,
  hanging,
  html: documentOf("<html>"),
  "no keys": documentOf("{\"keys\":[]}")
}

const lookup = fc.record({
  op: fc.constant("find" as const),
  alg: fc.constantFrom("EdDSA", "EdDSA", "EdDSA", "RS256", "none"),
  kid: fc.constantFrom("a", "b", "c", undefined, "x".repeat(300))
})

/** One operation on the cache, its provider, or time. */
const operation = fc.oneof(
  { weight: 6, arbitrary: lookup },
  { weight: 2, arbitrary: fc.constant({ op: "keySet" as const }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("burst" as const), size: fc.integer({ min: 2, max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant({ op: "interrupted" as const }) },
  { weight: 1, arbitrary: fc.constant({ op: "refresh" as const }) },
  { weight: 1, arbitrary: fc.constant({ op: "invalidate" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("wait" as const), seconds: fc.constantFrom(1, 31, 600, 3600, 7200) })
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("answer" as const), answer: fc.constantFrom(...Object.keys(answers)) })
  }
)
type Operation = typeof operation extends fc.Arbitrary<infer A> ? A : never

const cases = fc.record({
  prefetch: fc.boolean(),
  operations: fc.array(operation, { minLength: 1, maxLength: 50 })
})

type Cache = Effect.Success<ReturnType<typeof cacheOf>>

/** Runs one operation to its end, and returns how many lookups it made. */
const run = ({ cache, provider }: Cache, operation: Operation): Effect.Effect<number> => {
  const ended = <A, E>(self: Effect.Effect<A, E>, lookups: number) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.exit(self), { startImmediately: true })
      // As long as a fetch may take, so that none waits for ever.
      if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(fiber)
      return lookups
    })
  switch (operation.op) {
    case "find":
      return ended(cache.find(operation), 1)
    case "keySet":
      return ended(cache.keySet, 1)
    case "burst": {
      const finds = Array.from({ length: operation.size }, (_, index) => cache.find({ alg: "EdDSA", kid: `${index}` }))
      return ended(Effect.all(finds.map(Effect.exit), { concurrency: "unbounded" }), operation.size)
    }
    case "interrupted":
      return Effect.as(
        Effect.flatMap(
          Effect.forkChild(cache.find({ alg: "EdDSA", kid: "c" }), { startImmediately: true }),
          Fiber.interrupt
        ),
        1
      )
    case "refresh":
      return ended(cache.refresh, 0)
    case "invalidate":
      return Effect.as(cache.invalidate, 0)
    case "wait":
      return Effect.as(TestClock.adjust(Duration.seconds(operation.seconds)), 0)
    case "answer":
      return Effect.sync(() => {
        provider.answer = answers[operation.answer] ?? down
        return 0
      })
  }
}

describe("Property 14: counts", () => {
  it("Property 14: [S0-13] [S0-17] [S0-18] [L7] hits and misses add up to the lookups, after each of 1 to 50 operations", async (context) => {
    const seen = new Set<string>()
    await forAllEffect(context, 120, cases, ({ operations, prefetch }) =>
      Effect.gen(function*() {
        const world = yield* cacheOf(keysOf("a", "b"), { prefetch, staleWindow: Duration.hours(2) })
        let lookups = 0
        for (const operation of operations) {
          const before = (yield* world.cache.status).metrics
          lookups += yield* run(world, operation)
          const { metrics } = yield* world.cache.status
          assert.strictEqual(metrics.hits + metrics.misses, lookups)
          assert.strictEqual(metrics.requests, lookups)
          assert.isTrue(Object.entries(before).every(([name, count]) => Reflect.get(metrics, name) >= count))
          for (const [name, count] of Object.entries(metrics)) if (count > 0) seen.add(name)
          assert.isAtMost(metrics.stale, metrics.hits)
          assert.isAtMost(metrics.notModified + metrics.errors, metrics.refreshes)
        }
      }).pipe(quiet))
    // The operations do drive the cache.
    assert.includeMembers([...seen], ["hits", "misses", "refreshes", "errors", "floodLimited"])
  })
})
