import { assert, describe, it } from "@effect/vitest"
import { atOnce, outcome, quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { type Answer, cacheOf, down, jwks, keysOf } from "@keelson/testing/scriptedProvider"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"

const plain = { maxAttempts: 1, refreshJitter: Duration.zero } as const
const hour = 3_600_000

/** Responds after a second. */
const slow = (...kids: ReadonlyArray<string>): Answer => () =>
  Effect.delay(Effect.succeed({ body: jwks(...kids) }), "1 second")

/** When each waiter starts and is interrupted, in milliseconds; never later than the response. */
const waiters = fc.array(fc.tuple(fc.nat(900), fc.nat(900)), { minLength: 1, maxLength: 99 })

const step = <A extends string>(op: A, seconds: ReadonlyArray<number>) =>
  fc.record({ op: fc.constant(op), seconds: fc.constantFrom(...seconds) })

describe("Laws", () => {
  it("[L1] [S1-10] one request, whichever of 100 cold waiters are interrupted and when; the last one gets its key", (context) =>
    forAllEffect(context, 100, waiters, (patterns) =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(slow("a"), { prefetch: false })
        const last = yield* Effect.forkChild(Effect.andThen(Effect.sleep(900), outcome(cache, "a")))
        for (const [from, until] of patterns) {
          const waiter = yield* Effect.forkChild(Effect.andThen(Effect.sleep(from), outcome(cache, "a")))
          yield* Effect.forkChild(Effect.andThen(Effect.sleep(until), Fiber.interrupt(waiter)))
        }
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Fiber.join(last), "a")
        assert.deepStrictEqual([provider.requests.length, provider.interrupted()], [1, 0])
      }).pipe(quiet)))

  it("[L1] [L8] [R28] whenever the scope closes, the request ends, and each waiter gets its key or fails", (context) =>
    forAllEffect(
      context,
      100,
      fc.tuple(fc.nat(1200), fc.integer({ min: 1, max: 20 })),
      ([closes, count]) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const { cache, provider } = yield* Scope.provide(cacheOf(slow("a"), { prefetch: false }), scope)
          const lookups = yield* Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) => Effect.forkChild(Effect.andThen(Effect.sleep(index * 60), outcome(cache, "a")))
          )
          yield* TestClock.adjust(closes)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(provider.underWay(), 0)
          const requests = provider.requests.length
          yield* TestClock.adjust("10 days")
          const outcomes = yield* Effect.forEach(lookups, Fiber.join)
          assert.isTrue(outcomes.every((found) => ["a", "JWKS_UNAVAILABLE"].includes(found)))
          assert.strictEqual(provider.requests.length, requests)
        })
    ))

  it("[L2] [L3] [K-02] unknown keys, failures and the schedule each keep their limit, and a cached key is returned at once", (context) => {
    const operations = fc.array(
      fc.oneof(
        fc.record({ op: fc.constant("unknown" as const), kid: fc.integer({ min: 1, max: 5 }).map((id) => `u${id}`) }),
        step("wait", [1, 2, 5, 20, 31, 61, 600]),
        fc.record({
          op: fc.constant("provider" as const),
          answer: fc.constantFrom(down, keysOf("a", "u5"), keysOf("a"))
        })
      ),
      { minLength: 1, maxLength: 40 }
    )
    return forAllEffect(context, 150, operations, (operations) =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(keysOf("a"), plain)
        const attempts: Array<{ at: number; forUnknown: boolean; failed: boolean }> = []
        let answer: Answer = keysOf("a")
        provider.answer = (request) =>
          Effect.tap(Effect.exit(answer(request)), (exit) =>
            Effect.sync(() =>
              attempts.push({
                at: provider.times.at(-1) ?? 0,
                forUnknown: request.headers?.["cache-control"] === "no-cache",
                failed: Exit.isFailure(exit)
              })
            )).pipe(Effect.flatten)
        yield* cache.keySet
        for (const operation of operations) {
          if (operation.op === "unknown") assert.isDefined(yield* atOnce(outcome(cache, operation.kid)))
          if (operation.op === "wait") yield* TestClock.adjust(Duration.seconds(operation.seconds))
          if (operation.op === "provider") answer = operation.answer
          const isHeld = (yield* Clock.currentTimeMillis) < trustedUntil(attempts)
          if (isHeld) assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
        }
        assertLimits(attempts)
      }).pipe(quiet))
  })

  it("[L4] [L6] [S1-13] [R23] keys serve exactly until the stale deadline of the clock that is there first, then it is a 503", (context) => {
    const operations = fc.array(
      fc.oneof(
        step("both", [1, 60, 600, 1800, 3599, 3660]),
        step("wall", [1, 30, 31, 600, 3600, 3660, 86_400]),
        step("back", [1, 3600, 86_400]),
        fc.record({ op: fc.constant("provider" as const), isUp: fc.boolean() })
      ),
      { minLength: 1, maxLength: 30 }
    )
    return forAllEffect(context, 200, operations, (operations) =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        const confirmed = { monotonic: 0, wall: 0 }
        const at = () => ({
          monotonic: Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
          wall: clock.currentTimeMillisUnsafe()
        })
        const up: Answer = () => Effect.sync(() => (Object.assign(confirmed, at()), { body: jwks("a") }))
        const run = Effect.gen(function*() {
          const { cache, provider } = yield* cacheOf(up, plain)
          const [candidate] = yield* cache.find({ alg: "EdDSA", kid: "a" })
          let isUp = true
          for (const operation of operations) {
            if (operation.op === "both") yield* TestClock.adjust(Duration.seconds(operation.seconds))
            if (operation.op === "wall") skew.millis += operation.seconds * 1000
            if (operation.op === "back") skew.millis -= operation.seconds * 1000
            if (operation.op === "provider") isUp = operation.isUp
            provider.answer = isUp ? up : down
            const now = at()
            const isTrusted = now.monotonic < confirmed.monotonic + hour + 60_000 &&
              now.wall < confirmed.wall + hour + 60_000
            if (!isTrusted) {
              assert.isFalse(candidate?.trust.holds(clock))
              // Expired keys do not return when the wall clock is set back.
              Object.assign(confirmed, { monotonic: -Infinity, wall: -Infinity })
            }
            const found = yield* atOnce(outcome(cache, "a"))
            if (isTrusted || !isUp) assert.strictEqual(found, isTrusted ? "a" : "JWKS_UNAVAILABLE")
          }
        })
        yield* Effect.provideService(run, Clock.Clock, clock)
      }).pipe(quiet))
  })

  it("[L5] [K-04] after each refresh exactly the keys of the last good set are found, and no other is trusted", (context) => {
    const sets = fc.array(
      fc.oneof(
        fc.uniqueArray(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 4 }),
        fc.constant(undefined)
      ),
      { minLength: 1, maxLength: 10 }
    )
    return forAllEffect(context, 150, sets, (sets) =>
      Effect.gen(function*() {
        let published: ReadonlyArray<string> = ["a"]
        const { cache, provider } = yield* cacheOf(keysOf(...published), plain)
        for (const next of sets) {
          const before = yield* Effect.forEach(published, (kid) => cache.find({ alg: "EdDSA", kid }))
          provider.answer = next === undefined ? down : keysOf(...next)
          yield* Effect.exit(cache.refresh)
          const isSame = next === undefined || next.join() === published.join()
          published = next ?? published
          const clock = yield* Clock.Clock
          for (const [candidate] of before) assert.strictEqual(candidate?.trust.holds(clock), isSame)
          for (const kid of ["a", "b", "c", "d"]) {
            assert.strictEqual((yield* outcome(cache, kid)) === kid, published.includes(kid))
          }
        }
      }).pipe(quiet))
  })
})

interface Attempt {
  readonly at: number
  readonly forUnknown: boolean
  readonly failed: boolean
}

/** The stale deadline of the last received set. */
const trustedUntil = (attempts: ReadonlyArray<Attempt>): number =>
  (attempts.findLast(({ failed }) => !failed)?.at ?? -Infinity) + hour + 60_000

/** Unknown keys fetch once in 30 s; after a failure nothing fetches during its backoff; the schedule waits half a lifetime. */
const assertLimits = (attempts: ReadonlyArray<Attempt>): void => {
  const unknown = attempts.filter(({ forUnknown }) => forUnknown)
  unknown.slice(1).forEach(({ at }, index) => assert.isAtLeast(at - (unknown[index]?.at ?? 0), 30_000))
  let failures = 0
  attempts.forEach(({ at, failed, forUnknown }, index) => {
    const before = attempts[index - 1]
    if (before !== undefined && failures > 0) {
      assert.isAtLeast(at - before.at, Math.min(1000 * 2 ** (failures - 1), 60_000))
    } else if (before !== undefined && !forUnknown) {
      assert.isAtLeast(at - before.at, hour / 2)
    }
    failures = failed ? failures + 1 : 0
  })
}
