import { assert, describe, it } from "@effect/vitest"
import { Deadline } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import { issuer, reasonOf } from "@keelson/testing/tokens"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Deferred, Effect, Exit, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { Introspection, type TokenValidator, ValidationPolicy } from "../src/index.ts"
import { compileRules } from "../src/internal/validation/rules.ts"
import { TokenCache } from "../src/internal/validation/tokenCache.ts"
import {
  active,
  answering,
  inactive,
  introspected,
  json,
  makeEndpoint,
  opaque,
  options,
  type Respond
} from "./introspectionSupport.ts"

const start = TestClock.adjust("20000 days")

/** An endpoint that responds to each request once the gate is open. */
const gated = Effect.map(Deferred.make<void>(), (gate) => {
  const respond: Respond = () => Effect.map(Effect.andThen(Deferred.await(gate), active()), (answer) => json(answer))
  return { server: makeEndpoint(respond), open: Deferred.succeed(gate, undefined) }
})

describe("Concurrent callers of introspection", () => {
  it.effect("[K-23] [R9] 1,000 callers with 10 tokens cause 10 requests, and all get their own token's claims", () =>
    Effect.gen(function*() {
      yield* start
      const gate = yield* Deferred.make<void>()
      const server = makeEndpoint(({ token }) =>
        Effect.map(Effect.andThen(Deferred.await(gate), active({ sub: token })), (answer) => json(answer))
      )
      const tokens = yield* introspected(server)
      const names = Array.from({ length: 1000 }, (_, number) => opaque(`t${number % 10}`))
      const callers = yield* Effect.forEach(
        names,
        (token) => Effect.forkChild(tokens.validate(token), { startImmediately: true })
      )
      yield* eventually(() => server.asked.length === 10)
      yield* Deferred.succeed(gate, undefined)
      const results = yield* Fiber.joinAll(callers)
      assert.deepStrictEqual(results.map(({ claims }) => claims.sub), names)
      assert.strictEqual(server.asked.length, 10)
      for (const name of names) yield* tokens.validate(name)
      assert.strictEqual(server.asked.length, 10)
    }))

  it.effect("[K-23] [R9] callers that arrive while a run ends, in any order, cause one request", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server)
      const caller = Effect.andThen(Effect.yieldNow, tokens.validate(opaque("a")))
      yield* Effect.all(Array.from({ length: 200 }, () => caller), { concurrency: "unbounded" })
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] interrupting a waiter, also the first one, affects neither the request nor other waiters", () =>
    Effect.gen(function*() {
      yield* start
      const { open, server } = yield* gated
      const tokens = yield* introspected(server)
      const validate = tokens.validate(opaque("a"))
      const first = yield* Effect.forkChild(validate, { startImmediately: true })
      const second = yield* Effect.forkChild(validate, { startImmediately: true })
      const third = yield* Effect.forkChild(validate, { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(third)
      yield* open
      assert.strictEqual((yield* Fiber.join(second)).claims.sub, "ada")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(first)))
      yield* validate
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] a token whose answer arrived after a caller's lookup is not asked about again", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const rules = compileRules(
        ValidationPolicy.make({ issuers: [issuer], audiences: ["api"], algorithms: ["RS256"] })
      )
      const parts = {
        id: "test",
        rules,
        verifySignature: () => false,
        decodeClaims: Result.succeed,
        jwts: undefined,
        rejectedJwts: "reject"
      } as const
      const made = Effect.scoped(Effect.gen(function*() {
        const { makeVerifier } = yield* Introspection.client(options()).forValidator(parts)
        const cache = new TokenCache<TokenValidator.Validated<unknown>>({ maxEntries: 10, maxBytes: 100_000 })
        const verifier = makeVerifier(cache)
        const clock = yield* Clock.Clock
        const token = { text: opaque("a"), hash: "hash", skipExpiry: false }
        const second = verifier.verify(token, clock)
        yield* verifier.verify(token, clock)
        yield* second
      }))
      yield* Effect.provide(made, server.client)
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] the deadline under which the layer was built does not limit requests", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* Deadline.within(introspected(server), "1 minute")
      yield* TestClock.adjust("2 minutes")
      yield* tokens.validate(opaque("a"))
    }))

  it.effect("[R23] [R9] a wall clock that is set back during a request does not make its answer live longer", () =>
    Effect.gen(function*() {
      yield* start
      const { clock, skew } = yield* skewedClock
      yield* Effect.provideService(Clock.Clock, clock)(Effect.gen(function*() {
        const server = makeEndpoint((asked, number) =>
          Effect.tap(answering()(asked, number), () => Effect.sync(() => void (skew.millis -= 30_000)))
        )
        const tokens = yield* introspected(server)
        yield* tokens.validate(opaque("a"))
        yield* TestClock.adjust("59999 millis")
        yield* tokens.validate(opaque("a"))
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("1 millis")
        yield* tokens.validate(opaque("a"))
        assert.strictEqual(server.asked.length, 2)
      }))
    }))

  it.effect("[K-23] if all waiters are interrupted, the answer still fills the cache", () =>
    Effect.gen(function*() {
      yield* start
      const { open, server } = yield* gated
      const tokens = yield* introspected(server)
      const validate = tokens.validate(opaque("a"))
      const only = yield* Effect.forkChild(validate, { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* Fiber.interrupt(only)
      const later = yield* Effect.forkChild(validate, { startImmediately: true })
      yield* open
      yield* Fiber.join(later)
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] a failure is shared by its waiters alone", () =>
    Effect.gen(function*() {
      yield* start
      const gate = yield* Deferred.make<void>()
      const server = makeEndpoint(() => Effect.as(Deferred.await(gate), json({}, 400)))
      const tokens = yield* introspected(server)
      const failing = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(reasonOf(tokens.validate(opaque("a"))), { startImmediately: true }))
      yield* eventually(() =>
        server.asked.length === 1
      )
      yield* Deferred.succeed(gate, undefined)
      for (const reason of yield* Fiber.joinAll(failing)) assert.include(reason, { problem: "refused" })
      server.respond = answering()
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("[K-23] `invalidate` drops answers, also those that were requested before it", () =>
    Effect.gen(function*() {
      yield* start
      const { open, server } = yield* gated
      const tokens = yield* introspected(server)
      const validate = tokens.validate(opaque("a"))
      const before = yield* Effect.forkChild(validate, { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* tokens.invalidate
      server.respond = inactive
      assert.deepStrictEqual(yield* reasonOf(validate), { _tag: "TokenInactive" })
      yield* open
      yield* Fiber.join(before)
      assert.deepStrictEqual(yield* reasonOf(validate), { _tag: "TokenInactive" })
      assert.strictEqual(server.asked.length, 2)
    }))
})

describe("A flood of invented tokens", () => {
  it.effect("[K-23] [R9] texts that cannot be tokens cause no request", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server, { accepts: (text) => text.startsWith("key_") }, { maxLength: 256 })
      const malformed = (problem: string) => ({ _tag: "TokenMalformed", part: "token", problem })
      for (const text of ["", " ", "a b", "a\nb", "a,b", "a=b", "\u00e4", "a\u0000", "<script>", "=", "a%20b"]) {
        assert.deepStrictEqual<unknown>(yield* reasonOf(tokens.validate(text)), malformed("encoding"), text)
      }
      assert.deepStrictEqual<unknown>(yield* reasonOf(tokens.validate("a".repeat(257))), malformed("size"))
      assert.deepStrictEqual<unknown>(yield* reasonOf(tokens.validate("key-1")), malformed("form"))
      assert.strictEqual(server.asked.length, 0)
      yield* tokens.validate("key_1")
      const throwing = yield* introspected(server, {
        accepts: () => {
          throw new Error("broken")
        }
      })
      assert.deepStrictEqual<unknown>(yield* reasonOf(throwing.validate("key_1")), malformed("form"))
    }))

  it.effect("[K-23] [R9] requests for new tokens are limited; known tokens are still asked about", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint((asked, number) =>
        asked.token.startsWith("known") ? answering()(asked, number) : inactive(asked, number)
      )
      const tokens = yield* introspected(server, { newTokensPerSecond: 10, newTokensBurst: 50 })
      yield* tokens.validate(opaque("known"))
      yield* TestClock.adjust("1 minute")
      const flood = (from: number, count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, index) => opaque(`junk${from + index}`)),
          (token) => Effect.flip(tokens.validate(token))
        )
      const first = yield* flood(0, 200)
      assert.strictEqual(first.filter(({ code }) => code === "TOKEN_INACTIVE").length, 50)
      const [limited] = first.slice(50)
      assert.include(limited?.reason, { _tag: "IntrospectionUnavailable", problem: "limited" })
      assert.deepStrictEqual([limited?.status, limited?.isRejection], [503, false])
      assert.strictEqual(server.asked.length, 51)
      yield* tokens.validate(opaque("known"))
      assert.strictEqual(server.asked.length, 52, "a token that was active is no new one")
      yield* TestClock.adjust("1 second")
      yield* flood(1000, 100)
      assert.strictEqual(server.asked.length, 62)
      yield* TestClock.adjust("1 hour")
      yield* flood(2000, 100)
      assert.strictEqual(server.asked.length, 112, "the burst is bounded")
    }))

  it.effect("[K-23] [R9] without a cache each use is a request, and known tokens are not limited", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server, { newTokensPerSecond: 1, newTokensBurst: 1 }, { cacheEntries: 0 })
      for (let times = 0; times < 5; times++) yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 5)
      assert.include(yield* reasonOf(tokens.validate(opaque("b"))), { problem: "limited" })
    }))

  it.effect("[K-23] [R9] a token that is no longer active counts as a new one", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server, {
        newTokensPerSecond: 1,
        newTokensBurst: 1,
        activeLifetime: "0 millis",
        inactiveLifetime: "0 millis"
      })
      const validate = tokens.validate(opaque("a"))
      yield* validate
      yield* validate
      server.respond = inactive
      yield* reasonOf(validate)
      assert.include(yield* reasonOf(validate), { problem: "limited" })
      assert.strictEqual(server.asked.length, 3)
    }))
})
