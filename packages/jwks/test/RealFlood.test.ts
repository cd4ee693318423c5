import { assert, describe, it } from "@effect/vitest"
import { type Cache, cacheAt, failing, hanging, inTime, keyOrigin, sending } from "@keelson/testing/keyOrigin"
import { atOnce, outcome } from "@keelson/testing/observe"
import { jwks } from "@keelson/testing/scriptedProvider"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"

const steps = 100
const perStep = 100
const kids = 5_000

/** Seconds of the monotonic clock. */
const seconds = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1_000_000_000)

/** One step of a flood: the distinct results of its lookups, and the result of a concurrent lookup of `a`. */
const flood = Effect.fnUntraced(function*(cache: Cache, step: number) {
  const lookups = Array.from({ length: perStep }, (_, index) => outcome(cache, `${(step * perStep + index) % kids}`))
  const running = yield* Effect.forkChild(Effect.all(lookups, { concurrency: "unbounded" }), { startImmediately: true })
  const reader = yield* atOnce(outcome(cache, "a"))
  return { outcomes: [...new Set(yield* Fiber.join(running))], reader }
})

/** How many backoff windows may begin within this many seconds, if they double from one second to sixty. */
const windows = (elapsed: number): number => {
  let count = 1
  for (let [end, delay] = [1, 2]; end <= elapsed; [end, delay] = [end + delay, Math.min(60, delay * 2)]) count++
  return count
}

describe("JwksCache and a flood of unknown keys, over HTTP", () => {
  it.live("[L3] [K-02] 10,000 lookups of 5,000 kids: one fetch in each cooldown, within which a new key is found", () =>
    inTime((move) =>
      Effect.gen(function*() {
        const origin = yield* keyOrigin(sending(jwks("a")))
        const cache = yield* cacheAt(origin)
        yield* cache.keySet
        const start = yield* seconds
        let foundAt: number | undefined
        for (let step = 0; step < steps; step++) {
          if (step === 50) origin.answer = sending(jwks("a", "good"))
          const { outcomes, reader } = yield* flood(cache, step)
          assert.deepStrictEqual([outcomes, reader], [["JWKS_KEY_NOT_FOUND"], "a"])
          if (foundAt === undefined && (yield* outcome(cache, "good")) === "good") foundAt = step
          yield* move("3 seconds")
        }
        const elapsed = (yield* seconds) - start
        const asked = origin.requests.length - 1
        assert.isAtMost(asked, Math.ceil(elapsed / 30))
        assert.isAtLeast(asked, 5)
        assert.isAtLeast(foundAt ?? -1, 50)
        assert.isAtMost(foundAt ?? steps, 60)
      })
    ))

  const hurried = { attemptTimeout: "100 millis", deadline: "100 millis" } as const
  const outages = [
    ["refuses connections", undefined, {}],
    ["responds with 503", failing(503), {}],
    ["hangs", hanging, hurried]
  ] as const

  it.live.each(outages)("[L3] [K-02] [L2] 10,000 lookups while it %s: one fetch in each window of backoff", (
    [, answer, options]
  ) =>
    inTime((move) =>
      Effect.gen(function*() {
        const life = yield* Scope.make()
        const origin = yield* Scope.provide(keyOrigin(sending(jwks("a"))), life)
        yield* Effect.addFinalizer(() => Scope.close(life, Exit.void))
        // Without a cooldown for unknown keys only that of failures is left.
        const cache = yield* cacheAt(origin, { ...options, negativeCacheTtl: "0 millis" })
        yield* Effect.eventually(cache.refresh)
        const before = { requests: origin.requests.length, errors: (yield* cache.status).metrics.errors }
        if (answer === undefined) yield* Scope.close(life, Exit.void)
        else origin.answer = answer
        const start = yield* seconds
        for (let step = 0; step < steps; step++) {
          const { outcomes, reader } = yield* flood(cache, step)
          assert.deepStrictEqual([outcomes, reader], [["JWKS_UNAVAILABLE"], "a"])
          yield* move("1 second")
        }
        const elapsed = (yield* seconds) - start
        const fetches = (yield* cache.status).metrics.errors - before.errors
        assert.isAtMost(fetches, windows(elapsed))
        assert.isAtLeast(fetches, 4)
        assert.isAtMost(origin.requests.length - before.requests, windows(elapsed))
      })
    ))
})
