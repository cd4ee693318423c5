import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import type { TokenProvider } from "../src/index.ts"
import { type Answer, living, providerOf, textOf } from "./tokenSupport.ts"

/** A server that returns the same token until it ends, with the seconds that remain, rounded down. */
const repeating = (seconds: number): Answer => {
  let issued = -Infinity
  let number = 0
  return () =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (now - issued >= seconds * 1_000) {
        issued = now
        number++
      }
      const remaining = Math.floor((issued + seconds * 1_000 - now) / 1_000)
      return { accessToken: Redacted.make(`token-${number}`), expiresIn: Duration.seconds(remaining) }
    })
}

const lifetimes: ReadonlyArray<readonly [seconds: number, policy: TokenProvider.Options["policy"]]> = [
  [60, {}],
  [300, {}],
  [3600, {}],
  [60, { threshold: "40 seconds" }],
  [300, { buffer: "0 millis" }],
  [300, { cooldown: "0 millis", maxSkew: "0 millis" }]
]

describe("a server that returns the same token until it ends", () => {
  for (const [seconds, policy] of lifetimes) {
    it.effect(`[K-28 C6] every call of ${seconds} s gets the valid token, without a failure (${JSON.stringify(policy)})`, () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(repeating(seconds), { policy: { ...policy } })
        const obtained = new Set<string>()
        for (let at = 0; at < 3 * seconds; at += 0.5) {
          const token = yield* provider.get
          obtained.add(textOf(token))
          const expected = Math.floor(at / seconds) + 1
          // Up to the end of the token; right after it the refresh brings the next one.
          assert.strictEqual(textOf(token), `token-${expected}`, String(at))
          yield* TestClock.adjust("500 millis")
        }
        assert.deepStrictEqual([...obtained], ["token-1", "token-2", "token-3"])
        const { consecutiveFailures, counts } = yield* provider.status
        assert.deepStrictEqual([counts.failures, counts.escalations, consecutiveFailures], [0, 0, 0])
        // Half of the remainder, then half of that, down to `failureDelay`.
        assert.isAtMost(server.times.length, 3 * 12)
      }).pipe(Effect.scoped))
  }

  it.effect("[K-28 C6] a repeated token is refreshed after half of its remainder, and a newer one is used at once", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(repeating(300))
      yield* provider.get
      yield* TestClock.adjust("240 seconds")
      yield* provider.get
      yield* TestClock.adjust("29999 millis")
      yield* provider.get
      assert.deepStrictEqual(server.times, [0, 240_000])
      yield* TestClock.adjust("1 millis")
      yield* provider.get
      assert.deepStrictEqual(server.times, [0, 240_000, 270_000])
      server.answer = living("300 seconds")
      yield* TestClock.adjust("15 seconds")
      yield* provider.get
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(textOf(yield* provider.get), "token-4")
    }).pipe(Effect.scoped))

  it.effect("[K-28 C6] a repeated token that was dropped is used for its remainder too", () =>
    Effect.gen(function*() {
      const { provider } = yield* providerOf(repeating(300))
      const first = yield* provider.get
      yield* TestClock.adjust("280 seconds")
      yield* provider.invalidate(first)
      assert.strictEqual(textOf(yield* provider.get), "token-1")
    }).pipe(Effect.scoped))

  it.effect("[K-28 C6] a repeated token whose life the server extended is planned anew", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(() => living("300 seconds")(1))
      yield* provider.get
      yield* TestClock.adjust("240 seconds")
      yield* provider.get
      yield* TestClock.adjust("200 seconds")
      const token = yield* provider.get
      assert.strictEqual(token.expiresAt.wall, 540_000)
      assert.deepStrictEqual(server.times, [0, 240_000])
    }).pipe(Effect.scoped))

  it.effect("[K-28 E] a first token that lives too short is a configuration error that says what to do", () =>
    Effect.gen(function*() {
      const { provider } = yield* providerOf(living("30 seconds"))
      const error = yield* Effect.flip(provider.get)
      assert.strictEqual(error.code, "INVALID_CONFIG")
      assert.strictEqual(
        error.message,
        "The token's lifetime is 30 seconds, and the policy's minLifetime is 1 minute: let the server issue tokens that live longer, or set a lower minLifetime"
      )
      const { provider: allowed } = yield* providerOf(living("30 seconds"), { policy: { minLifetime: "1 second" } })
      assert.strictEqual(textOf(yield* allowed.get), "token-1")
      const { provider: strict } = yield* providerOf(living("300 seconds"), { policy: { threshold: "10 minutes" } })
      assert.match(
        (yield* Effect.flip(strict.get)).message,
        /threshold is 10 minutes: set a lower threshold, or buffer/
      )
    }).pipe(Effect.scoped))
})
