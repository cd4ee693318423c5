import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { goodClaims, issuer, keysOf, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import {
  active,
  answering,
  clientId,
  clientSecret,
  endpoint,
  inactive,
  introspected,
  json,
  jwtResponse,
  keySourceOf,
  makeEndpoint,
  mixed,
  opaque,
  signedAnswer,
  signedOptions
} from "./introspectionSupport.ts"

const start = TestClock.adjust("20000 days")

describe("Introspection", () => {
  describe("layerIntrospected", () => {
    it.effect("[K-23] asks the server about an opaque token and returns typed, frozen claims", () =>
      Effect.gen(function*() {
        yield* start
        const server = makeEndpoint(answering({ roles: ["admin"] }))
        const tokens = yield* introspected(server)
        const token = opaque("good")
        const { claims, registered } = yield* tokens.validate(Redacted.make(token))
        assert.deepStrictEqual([claims.sub, claims.roles], ["ada", ["admin"]])
        assert.deepStrictEqual([registered.scopes, registered.aud, registered.iss], [
          ["read", "write"],
          ["api"],
          issuer
        ])
        assert.isTrue(Object.isFrozen(claims) && Object.isFrozen(claims.roles) && Object.isFrozen(registered))
        const [asked] = server.asked
        assert.strictEqual(asked?.url, endpoint)
        assert.deepStrictEqual([...asked?.body ?? []], [["token_type_hint", "access_token"], ["token", token]])
        assert.strictEqual(asked?.headers["accept"], "application/json")
        assert.strictEqual(
          asked?.headers["authorization"],
          `Basic ${Buffer.from(`${clientId.replace("-", "%2D")}:${clientSecret}`).toString("base64")}`
        )
      }))

    it.effect("[K-23] [R9] an inactive token is a 401, and is not asked about again for 10 seconds", () =>
      Effect.gen(function*() {
        yield* start
        const server = makeEndpoint(inactive)
        const tokens = yield* introspected(server)
        const validate = Effect.flip(tokens.validate(opaque("bad")))
        const error = yield* validate
        assert.deepStrictEqual(error.reason, { _tag: "TokenInactive" })
        assert.deepStrictEqual([error.code, error.status, error.isRejection], ["TOKEN_INACTIVE", 401, true])
        yield* TestClock.adjust("9999 millis")
        yield* validate
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("1 millis")
        yield* validate
        assert.strictEqual(server.asked.length, 2)
      }))

    it.effect("[K-23] [R9] an active answer is used for a minute, counted from its request", () =>
      Effect.gen(function*() {
        yield* start
        const server = makeEndpoint(() => Effect.map(Effect.delay(active(), "3 seconds"), (answer) => json(answer)))
        const tokens = yield* introspected(server)
        const validate = tokens.validate(opaque("good"))
        const first = yield* Effect.forkChild(validate, { startImmediately: true })
        yield* eventually(() => server.asked.length === 1)
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(first)
        yield* TestClock.adjust("56999 millis")
        yield* validate
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("1 millis")
        yield* Effect.forkChild(validate, { startImmediately: true })
        yield* eventually(() => server.asked.length === 2)
      }))

    it.effect("[K-23] [R9] an active answer is never used past the expiry of the token", () =>
      Effect.gen(function*() {
        yield* start
        const exp = 20_000 * 86_400 + 20
        const server = makeEndpoint(answering({ exp }))
        const tokens = yield* introspected(server)
        const validate = tokens.validate(opaque("good"))
        yield* validate
        yield* TestClock.adjust("19999 millis")
        yield* validate
        assert.strictEqual(server.asked.length, 1)
        yield* TestClock.adjust("1 millis")
        yield* validate
        yield* validate
        assert.strictEqual(server.asked.length, 3, "within the tolerance the server decides each time")
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* reasonOf(validate), { _tag: "TokenExpired" })
      }))
  })

  describe("layerMixed", () => {
    it.effect("[K-23] verifies JWTs here, and asks only about other tokens", () =>
      Effect.gen(function*() {
        yield* start
        const pair = yield* pairOf("ES256")
        const server = makeEndpoint(answering())
        const tokens = yield* mixed(server, keysOf([pair]))
        const claims = yield* goodClaims
        const jwt = yield* sign(pair, claims, { typ: "JWT" })
        assert.strictEqual((yield* tokens.validate(jwt)).claims.sub, "user-1")
        assert.strictEqual(server.asked.length, 0)
        assert.strictEqual((yield* tokens.validate(opaque("good"))).claims.sub, "ada")
        assert.strictEqual(server.asked.length, 1)
        const other = yield* pairOf("ES256", "other")
        const forged = yield* sign({ ...other, kid: pair.kid }, claims, { typ: "JWT" })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(forged)), { _tag: "SignatureInvalid" })
        assert.deepStrictEqual(
          yield* reasonOf(tokens.validate(jwt.replace(/^[^.]*/, "eyJ9"))),
          { _tag: "TokenMalformed", part: "header", problem: "json" }
        )
        assert.strictEqual(server.asked.length, 1)
      }))
  })

  describe("signed answers", () => {
    it.effect("[K-23] are requested, verified and decoded", () =>
      Effect.gen(function*() {
        yield* start
        const pair = yield* pairOf("ES256")
        const server = makeEndpoint(() =>
          Effect.map(Effect.flatMap(active(), (members) => signedAnswer(pair, members)), jwtResponse)
        )
        const tokens = yield* introspected(server, signedOptions(yield* keySourceOf(keysOf([pair]))))
        assert.strictEqual((yield* tokens.validate(opaque("good"))).claims.sub, "ada")
        assert.strictEqual(server.asked[0]?.headers["accept"], "application/token-introspection+jwt")
        server.respond = answering()
        const reason = yield* reasonOf(tokens.validate(opaque("plain")))
        assert.include(reason, { _tag: "IntrospectionUnavailable", problem: "signature", detail: "unsigned" })
      }))
  })
})
