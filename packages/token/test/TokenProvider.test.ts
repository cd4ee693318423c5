import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Redacted, References } from "effect"
import { TestClock } from "effect/testing"
import { AcquiredToken } from "../src/index.ts"
import { down, failure, hanging, inTurn, living, providerOf, slow, textOf } from "./tokenSupport.ts"

/** Forks an effect and runs it until it waits. */
const begin = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

describe("TokenProvider", () => {
  describe("get", () => {
    it.effect("[S2-01] [S2-03] acquires once, and returns the same token until it is due", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("1000 seconds"))
        assert.strictEqual(server.times.length, 0)
        const first = yield* provider.get
        assert.strictEqual(textOf(first), "token-1")
        yield* TestClock.adjust("879 seconds")
        assert.strictEqual(yield* provider.get, first)
        assert.strictEqual(server.times.length, 1)
      }).pipe(Effect.scoped))

    const lifetimes = [[1000, 120], [300, 60], [600, 120], [60, 12]] as const
    for (const [lifetime, threshold] of lifetimes) {
      it.effect(`[S2-02] [S2-08] refreshes a token of ${lifetime} s once ${threshold} s remain, and not before`, () =>
        Effect.gen(function*() {
          const { provider, server } = yield* providerOf(living(`${lifetime} seconds`))
          yield* provider.get
          yield* TestClock.adjust((lifetime - threshold) * 1000 - 1)
          yield* provider.get
          assert.strictEqual(server.times.length, 1)
          yield* TestClock.adjust(1)
          yield* provider.get
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(server.times, [0, (lifetime - threshold) * 1000])
          assert.strictEqual(textOf(yield* provider.get), "token-2")
        }).pipe(Effect.scoped))
    }

    it.effect("[K-10] [S2-09] returns the valid token at once while a new one is being acquired", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(
          inTurn(living("300 seconds"), slow(living("300 seconds"), "20 seconds"))
        )
        const first = yield* provider.get
        yield* TestClock.adjust("240 seconds")
        for (let i = 0; i < 3; i++) assert.strictEqual(yield* provider.get, first)
        assert.isTrue(first.refreshInProgress)
        assert.strictEqual((yield* provider.status).state, "Refreshing")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(textOf(yield* provider.get), "token-2")
        assert.isFalse(first.refreshInProgress)
        assert.strictEqual(server.times.length, 2)
      }).pipe(Effect.scoped))

    it.effect("[T4] [S2-09] concurrent callers cause one acquisition, and all get its token", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(slow(living("300 seconds"), "2 seconds"))
        const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () => begin(provider.get))
        yield* TestClock.adjust("2 seconds")
        const tokens = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(new Set(tokens.map(textOf)), new Set(["token-1"]))
        assert.strictEqual(server.times.length, 1)
      }).pipe(Effect.scoped))

    it.effect("[S2-09] no caller gets an expired token: all wait for the new one", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(slow(living("300 seconds"), "2 seconds"))
        const first = yield* begin(provider.get)
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(first)
        // The token counts as expired 30 seconds early.
        yield* TestClock.adjust("268 seconds")
        assert.strictEqual((yield* provider.status).state, "Invalid")
        const fibers = yield* Effect.forEach(Array.from({ length: 5 }), () => begin(provider.get))
        yield* TestClock.adjust("2 seconds")
        const tokens = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(new Set(tokens.map(textOf)), new Set(["token-2"]))
      }).pipe(Effect.scoped))

    it.effect("[K-10] returns a valid token while the server is down, and retries at growing intervals", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("300 seconds"), down))
        const first = yield* provider.get
        yield* TestClock.adjust("240 seconds")
        for (let i = 0; i < 29; i++) {
          assert.strictEqual(yield* provider.get, first)
          yield* TestClock.adjust("1 second")
        }
        // After 1, 2, 4, 8 seconds, and so on.
        assert.deepStrictEqual(server.times.slice(1), [240_000, 241_000, 243_000, 247_000, 255_000])
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "TOKEN_REFRESH_FAILED")
      }).pipe(Effect.scoped))

    it.effect("interrupting a caller affects neither other callers nor the acquisition", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(slow(living("300 seconds"), "2 seconds"))
        const first = yield* begin(provider.get)
        const second = yield* begin(provider.get)
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(textOf(yield* Fiber.join(second)), "token-1")
        assert.strictEqual(server.times.length, 1)
      }).pipe(Effect.scoped))

    it.effect("[S3-25] has no retry and no breaker unless configured", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(down)
        for (let i = 0; i < 20; i++) yield* Effect.flip(provider.get)
        assert.strictEqual(server.times.length, 20)
      }).pipe(Effect.scoped))

    it.effect("an acquisition that hangs ends after a minute", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(hanging, living("300 seconds")))
        const fiber = yield* begin(Effect.flip(provider.get))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(fiber)).code, "TIMEOUT")
        assert.strictEqual(textOf(yield* provider.get), "token-2")
      }).pipe(Effect.scoped))

    it.effect("sends no request before the server's Retry-After, up to the policy's limit", () =>
      Effect.gen(function*() {
        const busy = () => Effect.fail(failure("RATE_LIMITED", { status: 429, retry_after_ms: 3_600_000 }))
        const { provider, server } = yield* providerOf(inTurn(busy, living("300 seconds")))
        for (let i = 0; i < 5; i++) assert.strictEqual((yield* Effect.flip(provider.get)).code, "RATE_LIMITED")
        assert.strictEqual(server.times.length, 1)
        yield* TestClock.adjust("59 seconds")
        yield* Effect.flip(provider.get)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(textOf(yield* provider.get), "token-2")
      }).pipe(Effect.scoped))
  })

  describe("refresh", () => {
    it.effect("[S2-07] [S2-10] acquires now, regardless of the cooldown", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("1 hour"))
        yield* provider.get
        assert.strictEqual(textOf(yield* provider.refresh), "token-2")
        assert.strictEqual(textOf(yield* provider.refresh), "token-3")
        assert.strictEqual(textOf(yield* provider.get), "token-3")
        assert.strictEqual(server.times.length, 3)
      }).pipe(Effect.scoped))

    it.effect("[S2-10] joins the running acquisition", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(slow(living("1 hour"), "1 second"))
        const fibers = yield* Effect.forEach([provider.get, provider.refresh, provider.refresh], begin)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual((yield* Effect.forEach(fibers, Fiber.join)).map(textOf), [
          "token-1",
          "token-1",
          "token-1"
        ])
        assert.strictEqual(server.times.length, 1)
      }).pipe(Effect.scoped))

    it.effect("if it fails, the cached token stays in use", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(living("1 hour"), down))
        const first = yield* provider.get
        assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "NETWORK_ERROR")
        assert.strictEqual(yield* provider.get, first)
        assert.strictEqual((yield* provider.status).state, "Active")
      }).pipe(Effect.scoped))
  })

  describe("invalidate", () => {
    it.effect("[K-10] drops the current token, but ignores an older one", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(living("1 hour"))
        const first = yield* provider.get
        const second = yield* provider.refresh
        assert.isFalse(yield* provider.invalidate(first))
        assert.strictEqual(yield* provider.get, second)
        assert.isTrue(yield* provider.invalidate(second))
        assert.isFalse(yield* provider.invalidate(second))
        assert.strictEqual((yield* provider.status).state, "Invalid")
        assert.strictEqual(textOf(yield* provider.get), "token-3")
      }).pipe(Effect.scoped))

    it.effect("[R13] compares tokens by value, since a server may return the same one again", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(() => living("1 hour")(1))
        const first = yield* provider.get
        yield* provider.refresh
        assert.isTrue(yield* provider.invalidate(first))
      }).pipe(Effect.scoped))

    it.effect("[R13] does not end the cooldown: a token that is refused right after it is returned as it is", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("1 hour"))
        const replaced = yield* provider.replace(yield* provider.get)
        assert.isDefined(replaced)
        assert.isTrue(replaced !== undefined && (yield* provider.invalidate(replaced)))
        const third = yield* provider.get
        assert.isUndefined(yield* provider.replace(third))
        assert.strictEqual(server.times.length, 3)
        yield* TestClock.adjust("30 seconds")
        assert.isDefined(yield* provider.replace(third))
        assert.strictEqual(server.times.length, 4)
      }).pipe(Effect.scoped))

    it.effect("[T4] discards the result of a running acquisition: its callers get a later token", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("1 hour"), slow(living("1 hour"), "2 seconds")))
        const first = yield* provider.get
        const waiting = yield* begin(provider.refresh)
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* provider.invalidate(first))
        const other = yield* begin(provider.get)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(server.times, [0, 0, 2000])
        assert.strictEqual((yield* provider.status).token, undefined)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(textOf(yield* Fiber.join(waiting)), "token-3")
        assert.strictEqual(textOf(yield* Fiber.join(other)), "token-3")
        assert.strictEqual(server.most(), 1)
      }).pipe(Effect.scoped))

    it.effect("[T4] during the success event, gives the waiting callers a later token", () =>
      Effect.gen(function*() {
        const at = { monotonic: 0n, wall: 0 }
        const refused = new AcquiredToken.AcquiredToken({
          value: Redacted.make("token-1"),
          issuedAt: at,
          expiresAt: at
        })
        let drop: Effect.Effect<unknown> = Effect.void
        const logger = Logger.make(({ message }) => {
          if (String(message) === "refresh.success") Effect.runSync(drop)
        })
        const logging = Effect.provide([Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All")])
        const { provider } = yield* logging(providerOf(living("1 hour")))
        drop = provider.invalidate(refused)
        assert.strictEqual(textOf(yield* provider.get), "token-2")
        assert.strictEqual(textOf(yield* provider.get), "token-2")
      }).pipe(Effect.scoped))
  })

  describe("replace", () => {
    it.effect("[R13] [S2-18] a rejected token is replaced by a new one, which is not replaced within the next 30 seconds", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("1 hour"))
        const second = yield* provider.replace(yield* provider.get)
        assert.strictEqual(second && textOf(second), "token-2")
        // The new token is rejected as well: no replacement.
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual(yield* provider.replace(second!), undefined)
        assert.strictEqual(yield* provider.get, second)
        assert.strictEqual(server.times.length, 2)
        yield* TestClock.adjust("1 millis")
        const third = yield* provider.replace(second!)
        assert.strictEqual(third && textOf(third), "token-3")
      }).pipe(Effect.scoped))

    it.effect("[R13] [T4] many rejections of one token cause one acquisition", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("1 hour"), slow(living("1 hour"), "1 second")))
        const first = yield* provider.get
        yield* TestClock.adjust("31 seconds")
        const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () => begin(provider.replace(first)))
        yield* TestClock.adjust("1 second")
        const tokens = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(new Set(tokens.map((token) => token && textOf(token))), new Set(["token-2"]))
        // Later rejections of the old token get the newer one.
        assert.strictEqual(yield* provider.replace(first), tokens[0])
        assert.strictEqual(server.times.length, 2)
      }).pipe(Effect.scoped))

    it.effect("[K-28 G5] a rejected token stays in use until it is replaced, which is tried at growing intervals", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("1 hour"), down))
        const first = yield* provider.get
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual((yield* Effect.flip(provider.replace(first))).code, "NETWORK_ERROR")
        assert.strictEqual(yield* provider.get, first)
        assert.strictEqual((yield* provider.status).state, "Active")
        for (let i = 0; i < 20; i++) {
          assert.strictEqual(yield* provider.get, first)
          yield* TestClock.adjust("1 second")
        }
        assert.deepStrictEqual(server.times.slice(1), [31_000, 32_000, 34_000, 38_000, 46_000])
        server.answer = living("1 hour")
        yield* TestClock.adjust("16 seconds")
        yield* provider.get
        yield* TestClock.adjust(1)
        assert.strictEqual(textOf(yield* provider.get), "token-7")
      }).pipe(Effect.scoped))

    it.effect("[K-28 G5] callers get the rejected token while its replacement is being acquired", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("1 hour"), hanging))
        const first = yield* provider.get
        const replacing = yield* begin(Effect.exit(provider.replace(first)))
        for (let i = 0; i < 3; i++) assert.strictEqual(yield* provider.get, first)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(replacing))._tag, "Failure")
        assert.strictEqual(yield* provider.get, first)
        assert.strictEqual(server.most(), 1)
      }).pipe(Effect.scoped))

    it.effect("[K-28 G5] a rejected token is not returned past its end", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(living("300 seconds"), down))
        const first = yield* provider.get
        yield* Effect.flip(provider.replace(first))
        yield* TestClock.adjust("269 seconds")
        assert.strictEqual(yield* provider.get, first)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "TOKEN_REFRESH_FAILED")
      }).pipe(Effect.scoped))

    it.effect("[K-28 J10] [R13] a rejection while an acquisition is running joins it", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(living("1 hour"), slow(living("1 hour"), "1 second")))
        const first = yield* provider.get
        const refreshing = yield* begin(provider.refresh)
        const replacing = yield* Effect.forEach([1, 2, 3], () => begin(provider.replace(first)))
        yield* TestClock.adjust("1 second")
        const tokens = yield* Effect.forEach([refreshing, ...replacing], Fiber.join)
        assert.deepStrictEqual(new Set(tokens.map((token) => token && textOf(token))), new Set(["token-2"]))
        assert.strictEqual(server.times.length, 2)
      }).pipe(Effect.scoped))

    it.effect("a token from another provider does not count as the current one", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(living("1 hour"))
        const first = yield* provider.get
        const other = new AcquiredToken.AcquiredToken({
          value: Redacted.make("elsewhere"),
          issuedAt: first.issuedAt,
          expiresAt: first.expiresAt
        })
        assert.isFalse(yield* provider.invalidate(other))
        assert.strictEqual(yield* provider.replace(other), first)
      }).pipe(Effect.scoped))
  })
})
