/** Validators with a cache of an issuer's keys: outages, rotation, revoked keys. */
import { assert, describe, it } from "@effect/vitest"
import { KeySource } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { cacheOf, documentOf, down, hanging, jwk, keysOf } from "@keelson/testing/scriptedProvider"
import { audience, goodClaims, issuer, pairOf, reasonOf, sign, validatorOf } from "@keelson/testing/tokens"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { ValidationPolicy } from "../src/index.ts"
import { SignatureVerifier } from "../src/internal/validation/signature.ts"

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["EdDSA"] })

/** A cache that imports keys without threads, and a validator that accepts every signature. */
const scene = Effect.fnUntraced(function*(answer = keysOf("a"), options: Parameters<typeof cacheOf>[1] = {}) {
  let checks = 0
  const { cache, provider } = yield* cacheOf(answer, options)
  const tokens = yield* Effect.provideService(
    validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
    SignatureVerifier,
    async () => {
      checks++
      return true
    }
  )
  const pair = yield* pairOf("EdDSA")
  const claims = yield* goodClaims
  const signed = (kid = "a") => sign({ ...pair, kid }, { ...claims, exp: 100_000 })
  return { cache, provider, tokens, signed, checks: () => checks }
})

describe("TokenValidator over a key set cache", () => {
  it.effect("[K-03] [T6] [S4-38] an issuer that is down is a 503 with Retry-After, and never a 401", () =>
    Effect.gen(function*() {
      const { provider, signed, tokens } = yield* scene(down)
      const fiber = yield* Effect.forkChild(Effect.exit(tokens.validate(yield* signed())), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      const error = errorOf(yield* Fiber.join(fiber))
      assert.strictEqual(error.status, 503)
      assert.strictEqual(error.code, "JWKS_UNAVAILABLE")
      assert.isFalse(error.isRejection)
      const again = errorOf(yield* Effect.exit(tokens.validate(yield* signed())))
      assert.isTrue(Duration.isGreaterThan(again.retryAfter, Duration.zero))
      provider.answer = keysOf("a")
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* tokens.validate(yield* signed())).claims.sub, "user-1")
    }))

  it.effect("[K-03] [T6] cached tokens are accepted during an outage, until the end of the stale window", () =>
    Effect.gen(function*() {
      const { provider, signed, tokens } = yield* scene(keysOf("a"), { ttl: "10 minutes", staleWindow: "5 minutes" })
      yield* TestClock.adjust("1 second")
      const token = yield* signed()
      yield* tokens.validate(token)
      provider.answer = down
      yield* TestClock.adjust("14 minutes")
      yield* tokens.validate(token)
      yield* TestClock.adjust("2 minutes")
      const exit = yield* Effect.exit(tokens.validate(token))
      assert.strictEqual(errorOf(exit).reason._tag, "KeysUnavailable")
    }))

  it.effect("[K-04] [T3] [S4-37] a key that is withdrawn ends the tokens that it verified, with the next set", () =>
    Effect.gen(function*() {
      const { cache, checks, provider, signed, tokens } = yield* scene(keysOf("a", "b"))
      yield* TestClock.adjust("1 second")
      const [first, second] = [yield* signed("a"), yield* signed("b")]
      yield* tokens.validate(first)
      yield* tokens.validate(second)
      provider.answer = keysOf("b")
      yield* cache.refresh
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(first)), { _tag: "KeyNotFound", reason: "unknown" })
      yield* tokens.validate(second)
      assert.strictEqual(checks(), 3)
    }))

  it.effect("[K-28 J2] [K-04] [L5] keys that were looked up in one set are looked up again in the next", () =>
    Effect.gen(function*() {
      const { cache, provider, signed, tokens } = yield* scene(keysOf("a", "b"))
      yield* TestClock.adjust("1 second")
      for (const kid of ["a", "b"]) yield* tokens.validate(yield* signed(kid))
      provider.answer = keysOf("a", "b", "c")
      yield* cache.refresh
      for (const kid of ["c", "a", "b"]) {
        const [candidate] = yield* cache.find({ alg: "EdDSA", kid })
        assert.isTrue(candidate?.trust.holds(yield* Clock.Clock), kid)
        yield* tokens.validate(yield* signed(kid))
      }
    }))

  it.effect("[K-04] [T3] invalidating a key set invalidates cached tokens at once", () =>
    Effect.gen(function*() {
      const { cache, provider, signed, tokens } = yield* scene()
      yield* TestClock.adjust("1 second")
      const token = yield* signed()
      yield* tokens.validate(token)
      provider.answer = keysOf("b")
      yield* cache.invalidate
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "KeyNotFound", reason: "unknown" })
    }))

  it.effect("[K-04] [T3] keys that are withdrawn during a verification do not count", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"))
      yield* TestClock.adjust("1 second")
      let finish: (isGood: boolean) => void = () => {}
      const tokens = yield* Effect.provideService(
        validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
        SignatureVerifier,
        () => new Promise<boolean>((resolve) => finish = resolve)
      )
      const token = yield* sign({ ...yield* pairOf("EdDSA"), kid: "a" }, yield* goodClaims)
      const fiber = yield* Effect.forkChild(Effect.exit(tokens.validate(token)), { startImmediately: true })
      yield* Effect.yieldNow
      provider.answer = keysOf("b")
      yield* cache.refresh
      finish(true)
      assert.deepStrictEqual(errorOf(yield* Fiber.join(fiber)).reason, { _tag: "KeyNotFound", reason: "unknown" })
    }))

  it.effect("[K-28 J1] [K-04] [R6] keys that are withdrawn during a verification do not count with skipExpiry either", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"))
      yield* TestClock.adjust("1 second")
      let finish: (isGood: boolean) => void = () => {}
      const tokens = yield* Effect.provideService(
        validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
        SignatureVerifier,
        () => new Promise<boolean>((resolve) => finish = resolve)
      )
      const claims = yield* goodClaims
      for (const exp of [0, 3600]) {
        provider.answer = keysOf("a")
        yield* cache.refresh
        const token = yield* sign({ ...yield* pairOf("EdDSA"), kid: "a" }, { ...claims, iat: 0, exp })
        const validation = tokens.validateWith(token, { skipExpiry: true })
        const fiber = yield* Effect.forkChild(Effect.exit(validation), { startImmediately: true })
        yield* Effect.yieldNow
        provider.answer = keysOf("b")
        yield* cache.refresh
        finish(true)
        assert.deepStrictEqual(errorOf(yield* Fiber.join(fiber)).reason, { _tag: "KeyNotFound", reason: "unknown" })
      }
    }))

  it.effect("[K-28 J1] [K-04] a verdict whose keys are withdrawn each time is a 503, for an accepted token and a rejected one", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("EdDSA")
      const token = yield* sign(pair, yield* goodClaims)
      for (const isGood of [true, false]) {
        for (const skipExpiry of [true, false]) {
          let isTrusted = true
          let checks = 0
          const trust: KeySource.KeyTrust = { generation: 1, holds: () => isTrusted, staleDeadline: () => undefined }
          const key = yield* Effect.promise(() =>
            crypto.subtle.importKey("jwk", pair.publicJwk, "Ed25519", false, ["verify"])
          )
          const find = () =>
            Effect.sync(() => {
              isTrusted = true
              return [{ kid: pair.kid, alg: "EdDSA", key, issuer: undefined, trust }]
            })
          const tokens = yield* Effect.provideService(
            validatorOf(policy, Layer.succeed(KeySource.KeySource, { find })),
            SignatureVerifier,
            () => {
              checks++
              isTrusted = false
              return Promise.resolve(isGood)
            }
          )
          const reason = yield* reasonOf(tokens.validateWith(token, { skipExpiry }))
          assert.deepInclude(reason, { _tag: "KeysUnavailable" })
          assert.strictEqual(checks, 3)
        }
      }
    }))

  it.effect("[K-28 J18] [R6] nothing is remembered of a verification during which everything was forgotten", () =>
    Effect.gen(function*() {
      const { cache } = yield* cacheOf(keysOf("a"))
      yield* TestClock.adjust("1 second")
      for (const isGood of [true, false]) {
        const waiting: Array<(isGood: boolean) => void> = []
        const tokens = yield* Effect.provideService(
          validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
          SignatureVerifier,
          () => new Promise<boolean>((resolve) => waiting.push(resolve))
        )
        const token = yield* sign({ ...yield* pairOf("EdDSA"), kid: "a" }, yield* goodClaims)
        const start = Effect.forkChild(Effect.exit(tokens.validate(token)), { startImmediately: true })
        const settle = Effect.fnUntraced(
          function*(fiber: Fiber.Fiber<Exit.Exit<unknown, unknown>>, at: number, good: boolean) {
            waiting[at]?.(good)
            return Exit.isSuccess(yield* Fiber.join(fiber))
          }
        )
        const first = yield* start
        yield* Effect.yieldNow
        yield* tokens.invalidate
        assert.strictEqual(yield* settle(first, 0, isGood), isGood)
        // The next call verifies again, whatever the first verdict was.
        const second = yield* start
        yield* Effect.yieldNow
        assert.strictEqual(waiting.length, 2)
        assert.strictEqual(yield* settle(second, 1, !isGood), !isGood)
      }
    }))

  it.effect("[T3] a caller that joins a check with replaced keys is not rejected because of them", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(keysOf("a"))
      yield* TestClock.adjust("1 second")
      const finish: Array<(isGood: boolean) => void> = []
      const tokens = yield* Effect.provideService(
        validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
        SignatureVerifier,
        () => new Promise<boolean>((resolve) => finish.push(resolve))
      )
      const token = yield* sign({ ...yield* pairOf("EdDSA"), kid: "a" }, yield* goodClaims)
      const run = Effect.forkChild(tokens.validate(token), { startImmediately: true })
      const first = yield* run
      yield* Effect.yieldNow
      provider.answer = documentOf(JSON.stringify({ keys: [jwk("a", { x: jwk("other").x })] }))
      yield* cache.refresh
      const second = yield* run
      yield* Effect.yieldNow
      finish[0]?.(false)
      yield* Effect.promise(() => new Promise((resolve) => queueMicrotask(() => resolve(undefined))))
      yield* Effect.repeat(Effect.yieldNow, { until: () => finish.length > 1 })
      finish[1]?.(true)
      assert.strictEqual((yield* Fiber.join(second)).claims.sub, "user-1")
      assert.strictEqual((yield* Fiber.join(first)).claims.sub, "user-1")
    }))

  it.effect("[R5] an unknown key is a 401 while the issuer answers, and a 503 while it does not", () =>
    Effect.gen(function*() {
      const { provider, signed, tokens } = yield* scene()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        yield* reasonOf(tokens.validate(yield* signed("x"))),
        { _tag: "KeyNotFound", reason: "unknown" }
      )
      yield* TestClock.adjust("1 minute")
      provider.answer = down
      const fiber = yield* Effect.forkChild(Effect.exit(tokens.validate(yield* signed("y"))), {
        startImmediately: true
      })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)).status, 503)
    }))

  it.effect("[R4] more than four keys are not tried", () =>
    Effect.gen(function*() {
      const keys = Array.from({ length: 5 }, (_, index) => jwk(`key-${index}`))
      const { checks, tokens } = yield* scene(() =>
        Effect.succeed({ status: 200, body: JSON.stringify({ keys: keys.map(({ kid: _kid, ...key }) => key) }) })
      )
      yield* TestClock.adjust("1 second")
      const token = yield* sign(yield* pairOf("EdDSA"), yield* goodClaims, { kid: undefined })
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "KeyNotFound", reason: "ambiguous" })
      assert.strictEqual(checks(), 0)
    }))

  it.effect("[R23] setting the wall clock back does not prolong a cached token", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      yield* Effect.gen(function*() {
        let checks = 0
        const keys = Layer.succeed(KeySource.KeySource, {
          find: (_issuer: string, { alg, kid }: KeySource.JoseHeader) =>
            Effect.succeed([{
              kid,
              alg,
              key: {
                type: "public",
                extractable: false,
                usages: ["verify"],
                algorithm: { name: "x" }
              } satisfies CryptoKey,
              issuer: undefined,
              trust: { generation: 1, holds: () => true, staleDeadline: () => undefined }
            }])
        })
        const tokens = yield* Effect.provideService(
          validatorOf(policy, keys),
          SignatureVerifier,
          async () => ++checks > 0
        )
        const now = Math.floor(clock.currentTimeMillisUnsafe() / 1000)
        const token = yield* sign(yield* pairOf("EdDSA"), { ...yield* goodClaims, iat: now, exp: now + 60 })
        yield* tokens.validate(token)
        yield* TestClock.adjust("80 seconds")
        skew.millis = -60_000
        yield* tokens.validate(token)
        assert.strictEqual(checks, 1)
        yield* TestClock.adjust("10 seconds")
        yield* tokens.validate(token)
        assert.strictEqual(checks, 2)
        skew.millis = 0
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TokenExpired" })
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("[T3] interrupting one caller does not affect others that wait for the same signature check", () =>
    Effect.gen(function*() {
      let finish: (isGood: boolean) => void = () => {}
      let checks = 0
      const { cache } = yield* cacheOf(keysOf("a"))
      yield* TestClock.adjust("1 second")
      const tokens = yield* Effect.provideService(
        validatorOf(policy, Layer.succeed(KeySource.KeySource, cache.keySource)),
        SignatureVerifier,
        () => {
          checks++
          return new Promise<boolean>((resolve) => finish = resolve)
        }
      )
      const token = yield* sign({ ...yield* pairOf("EdDSA"), kid: "a" }, yield* goodClaims)
      const run = Effect.forkChild(tokens.validate(token), { startImmediately: true })
      const [first, second, third] = [yield* run, yield* run, yield* run]
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      finish(true)
      assert.strictEqual(yield* Fiber.join(second), yield* Fiber.join(third))
      assert.strictEqual(checks, 1)
    }))

  it.effect("[S4-38] building a validator waits for no issuer", () =>
    Effect.gen(function*() {
      const { tokens } = yield* scene(hanging)
      assert.isDefined(tokens)
    }))
})
