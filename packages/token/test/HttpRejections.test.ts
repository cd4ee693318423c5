/** How callers are rejected: with shared errors, counted by name, and explained in the log. */
import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { JwksError } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { metric, recording } from "@keelson/testing/observe"
import { audience, goodClaims, issuer, keysOf, pairOf, sign } from "@keelson/testing/tokens"
import { Context, Duration, Effect, Layer, type LogLevel, References } from "effect"
import { TestClock } from "effect/testing"
import { BearerAuthentication, type HttpSecurityOptions } from "../src/index.ts"
import { Rejector } from "../src/internal/http/rejector.ts"
import { Caller, keysDown, Tokens, tokensOf } from "./protectedServer.ts"

const cookie = { name: "__Host-token", origins: ["https://app.example"] }

const scene = Effect.fnUntraced(function*(options: HttpSecurityOptions.Options = {}) {
  yield* TestClock.adjust("20000 days")
  const pair = yield* pairOf("ES256")
  const context = yield* Layer.build(tokensOf(keysOf([pair])))
  const authentication = yield* Effect.provide(
    BearerAuthentication.make({ validator: Tokens, principal: Caller, ...options }),
    context
  )
  const good = yield* goodClaims
  const signed = (changes: Readonly<Record<string, unknown>> = {}, header: Readonly<Record<string, unknown>> = {}) =>
    sign(pair, { ...good, ...changes }, header)
  const authenticate = (token: string | undefined, method = "GET", ...more: ReadonlyArray<string>) =>
    authentication.authenticate({
      method,
      url: "/",
      rawHeaders: [...(token === undefined ? [] : ["Authorization", `Bearer ${token}`]), ...more]
    })
  const errorFor = (...args: Parameters<typeof authenticate>) => Effect.map(Effect.exit(authenticate(...args)), errorOf)
  return { authenticate, errorFor, signed, validate: Context.get(context, Tokens).validate }
})

const inspected = (value: object): ReadonlyArray<object> =>
  Object.values(value).flatMap((member: unknown) =>
    typeof member === "object" && member !== null && Object.getPrototypeOf(member) === Object.prototype
      ? [member, ...inspected(member)]
      : Array.isArray(member)
      ? [member]
      : []
  )

