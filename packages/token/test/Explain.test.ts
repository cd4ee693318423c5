import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import {
  audience,
  goodClaims,
  issuer,
  keysOf,
  pairOf,
  reasonOf,
  RevocableTokens,
  sign,
  Tokens
} from "@keelson/testing/tokens"
import { Cause, Context, Effect, Exit, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import * as Explain from "../src/Explain.ts"
import { Claims, Revocation, TokenValidator, ValidationPolicy } from "../src/index.ts"
import { checkNames } from "../src/internal/explain/checkNames.ts"
import { inMillis } from "./RevocationSuite.ts"

class Logins extends TokenValidator.Service<Logins>()("test/ExplainedLogins", { claims: Claims.IdToken }) {}

const algorithms = ["ES256"] as const
const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms, maxAge: "1 hour" })
const loginPolicy = ValidationPolicy.idToken({
  issuers: [issuer],
  audiences: [audience],
  authorizedParties: [audience],
  algorithms
})

/** Validators of access tokens and ID tokens, a revocation list, and a trusted key. */
const scene = Effect.gen(function*() {
  yield* TestClock.setTime(1_800_000_000_000)
  const pair = yield* pairOf("ES256")
  const validators = Layer.merge(RevocableTokens.layer(policy), Logins.layer(loginPolicy))
  const context = yield* Layer.build(
    Layer.provideMerge(validators, Layer.merge(keysOf([pair]), Revocation.layerMemory()))
  )
  const claims = yield* goodClaims
  return {
    context,
    signed: (changes: Readonly<Record<string, unknown>> = {}, header: Readonly<Record<string, unknown>> = {}) =>
      sign(pair, { ...claims, ...changes }, header),
    explain: (token: string, options?: Explain.Options) =>
      Effect.provideContext(Explain.explain(RevocableTokens, token, options), context),
    tokens: Context.get(context, RevocableTokens),
    list: Context.get(context, Revocation.Revocation)
  }
})

const named = (checks: ReadonlyArray<Explain.Check>, status: Explain.Check["status"]) =>
  checks.filter((check) => check.status === status).map(({ name }) => name)

const needsOf = ({ checks }: Explain.Explanation) =>
  Object.fromEntries(checks.flatMap((check) => check.status === "notReached" ? [[check.name, check.needs]] : []))

/** Replaces one segment of a token. */
const withPart = (token: string, place: number, part: string) => token.split(".").with(place, part).join(".")

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

