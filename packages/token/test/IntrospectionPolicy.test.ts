import { assert, describe, it } from "@effect/vitest"
import { JwksError, type KeySource } from "@keelson/jwks"
import { quiet } from "@keelson/testing/observe"
import { issuer, keysOf, pairOf, reasonOf } from "@keelson/testing/tokens"
import { Context, DateTime, Effect, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { ClientAuth, Introspection, Revocation, TokenValidator, ValidationPolicy } from "../src/index.ts"
import {
  active,
  answering,
  Claims,
  introspected,
  jwtResponse,
  keySourceOf,
  makeEndpoint,
  opaque,
  OpaqueTokens,
  options,
  policy,
  signedAnswer,
  signedOptions
} from "./introspectionSupport.ts"

const start = TestClock.adjust("20000 days")
const second = "https://second.example"

/** The outcome of a token whose answer has these members. */
const outcome = (
  members: Readonly<Record<string, unknown>>,
  more: Partial<Introspection.Options> = {},
  morePolicy: Partial<Introspection.Policy> = {},
  call: TokenValidator.ValidateOptions = {}
) =>
  Effect.gen(function*() {
    yield* start
    const tokens = yield* introspected(makeEndpoint(answering(members)), more, morePolicy)
    return yield* Effect.match(tokens.validateWith(opaque("a"), call), {
      onSuccess: ({ registered: { aud, iss } }): unknown => ({ iss, aud }),
      onFailure: ({ reason }): unknown => reason
    })
  }).pipe(Effect.scoped)

const accepted = { iss: issuer, aud: ["api"] }

describe("The policy of introspected tokens", () => {
  it.effect("[R9] an answer without iss gets the configured issuer; without one it is rejected", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* outcome({ iss: undefined }), accepted)
      assert.deepStrictEqual(yield* outcome({ iss: null }), accepted)
      assert.deepStrictEqual(yield* outcome({ iss: undefined }, { issuer: undefined }), {
        _tag: "ClaimMissing",
        claim: "iss"
      })
      assert.deepStrictEqual(yield* outcome({}, { issuer: undefined }), accepted)
    }))

  it.effect("[R9] an endpoint answers for its configured issuer alone, or else for each that the policy trusts", () =>
    Effect.gen(function*() {
      const both = { issuers: [issuer, second] }
      assert.deepStrictEqual(yield* outcome({ iss: second }, {}, both), { _tag: "IssuerUntrusted" })
      assert.deepStrictEqual(yield* outcome({ iss: second }, { issuer: undefined }, both), {
        iss: second,
        aud: ["api"]
      })
      assert.deepStrictEqual(yield* outcome({ iss: "https://third.example" }, { issuer: undefined }, both), {
        _tag: "IssuerUntrusted"
      })
    }))

  it.effect("[R9] tenants by a function are asked on each use", () =>
    Effect.gen(function*() {
      yield* start
      let trusts = true
      const template = { template: "https://idp.example/{tenantid}", tenants: () => trusts }
      const server = makeEndpoint(answering({ iss: "https://idp.example/acme" }))
      const tokens = yield* introspected(server, { issuer: undefined }, { issuers: [template] })
      yield* tokens.validate(opaque("a"))
      trusts = false
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(opaque("a"))), { _tag: "IssuerUntrusted" })
    }))

  it.effect("[R9] an answer without aud is rejected, unless a default audience is configured", () =>
    Effect.gen(function*() {
      const missing = { _tag: "ClaimMissing", claim: "aud" }
      assert.deepStrictEqual(yield* outcome({ aud: undefined }), missing)
      assert.deepStrictEqual(yield* outcome({ aud: undefined }, { defaultAudience: "api" }), accepted)
      assert.deepStrictEqual(yield* outcome({ aud: "other" }, { defaultAudience: "api" }), { _tag: "AudienceMismatch" })
      const byClient = { audienceClaim: "client_id", audiences: ["web"] }
      assert.deepStrictEqual(yield* outcome({ aud: undefined }, {}, byClient), { iss: issuer, aud: [] })
      assert.deepStrictEqual(
        yield* outcome({ client_id: undefined }, { defaultAudience: "web" }, byClient),
        accepted
      )
    }))

  it.effect("[K-23] token_type is Bearer or DPoP in any case, and may be absent if the answer names its audience", () =>
    Effect.gen(function*() {
      const missing = { _tag: "ClaimMissing", claim: "token_type" }
      const cnf = { jkt: "A".repeat(43) }
      for (const type of ["bearer", "BEARER", undefined, null]) {
        assert.deepStrictEqual(yield* outcome({ token_type: type }), accepted, String(type))
      }
      for (const type of ["DPoP", "dpop"]) {
        assert.deepStrictEqual(yield* outcome({ token_type: type, cnf }), accepted, type)
        // Whoever stole it could use it as a bearer token.
        const unnamed = { _tag: "ClaimMissing", claim: "cnf" }
        for (const none of [undefined, null, {}, []]) {
          assert.deepStrictEqual(yield* outcome({ token_type: type, cnf: none }), unnamed, type)
        }
      }
      assert.deepStrictEqual(yield* outcome({ token_type: undefined }, { requireTokenType: true }), missing)
      const assumed = { aud: undefined, token_type: undefined }
      assert.deepStrictEqual(yield* outcome(assumed, { defaultAudience: "api" }), missing)
      assert.deepStrictEqual(
        yield* outcome(assumed, { defaultAudience: "api", requireTokenType: false }),
        accepted
      )
      assert.deepStrictEqual(
        yield* outcome({ token_type: undefined }, { defaultAudience: "api" }),
        accepted
      )
    }))

  it.effect("[K-23] checks times, required claims, authorized parties and age as for a JWT", () =>
    Effect.gen(function*() {
      const now = 20_000 * 86_400
      assert.deepStrictEqual(yield* outcome({ exp: now - 29 }), accepted)
      assert.deepStrictEqual(yield* outcome({ exp: now - 29 }, {}, { clockTolerance: "0 millis" }), {
        _tag: "TokenExpired"
      })
      assert.deepStrictEqual(yield* outcome({ iat: now - 61 }, {}, { maxAge: "30 seconds" }), { _tag: "TokenTooOld" })
      assert.deepStrictEqual(yield* outcome({}, {}, { requiredClaims: ["jti"] }), {
        _tag: "ClaimMissing",
        claim: "jti"
      })
      assert.deepStrictEqual(yield* outcome({ azp: "other" }, {}, { authorizedParties: ["web"] }), {
        _tag: "ClaimRejected",
        claim: "azp"
      })
      assert.deepStrictEqual(yield* outcome({ iat: undefined }, {}, { maxAge: "30 seconds" }), {
        _tag: "ClaimMissing",
        claim: "iat"
      })
    }))

  it.effect("[K-23] checks the options of a call, and never accepts an expired token", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* outcome({}, {}, {}, { audience: "other" }), { _tag: "AudienceMismatch" })
      assert.deepStrictEqual(yield* outcome({}, {}, {}, { issuer: second }), { _tag: "ClaimRejected", claim: "iss" })
      assert.deepStrictEqual(yield* outcome({}, {}, {}, { requiredClaims: ["jti"] }), {
        _tag: "ClaimMissing",
        claim: "jti"
      })
      assert.deepStrictEqual(yield* outcome({}, {}, {}, { nonce: "n" }), { _tag: "ClaimMissing", claim: "nonce" })
      assert.deepStrictEqual(yield* outcome({}, {}, {}, { accessToken: "x" }), {
        _tag: "ClaimMissing",
        claim: "at_hash"
      })
      assert.deepStrictEqual(yield* outcome({ at_hash: "x" }, {}, {}, { accessToken: "x" }), {
        _tag: "ClaimRejected",
        claim: "at_hash"
      })
      assert.deepStrictEqual(yield* outcome({ exp: 1 }, {}, {}, { skipExpiry: true }), { _tag: "TokenExpired" })
    }))

  it.effect("[K-23] `skipExpiry` uses the cache and warns of nothing: the server decides whether a token is active", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server)
      const validate = tokens.validateWith(opaque("a"), { skipExpiry: true })
      yield* validate
      yield* validate
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-04] [K-23] a revocation list is checked on each use, also of a cached token", () =>
    Effect.gen(function*() {
      yield* start
      class Revocable extends TokenValidator.Service<Revocable>()("test/Revocable", {
        claims: Claims,
        revocation: Revocation.Revocation
      }) {}
      const server = makeEndpoint(answering({ jti: "one" }))
      const layer = Revocable.layerIntrospected(policy, Introspection.client(options())).pipe(
        Layer.provideMerge(Revocation.layerMemory()),
        Layer.provide(server.client)
      )
      const context = yield* Layer.build(layer)
      const validate = Context.get(context, Revocable).validate(opaque("a"))
      yield* validate
      const list = Context.get(context, Revocation.Revocation)
      yield* list.revoke({ issuer, jti: "one" }, DateTime.makeUnsafe(20_001 * 86_400_000))
      assert.deepStrictEqual(yield* reasonOf(validate), { _tag: "TokenRevoked" })
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] the claims schema decides on all members, and a record of them keeps null out", () =>
    Effect.gen(function*() {
      yield* start
      class Raw extends TokenValidator.Service<Raw>()("test/Raw", {
        claims: Schema.Record(Schema.String, Schema.Unknown)
      }) {}
      const server = makeEndpoint(answering({ extra: { deep: [1] }, username: null }))
      const layer = Raw.layerIntrospected(policy, Introspection.client(options()))
      const tokens = Context.get(yield* Layer.build(Layer.provide(layer, server.client)), Raw)
      const { claims } = yield* tokens.validate(opaque("a"))
      assert.deepStrictEqual(claims["extra"], { deep: [1] })
      assert.isFalse("username" in claims)
      assert.isTrue(Object.isFrozen(claims["extra"]))
    }))
})

