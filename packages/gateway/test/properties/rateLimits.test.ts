import { assert, describe, it } from "@effect/vitest"
import { RateLimits } from "@keelson/gateway"
import { forAllEffect } from "@keelson/testing/properties"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"

const store = { maxEntries: 1000, fallback: "local" } as const

interface Event {
  /** Milliseconds since the event before. */
  readonly gap: number
  readonly name: string
}

const rate = fc.record({ limit: fc.integer({ min: 1, max: 12 }), window: fc.constantFrom(1, 3, 7, 10, 100, 1000) })
const events = fc.array(
  fc.record({ gap: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(200)), name: fc.constantFrom("a", "b") }),
  { maxLength: 60 }
)

/** Runs a history and returns what was admitted and rejected, with the times in milliseconds. */
const play = Effect.fnUntraced(function*(
  algorithm: "tokenBucket" | "slidingWindow",
  { limit, window }: { readonly limit: number; readonly window: number },
  history: ReadonlyArray<Event>
) {
  const clock = yield* Clock.Clock
  const { address } = RateLimits.local(clock, store)("b", { algorithm, perAddress: `${limit} per ${window} milli` })
  const seen: Array<{ readonly at: number; readonly name: string; readonly isAdmitted: boolean }> = []
  let at = 0
  for (const { gap, name } of history) {
    at += gap
    yield* TestClock.adjust(`${gap} millis`)
    seen.push({ at, name, isAdmitted: address?.(name) === undefined })
  }
  return seen
})

describe("properties of rate limits", () => {
  it("[R39] [S4-48] a sliding window admits a request if and only if fewer than the limit were admitted in the window", (context) =>
    forAllEffect(context, 400, fc.tuple(rate, events), ([r, history]) =>
      Effect.gen(function*() {
        const seen = yield* play("slidingWindow", r, history)
        for (const [index, { at, isAdmitted, name }] of seen.entries()) {
          const earlier = seen.slice(0, index).filter((e) => e.isAdmitted && e.name === name && e.at > at - r.window)
          assert.strictEqual(isAdmitted, earlier.length < r.limit)
        }
      })))

  it("[R39] [S4-48] a token bucket admits what exact arithmetic on tokens does", (context) =>
    forAllEffect(context, 400, fc.tuple(rate, events), ([r, history]) =>
      Effect.gen(function*() {
        const seen = yield* play("tokenBucket", r, history)
        // Tokens in units of 1/window: a request costs `window`, and each millisecond brings `limit`.
        const levels = new Map<string, { level: bigint; at: number }>()
        const [limit, window] = [BigInt(r.limit), BigInt(r.window)]
        for (const { at, isAdmitted, name } of seen) {
          const before = levels.get(name) ?? { level: limit * window, at }
          const refilled = before.level + BigInt(at - before.at) * limit
          const level = refilled > limit * window ? limit * window : refilled
          assert.strictEqual(isAdmitted, level >= window)
          levels.set(name, { level: isAdmitted ? level - window : level, at })
        }
      })))

  it("[R39] Retry-After is long enough, and in whole seconds", (context) =>
    forAllEffect(
      context,
      200,
      fc.tuple(
        fc.constantFrom("tokenBucket" as const, "slidingWindow" as const),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(1, 7, 60),
        events
      ),
      ([algorithm, limit, seconds, history]) =>
        Effect.gen(function*() {
          const clock = yield* Clock.Clock
          const { address } = RateLimits.local(clock, store)("b", {
            algorithm,
            perAddress: `${limit} per ${seconds} second`
          })
          for (const { gap, name } of history) {
            yield* TestClock.adjust(`${gap * 10} millis`)
            const rejection = address?.(name)
            if (rejection === undefined) continue
            assert.isTrue(Number.isInteger(rejection.retryAfter) && rejection.retryAfter >= 1)
            yield* TestClock.adjust(`${rejection.retryAfter} seconds`)
            assert.strictEqual(address?.(name), undefined)
          }
        })
    ))
})