describe("Explain", () => {
  it.effect("[R8] a valid token passes all checks of policy and call, in order", () =>
    Effect.gen(function*() {
      const { explain, signed, tokens } = yield* scene
      const token = yield* signed()
      const { accepted, checks, reason } = yield* explain(token)
      assert.isTrue(accepted)
      assert.isUndefined(reason)
      const asked = new Set(checks.map(({ name }) => name))
      assert.deepStrictEqual([...asked], checkNames.filter((name) => asked.has(name)))
      const unasked = [
        "introspection",
        "tokenType",
        "authorizedParty",
        "spiffeId",
        "callAudience",
        "callIssuer",
        "callClaims",
        "nonce",
        "accessTokenHash",
        "codeHash"
      ]
      // Those of a request with a bound token are in ExplainBinding.test.ts.
      const ofRequest = checkNames.slice(checkNames.indexOf("binding"))
      assert.sameMembers(checkNames.filter((name) => !asked.has(name)), [...unasked, ...ofRequest])
      yield* tokens.validate(token)
    }))

  it.effect("[R8] continues after a failed check: all problems of a token show at once, the validator's reason first", () =>
    Effect.gen(function*() {
      const { explain, signed, tokens } = yield* scene
      const token = yield* signed({ exp: 0, iat: 0, aud: "others", sub: undefined }, { typ: "JWT" })
      const explanation = yield* explain(token)
      assert.deepStrictEqual(
        named(explanation.checks, "fail"),
        ["type", "audience", "expiry", "age", "requiredClaims", "schema"]
      )
      assert.deepStrictEqual(named(explanation.checks, "notReached"), [])
      assert.deepStrictEqual(explanation.reason, { _tag: "TypeMismatch" })
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TypeMismatch" })
    }))

  it.effect("[R8] a check that cannot be made names the check that it needs", () =>
    Effect.gen(function*() {
      const { explain, signed } = yield* scene
      const token = yield* signed()
      assert.deepStrictEqual(
        new Set(Object.values(needsOf(yield* explain("a.b")))),
        new Set(["form", "header", "payload", "registeredClaims", "key", "signature"])
      )
      const noHeader = yield* explain(withPart(token, 0, encoded({ alg: 1 })))
      assert.deepStrictEqual(named(noHeader.checks, "fail"), ["header"])
      assert.deepStrictEqual(needsOf(noHeader), {
        algorithm: "header",
        type: "header",
        key: "header",
        signature: "key",
        trust: "signature",
        revocation: "signature"
      })
      const noClaims = needsOf(yield* explain(withPart(token, 1, encoded({ iss: issuer, aud: audience, exp: "1" }))))
      assert.deepInclude(noClaims, {
        issuer: "registeredClaims",
        key: "registeredClaims",
        audience: "registeredClaims"
      })
      assert.deepInclude(needsOf(yield* explain(withPart(token, 2, "AA=="))), { key: "signatureEncoding" })
    }))

  it.effect("[R8] [R3] keys are not looked up for an untrusted issuer or an algorithm that is not allowed", () =>
    Effect.gen(function*() {
      const { signed } = yield* scene
      let lookups = 0
      const keys = Layer.succeed(KeySource.KeySource, {
        find: () => {
          lookups++
          return Effect.die("keys must not be looked up")
        }
      })
      const tokens = Layer.provide(Tokens.layer(policy), keys)
      const foreign = yield* signed({ iss: `${issuer}/` })
      const other = withPart(yield* signed(), 0, encoded({ alg: "none", typ: "at+jwt" }))
      for (const [token, needs] of [[foreign, "issuer"], [other, "algorithm"]] as const) {
        const explanation = yield* Effect.provide(Explain.explain(Tokens, token), tokens)
        assert.deepInclude(needsOf(explanation), { key: needs, signature: "key" })
        assert.deepInclude(named(explanation.checks, "pass"), "audience")
      }
      assert.strictEqual(lookups, 0)
    }))

  it.effect("[R8] [K-04] reports a revoked token and an unavailable list only for tokens with a valid signature", () =>
    Effect.gen(function*() {
      const { explain, list, signed } = yield* scene
      const token = yield* signed()
      yield* list.revoke({ issuer, sub: "user-1" }, yield* inMillis(3_600_000))
      assert.deepStrictEqual((yield* explain(token)).reason, { _tag: "TokenRevoked" })
      const expired = yield* explain(yield* signed({ exp: 0 }))
      assert.deepStrictEqual(named(expired.checks, "fail"), ["expiry", "revocation"])
      const forged = yield* explain(withPart(token, 2, "A".repeat(86)))
      assert.deepInclude(needsOf(forged), { revocation: "signature" })
      const failing = Layer.succeed(Revocation.Revocation, {
        isRevoked: () => Effect.fail(new Revocation.RevocationUnavailable({ reason: "store" })),
        revoke: () => Effect.void
      })
      const tokens = Layer.provide(
        RevocableTokens.layer(policy),
        Layer.merge(keysOf([yield* pairOf("ES256")]), failing)
      )
      const { reason } = yield* Effect.provide(Explain.explain(RevocableTokens, token), tokens)
      assert.deepStrictEqual(reason, { _tag: "RevocationUnavailable" })
    }))

  it.effect("[R8] checks each option of the call separately", () =>
    Effect.gen(function*() {
      const { context, explain, signed } = yield* scene
      const token = yield* signed()
      const cases = [
        [{ audience: "other" }, "callAudience"],
        [{ issuer: `${issuer}/` }, "callIssuer"],
        [{ requiredClaims: ["sub", "tenant"] }, "callClaims"],
        [{ nonce: "n" }, "nonce"],
        [{ accessToken: "x" }, "accessTokenHash"]
      ] as const
      for (const [options, name] of cases) {
        assert.deepStrictEqual(named((yield* explain(token, options)).checks, "fail"), [name])
      }
      assert.isTrue((yield* explain(token, { audience, issuer, requiredClaims: ["sub"] })).accepted)
      const expired = yield* signed({ exp: 0 })
      assert.isTrue((yield* explain(expired, { skipExpiry: true })).accepted)
      assert.isFalse((yield* explain(expired)).accepted)
      const login = yield* signed({ azp: "other" }, { typ: "JWT" })
      const explanation = yield* Effect.provideContext(Explain.explain(Logins, login), context)
      assert.deepStrictEqual(named(explanation.checks, "fail"), ["authorizedParty", "nonce"])
    }))

  it.effect("[R8] an access token's hash is not checked with an algorithm that is not allowed", () =>
    Effect.gen(function*() {
      const { explain, signed } = yield* scene
      const token = withPart(yield* signed({ at_hash: "x" }), 0, encoded({ alg: "none" }))
      assert.deepInclude(needsOf(yield* explain(token, { accessToken: "x" })), { accessTokenHash: "algorithm" })
    }))

  it.effect("[R8] touches no cache, and counts nothing", () =>
    Effect.gen(function*() {
      const { explain, signed, tokens } = yield* scene
      const [token, expired] = [yield* signed(), yield* signed({ exp: 0 })]
      const metrics = Effect.map(
        PrometheusEndpoint.format,
        (text) => text.split("\n").filter((line) => line.startsWith("keelson_token_") && !line.endsWith(" 0"))
      )
      for (const one of [token, token, expired]) yield* explain(one)
      assert.deepStrictEqual(yield* metrics, [])
      yield* tokens.validate(token)
      yield* Effect.flip(tokens.validate(expired))
      const before = yield* metrics
      for (const one of [token, token, expired]) yield* explain(one, { showValues: true })
      assert.deepStrictEqual(yield* metrics, before)
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[R8] handles input that is not a token as the validator does", () =>
    Effect.gen(function*() {
      const { context, tokens } = yield* scene
      const wiped = Redacted.make("x")
      Redacted.wipeUnsafe(wiped)
      for (const token of ["", ".", "..", "....", "x".repeat(20_000), Redacted.make("a.b.c"), wiped]) {
        const explanation = yield* Effect.provideContext(Explain.explain(RevocableTokens, token), context)
        assert.deepStrictEqual(explanation.reason, yield* reasonOf(tokens.validate(token)))
      }
    }))

  it.effect("[R8] dies for a mock of a validator", () =>
    Effect.gen(function*() {
      const { tokens } = yield* scene
      const exit = yield* Effect.exit(Effect.provideService(Explain.explain(Tokens, "x"), Tokens, { ...tokens }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }))

  it("[R8] no other module imports it, and it imports no HTTP", () => {
    const root = join(import.meta.dirname, "..", "..")
    const sources = globSync("*/src/**/*.ts", { cwd: root }).map((path) => ({
      path,
      imports: [...readFileSync(join(root, path), "utf8").matchAll(/^(import|export) (.*?)from "(.*)"$/gm)]
    }))
    assert.isAbove(sources.length, 100)
    for (const { imports, path } of sources) {
      const isOwn = path.includes("explain/") || basename(path) === "Explain.ts"
      for (const [, , names = "", from = ""] of imports) {
        if (isOwn) assert.notMatch(from, /http/i, path)
        else if (!names.startsWith("type ")) assert.notMatch(from, /\/Explain|explain\//, path)
      }
    }
  })
})