describe("Options of introspection", () => {
  const failing = (more: Partial<Introspection.Options>, morePolicy: Partial<Introspection.Policy> = {}) =>
    Effect.map(
      Effect.flip(Effect.scoped(introspected(makeEndpoint(answering()), more, morePolicy))),
      ({ details }) => [details["path"], details["expected"]]
    )

  it.effect("[K-23] [R9] lifetimes can only be shortened", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failing({ activeLifetime: "61 seconds" }), [
        "activeLifetime",
        "a duration with its unit, from 0 millis to 1 minute"
      ])
      assert.deepStrictEqual(yield* failing({ inactiveLifetime: "11 seconds" }), [
        "inactiveLifetime",
        "a duration with its unit, from 0 millis to 10 seconds"
      ])
    }))

  it.effect("[K-23] mistakes are named when the validator is made", () =>
    Effect.gen(function*() {
      const paths = [
        yield* failing({ issuer: undefined, endpoint: undefined }),
        yield* failing({ issuer: second }),
        yield* failing({ defaultAudience: "other" }),
        yield* failing({ endpoint: "http://idp.example/introspect" }),
        yield* failing({ endpoint: "https://idp.example/introspect#x" }),
        yield* failing({ issuer: "https://idp.example?x=1", endpoint: undefined }),
        yield* failing({ newTokensPerSecond: 0 }),
        yield* failing({ clientId: "" }),
        yield* failing({ resilience: { deadline: "2 days" } }),
        yield* failing({}, { audiences: [] })
      ].map(([path]) => path)
      assert.deepStrictEqual(paths, [
        "issuer",
        "issuer",
        "defaultAudience",
        "endpoint",
        "endpoint",
        "issuer",
        "newTokensPerSecond",
        "clientId",
        "deadline",
        "audiences"
      ])
      const keys = { find: () => Effect.succeed([]) }
      assert.deepStrictEqual((yield* failing({ issuer: undefined, ...signedOptions(keys) }))[0], "issuer")
      assert.deepStrictEqual(
        (yield* failing({ signed: { keys: Effect.succeed(keys), algorithms: [] } }))[0],
        "signed.algorithms"
      )
      const layer = OpaqueTokens.layerIntrospected(
        ValidationPolicy.idToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256"] }),
        Introspection.client(options())
      )
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.details["path"], "profile")
    }))

  it.effect("[K-23] a client key that cannot be used is a 503 that names the configuration", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const auth = ClientAuth.secretBasic(Effect.fail("the vault is sealed"))
      const tokens = yield* introspected(server, { auth })
      assert.include(yield* reasonOf(tokens.validate(opaque("a"))), { problem: "configuration" })
      const rotated = yield* introspected(server, {
        auth: ClientAuth.secretBasic(Effect.succeed(Redacted.make("new")))
      })
      yield* rotated.validate(opaque("a"))
    }).pipe(quiet))
})

