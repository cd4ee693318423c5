import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { TokenProvider } from "../src/index.ts"
import { makeEnsure } from "../src/internal/sidecar/ensure.ts"
import { down, inTurn, living, providerOf, slow } from "./tokenSupport.ts"

const begin = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

describe("tokens that the sidecar shows", () => {
  it.effect("[K-23] [R20] have a value with showTokens, unless they are bound to a key", () =>
    Effect.gen(function*() {
      for (const [tokenType, shown] of [[undefined, true], ["Bearer", true], ["DPoP", false]] as const) {
        const source = Effect.succeed({ accessToken: Redacted.make("token"), tokenType })
        const provider = yield* TokenProvider.make({ name: "api", source })
        const { token } = yield* makeEnsure(true)(provider, false)
        assert.strictEqual(token.value, shown ? "token" : undefined)
      }
    }).pipe(Effect.scoped))
})

describe("failures that the sidecar shows", () => {
  it.effect("[S2-15] a retry may help while the circuit is open, and during a shutdown", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(down, { resilience: { breaker: { failureThreshold: 1 } } })
      const ensure = makeEnsure(false)
      for (let i = 0; i < 4; i++) {
        assert.strictEqual((yield* Effect.flip(ensure(provider, false))).errorCode, "refresh_failed")
      }
      assert.strictEqual(server.times.length, 1)
      const closed = yield* Effect.scoped(providerOf(living("1 hour")))
      assert.strictEqual((yield* Effect.flip(ensure(closed.provider, false))).errorCode, "refresh_failed")
      const refused = yield* providerOf(() =>
        Effect.fail(new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED" }))
      )
      assert.strictEqual((yield* Effect.flip(ensure(refused.provider, false))).errorCode, "non_retriable")
    }).pipe(Effect.scoped))
})

describe("forced refreshes of the sidecar", () => {
  it.effect("[K-28 J10] [R13] the next one is allowed after exactly 30 seconds", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(living("1 hour"))
      const ensure = makeEnsure(false)
      yield* ensure(provider, false)
      assert.isTrue((yield* ensure(provider, true)).refreshApplied)
      yield* TestClock.adjust("29999 millis")
      assert.isFalse((yield* ensure(provider, true)).refreshApplied)
      assert.strictEqual(server.times.length, 2)
      yield* TestClock.adjust("1 millis")
      assert.isTrue((yield* ensure(provider, true)).refreshApplied)
      assert.deepStrictEqual(server.times, [0, 0, 30_000])
    }).pipe(Effect.scoped))

  it.effect("[K-28 J10] [R13] none is allowed while one is running, however long it takes", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(inTurn(living("1 hour"), slow(living("1 hour"), "20 seconds")))
      const ensure = makeEnsure(false)
      yield* ensure(provider, false)
      const forced = yield* begin(ensure(provider, true))
      yield* TestClock.adjust("10 seconds")
      for (let i = 0; i < 3; i++) assert.isFalse((yield* ensure(provider, true)).refreshApplied)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* Fiber.join(forced)).refreshApplied)
      assert.isFalse((yield* ensure(provider, true)).refreshApplied)
      assert.strictEqual(server.times.length, 2)
    }).pipe(Effect.scoped))

  it.effect("[K-28 J10] [R13] a failed one counts too, and leaves the token", () =>
    Effect.gen(function*() {
      const { provider, server } = yield* providerOf(inTurn(living("1 hour"), down))
      const ensure = makeEnsure(false)
      yield* ensure(provider, false)
      assert.strictEqual((yield* Effect.flip(ensure(provider, true))).errorCode, "refresh_failed")
      assert.isFalse((yield* ensure(provider, true)).refreshApplied)
      assert.strictEqual(server.times.length, 2)
    }).pipe(Effect.scoped))

  it.effect("[K-28 J10] [R13] each token has a separate limit, and the first acquisition is not a forced refresh", () =>
    Effect.gen(function*() {
      const one = yield* providerOf(living("1 hour"))
      const other = yield* providerOf(living("1 hour"))
      const ensure = makeEnsure(false)
      for (const { provider, server } of [one, other]) {
        assert.isTrue((yield* ensure(provider, true)).refreshApplied)
        assert.isTrue((yield* ensure(provider, true)).refreshApplied)
        assert.isFalse((yield* ensure(provider, true)).refreshApplied)
        assert.strictEqual(server.times.length, 2)
      }
    }).pipe(Effect.scoped))

  it.effect("[K-28 J10] [R23] the 30 seconds end by either clock", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      yield* Effect.gen(function*() {
        const { provider } = yield* providerOf(living("1 hour"))
        const ensure = makeEnsure(false)
        yield* ensure(provider, false)
        yield* ensure(provider, true)
        skew.millis += 29_999
        assert.isFalse((yield* ensure(provider, true)).refreshApplied)
        skew.millis += 1
        assert.isTrue((yield* ensure(provider, true)).refreshApplied)
      }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
    }))
})