describe("Rejections of requests", () => {
  it.effect("[K-28 G3] [K-30] callers rejected for one reason get one error, which has no stack and cannot be changed", () =>
    Effect.scoped(Effect.gen(function*() {
      const { errorFor, signed, validate } = yield* scene()
      const tokens = [
        "x",
        yield* signed({ iss: "https://other.example" }),
        yield* signed({ aud: "other" }),
        yield* signed({ exp: 1, iat: 0 }),
        yield* signed({ jti: undefined }),
        yield* signed({ jti: 1 }),
        yield* signed({ roles: 1 }),
        yield* signed({}, { kid: "unknown" }),
        undefined
      ]
      for (const token of tokens) {
        const [first, second] = [yield* errorFor(token), yield* errorFor(token)]
        assert.strictEqual(first, second)
        assert.isFalse((first.stack ?? "").includes("\n    at "))
        for (const part of [first, ...inspected(first)]) assert.isTrue(Object.isFrozen(part))
        assert.throws(() => Object.assign(first, { message: "another" }), TypeError)
        if (token === undefined) continue
        const cause = errorOf(yield* Effect.exit(validate(token)))
        assert.strictEqual(cause, errorOf(yield* Effect.exit(validate(token))))
        for (const part of [cause, ...inspected(cause)]) assert.isTrue(Object.isFrozen(part))
        assert.strictEqual(String(first.cause), String(cause))
      }
      // It is still an error that can be yielded.
      const error = yield* errorFor("x")
      const yielded: Effect.Effect<never, unknown> = error
      assert.strictEqual(yield* Effect.flip(yielded), error)
    })))

  it.effect("[K-28 G3] [K-30] nothing is explained, logged or put into a span where nobody reads it", () =>
    Effect.scoped(Effect.gen(function*() {
      const cause = errorOf(yield* Effect.exit((yield* scene()).validate("x")))
      let explained = 0
      const rejector = new Rejector({ realm: "api" }, {
        count: () => {},
        explain: () => ({ asked: String(++explained) })
      })
      const { lines, record } = recording()
      const rejectedAt = (level: LogLevel.LogLevel) =>
        record(
          Effect.provideService(Effect.exit(rejector.tokenRejected(cause, "x")), References.MinimumLogLevel, level)
        )
      yield* rejectedAt("Info")
      assert.deepStrictEqual<unknown>([explained, lines], [0, []])
      yield* rejectedAt("Debug")
      assert.strictEqual(explained, 1)
      assert.lengthOf(lines, 1)
    })))

  it.effect("[K-28 G3] errors of two APIs are never the same", () =>
    Effect.scoped(Effect.gen(function*() {
      const [one, two] = [yield* scene({ realm: "one" }), yield* scene({ realm: "two" })]
      for (const token of ["x", undefined]) {
        assert.include((yield* one.errorFor(token)).headers, {
          "www-authenticate": `Bearer realm="one"${
            token === undefined ? "" : `, error="invalid_token", error_description="The access token is not accepted"`
          }`
        })
        assert.notStrictEqual(yield* one.errorFor(token), yield* two.errorFor(token))
      }
    })))

  it.effect("[K-28 G3] what differs for each caller stays right: how long to wait, and the scopes that are missing", () =>
    Effect.scoped(Effect.gen(function*() {
      for (const seconds of [1, 7, 1]) {
        const keys = keysDown(new JwksError.JwksUnavailable({ retryAfter: Duration.seconds(seconds) }))
        const context = yield* Layer.build(tokensOf(keys))
        const { authenticate } = yield* Effect.provide(
          BearerAuthentication.make({ validator: Tokens, principal: Caller }),
          context
        )
        const token = yield* sign(yield* pairOf("ES256"), yield* goodClaims)
        const exit = yield* Effect.exit(authenticate({ rawHeaders: ["authorization", `Bearer ${token}`] }))
        assert.deepInclude(errorOf(exit).headers, { "retry-after": String(seconds) })
      }
      const { authenticate, signed } = yield* scene()
      const caller = yield* authenticate(yield* signed())
      for (const scope of ["a", "b", "a"] as const) {
        const error = errorOf(yield* Effect.exit(caller.denyScopes(scope, "c")))
        assert.deepStrictEqual(error.scopes, [scope, "c"])
        assert.include(error.challenge, `scope="${scope} c"`)
      }
    })))

  it.effect("[K-28 E] a caller rejected for no scope gets a challenge without an error, since no other token would help", () =>
    Effect.scoped(Effect.gen(function*() {
      const { authenticate, signed } = yield* scene()
      const caller = yield* authenticate(yield* signed())
      const error = errorOf(yield* Effect.exit(Effect.provideService(Caller.require(() => false), Caller, caller)))
      assert.deepStrictEqual([error.status, error.challenge, error.scopes], [403, `Bearer realm="api"`, []])
      const scoped = errorOf(yield* Effect.exit(Effect.provideService(Caller.requireScopes("a"), Caller, caller)))
      assert.include(scoped.challenge, `error="insufficient_scope"`)
      assert.include(scoped.challenge, `scope="a"`)
    })))

  it.effect("[K-28 H5] every rejected request is counted by the name of its reason: 400, 401, 403 and 503", () =>
    Effect.scoped(Effect.gen(function*() {
      const { authenticate, errorFor, signed } = yield* scene({ cookie })
      const token = yield* signed()
      const count = (reason: string) =>
        metric("request_rejections_total", `validator="test/ApiTokens",reason="${reason}"`)
      const counted = Effect.fnUntraced(
        function*(reason: string, status: number, rejected: Effect.Effect<{ readonly status: number }>) {
          assert.strictEqual(yield* count(reason), 0, reason)
          assert.strictEqual((yield* rejected).status, status, reason)
          assert.strictEqual(yield* count(reason), 1, reason)
        }
      )
      yield* counted("TokenMissing", 401, errorFor(undefined))
      yield* counted("TokenMalformed", 400, errorFor("a b"))
      yield* counted("TokenRepeated", 400, errorFor(token, "GET", "Authorization", "Bearer x"))
      yield* counted("OtherOrigin", 403, errorFor(undefined, "POST", "Cookie", `${cookie.name}=${token}`))
      yield* counted("AudienceMismatch", 401, Effect.flatMap(signed({ aud: "other" }), (other) => errorFor(other)))
      yield* counted("TokenExpired", 401, Effect.flatMap(signed({ exp: 1, iat: 0 }), (expired) => errorFor(expired)))
      yield* counted("KeyNotFound", 401, Effect.flatMap(signed({}, { kid: "x" }), (unknown) => errorFor(unknown)))
      const caller = yield* authenticate(token)
      yield* counted("CallerDenied", 403, Effect.flip(caller.deny))
      yield* counted("ScopesMissing", 403, Effect.flip(caller.denyScopes("a")))
      assert.strictEqual(yield* metric("token_validations_total", `validator="test/ApiTokens",result="accepted"`), 1)
    })).pipe(Effect.provide(Layer.fresh(Metrics.layerIsolated))))

  it.effect("[K-28 H2] one debug line says why: the reason by its name, what the policy expected, and how to run Explain", () =>
    Effect.scoped(Effect.gen(function*() {
      const { errorFor, signed } = yield* scene()
      const lineOf = Effect.fnUntraced(function*(token: string | undefined) {
        const { lines, record } = recording()
        yield* Effect.provideService(record(errorFor(token)), References.MinimumLogLevel, "Debug")
        const own = lines.filter((line) => line.includes("Request rejected"))
        assert.strictEqual(own.length, 1, lines.join("\n"))
        return own[0] ?? ""
      })
      const cases: ReadonlyArray<readonly [string | undefined, ReadonlyArray<string>]> = [
        [undefined, ["TokenMissing", "TOKEN_MISSING"]],
        [yield* signed({ aud: "other" }), [
          "AudienceMismatch",
          "JWT-005",
          "TOKEN_AUDIENCE_MISMATCH",
          `aud contains one of`,
          audience
        ]],
        [yield* signed({ exp: 1, iat: 0 }), ["TokenExpired", "exp is in the future, with a tolerance of 30s"]],
        [yield* signed({}, { typ: "JWT" }), ["TypeMismatch", "typ is one of", "at+jwt"]],
        [yield* signed({ jti: undefined }), ["ClaimMissing", "the claims", "client_id"]],
        [yield* signed({ iss: "https://other.example/x" }), [
          "IssuerUntrusted",
          "iss is one of",
          issuer,
          "received",
          "https://other.example/x"
        ]]
      ]
      for (const [token, parts] of cases) {
        const line = yield* lineOf(token)
        for (const part of parts) assert.include(line, part)
        if (token !== undefined) assert.include(line, "Explain.explain(validator, token)")
        if (token !== undefined) assert.notInclude(line, token.split(".")[2] ?? "")
      }
    })))

  it.effect("[K-28 H2] [R21] the issuer of a token in the log is redacted, escaped and short", () =>
    Effect.scoped(Effect.gen(function*() {
      const { errorFor, signed } = yield* scene()
      const { lines, record } = recording()
      const hostile = [
        "https://user:secret-in-url@other.example/",
        "https://other.example/\nERROR a forged line \u202e",
        `https://other.example/${"x".repeat(3000)}`
      ]
      for (const iss of hostile) {
        const token = yield* signed({ iss })
        yield* Effect.provideService(record(errorFor(token)), References.MinimumLogLevel, "Debug")
      }
      const own = lines.filter((line) => line.includes("IssuerUntrusted"))
      assert.strictEqual(own.length, hostile.length)
      for (const line of own) {
        assert.notInclude(line, "secret-in-url")
        assert.notInclude(line, "\u202e")
        assert.isBelow(line.length, 1200)
      }
    })))
})