describe("Signed answers", () => {
  it.effect("[K-23] of an issuer whose keys are unavailable are a 503 and not an invalid token", () =>
    Effect.gen(function*() {
      yield* start
      const pair = yield* pairOf("ES256")
      const server = makeEndpoint(() =>
        Effect.map(Effect.flatMap(active(), (members) => signedAnswer(pair, members)), jwtResponse)
      )
      const down = { find: () => Effect.fail(new JwksError.JwksUnavailable()) }
      const tokens = yield* introspected(server, signedOptions(down))
      const error = yield* Effect.flip(tokens.validate(opaque("a")))
      assert.include(error.reason, { problem: "keys" })
      assert.strictEqual(error.status, 503)
    }))

  it.effect("[K-23] [R6] a cached answer ends with the trust in the key that signed it", () =>
    Effect.gen(function*() {
      yield* start
      const pair = yield* pairOf("ES256")
      const source = yield* keySourceOf(keysOf([pair]))
      let holds = true
      const keys: KeySource.KeySource["Service"] = {
        find: (iss, header) =>
          Effect.map(source.find(iss, header), (candidates) =>
            candidates.map((candidate) => ({
              ...candidate,
              trust: { ...candidate.trust, holds: () => holds }
            })))
      }
      const server = makeEndpoint(() =>
        Effect.map(Effect.flatMap(active(), (members) => signedAnswer(pair, members)), jwtResponse)
      )
      const tokens = yield* introspected(server, signedOptions(keys))
      yield* tokens.validate(opaque("a"))
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 1)
      holds = false
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("[K-23] are preferred, not required, with `required: false`", () =>
    Effect.gen(function*() {
      yield* start
      const pair = yield* pairOf("ES256")
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server, signedOptions(yield* keySourceOf(keysOf([pair])), false))
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(
        server.asked[0]?.headers["accept"],
        "application/token-introspection+jwt, application/json;q=0.5"
      )
      server.respond = () =>
        Effect.map(Effect.flatMap(active(), (members) => signedAnswer(pair, members, { aud: "other" })), jwtResponse)
      assert.include(yield* reasonOf(tokens.validate(opaque("b"))), { problem: "signature", detail: "audience" })
    }))
})
