import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Context, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Explain from "../src/Explain.ts"
import type { Introspection } from "../src/index.ts"
import {
  answering,
  inactive,
  introspected,
  json,
  makeEndpoint,
  mixed,
  opaque,
  OpaqueTokens,
  type Respond
} from "./introspectionSupport.ts"
import { baseUrl, makeProof, proofSigner } from "./proofSupport.ts"

const subject = "subject-that-nobody-may-see"

const explained = Effect.fnUntraced(function*(
  respond: Respond,
  options: Explain.Options = { introspect: true },
  token = opaque("secret"),
  more: Partial<Introspection.Options> = {}
) {
  yield* TestClock.setTime(20_000 * 86_400_000)
  const server = makeEndpoint(respond)
  const tokens = yield* introspected(server, more)
  const explanation = yield* Effect.provideContext(
    Explain.explain(OpaqueTokens, token, options),
    Context.make(OpaqueTokens, tokens)
  )
  const { accepted, checks, reason } = explanation
  const by = (status: Explain.Check["status"]) => checks.filter((one) => one.status === status).map(({ name }) => name)
  return { accepted, reason, checks, by, server, tokens, text: Explain.render(explanation) }
})

describe("Explain for introspected tokens", () => {
  it.effect("[R8] [K-23] sends the token nowhere unless told to", () =>
    Effect.gen(function*() {
      const { accepted, by, checks, reason, server, text } = yield* explained(answering(), {})
      assert.strictEqual(server.asked.length, 0)
      assert.isFalse(accepted)
      assert.isUndefined(reason)
      assert.deepStrictEqual(by("pass"), ["form"])
      assert.deepInclude(checks, { name: "introspection", status: "notReached", needs: "introspect" })
      assert.include(text, "undecided")
      assert.include(text, "the authorization server was not asked: set the option introspect")
      assert.notInclude(text, "accepted")
    }))

  it.effect("[R8] [K-23] a token that the validator accepts passes all checks, without filling its cache", () =>
    Effect.gen(function*() {
      const { accepted, by, server, text, tokens } = yield* explained(answering({ sub: subject }))
      assert.isTrue(accepted)
      assert.deepStrictEqual(by("pass"), [
        "form",
        "introspection",
        "tokenType",
        "registeredClaims",
        "issuer",
        "audience",
        "expiry",
        "notBefore",
        "issuedAt",
        "requiredClaims",
        "schema"
      ])
      assert.deepStrictEqual([...by("fail"), ...by("notReached")], [])
      assert.match(text, /^accepted\n/)
      assert.notInclude(text, subject)
      assert.notInclude(text, opaque("secret"))
      yield* tokens.validate(opaque("secret"))
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("[R8] [K-23] shows what was answered against what is expected, and hides values unless told", () =>
    Effect.gen(function*() {
      const members = { aud: "other-api", exp: 1, token_type: "mac", sub: subject, roles: "admin" }
      const { by, reason, text } = yield* explained(answering(members))
      assert.deepStrictEqual(by("fail"), ["tokenType", "audience", "expiry", "schema"])
      assert.deepStrictEqual(reason, { _tag: "TypeMismatch" })
      for (const expected of ["Expected: aud contains one of \"api\"", "Expected: token_type is Bearer or DPoP"]) {
        assert.include(text, expected)
      }
      for (const hidden of ["other-api", subject, "mac", "admin"]) assert.notInclude(text, hidden)
      const shown = yield* explained(answering(members), { introspect: true, showValues: true })
      for (const value of ["\"token_type\": \"mac\"", "\"aud\": \"other-api\"", "\"exp\": 1 (1970-01-01"]) {
        assert.include(shown.text, value)
      }
      assert.notInclude(shown.text, opaque("secret"))
    }))

  it.effect("[R8] [K-23] says that a token is inactive, or why the server gave no answer", () =>
    Effect.gen(function*() {
      const rejected = yield* explained(inactive)
      assert.deepStrictEqual(rejected.reason, { _tag: "TokenInactive" })
      assert.include(rejected.text, "JWT-017 TOKEN_INACTIVE")
      assert.deepStrictEqual(rejected.by("notReached").length > 5, true)
      const down = yield* explained(() => Effect.succeed(json({}, 403)))
      assert.include(down.text, "JWT-018 INTROSPECTION_UNAVAILABLE: The token could not be introspected (refused)")
    }).pipe(quiet))

  it.effect("[R8] [K-23] the reason is the validator's, for any answer", () =>
    Effect.gen(function*() {
      const all = [
        {},
        { aud: "other" },
        { exp: 1 },
        { exp: undefined },
        { iss: "https://evil.example" },
        { token_type: "N_A" },
        { roles: 7 },
        { nbf: 1e11 },
        { sub: 7, token_type: "x" },
        { aud: "x", exp: 1 }
      ]
      for (const members of all) {
        const { reason, tokens } = yield* explained(answering(members))
        const own = yield* Effect.match(tokens.validate(opaque("again")), {
          onFailure: ({ reason }) => reason,
          onSuccess: () => undefined
        })
        assert.deepStrictEqual(reason, own)
      }
    }))

  it.effect("[R8] [K-23] checks whether the request proves the key of a bound token", () =>
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const token = opaque("secret")
      const security = { dpop: "required", baseUrls: [baseUrl] } as const
      const respond = answering({ cnf: { jkt: signer.jkt } })
      const explainedFor = Effect.fnUntraced(function*(htm: string) {
        yield* TestClock.setTime(20_000 * 86_400_000)
        const proof = yield* makeProof(signer, token, { htm })
        const request = { method: "GET", url: "/me", proof }
        return yield* explained(respond, { introspect: true, request, security })
      })
      const good = yield* explainedFor("GET")
      assert.isTrue(good.accepted)
      assert.include(good.by("pass"), "proofSignature")
      const bad = yield* explainedFor("POST")
      assert.deepStrictEqual([bad.accepted, bad.by("fail")], [false, ["proofMethod"]])
      assert.include(bad.text, "htm is \"GET\"")
      const request = { method: "GET", url: "/me" }
      const unbound = yield* explained(answering(), { introspect: true, request, security })
      assert.deepStrictEqual(unbound.reason, { _tag: "TokenUnbound" })
      const undecided = yield* explained(respond, { request, security })
      assert.isFalse(undecided.accepted)
      assert.strictEqual(undecided.server.asked.length, 0)
    }))

  it.effect("[R8] [K-23] a text that cannot be a token is never sent", () =>
    Effect.gen(function*() {
      const { reason, server, text } = yield* explained(answering(), { introspect: true }, "not a token")
      assert.deepStrictEqual(reason, { _tag: "TokenMalformed", part: "token", problem: "encoding" })
      assert.strictEqual(server.asked.length, 0)
      assert.include(text, "text with the syntax of a bearer token, with at most 16384 characters")
    }))

  it.effect("[R8] [K-23] checks the options of the call", () =>
    Effect.gen(function*() {
      const { by } = yield* explained(answering(), {
        introspect: true,
        audience: "other",
        issuer: "https://evil.example",
        requiredClaims: ["jti"],
        skipExpiry: true
      })
      assert.deepStrictEqual(by("fail"), ["callAudience", "callIssuer", "callClaims"])
      assert.include(by("pass"), "expiry")
    }))

  it.effect("[R8] [K-23] a mixed validator explains a JWT as a JWT, whose signature it checks", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("20000 days")
      const server = makeEndpoint(answering())
      const tokens = yield* mixed(server, keysOf([yield* pairOf("ES256")]))
      const explain = (token: string) =>
        Effect.provideContext(
          Explain.explain(OpaqueTokens, token, { introspect: true }),
          Context.make(OpaqueTokens, tokens)
        )
      const jwt = yield* explain("eyJhbGciOiJub25lIn0.e30.")
      assert.deepStrictEqual(jwt.reason, { _tag: "AlgorithmUnsupported" })
      assert.strictEqual(server.asked.length, 0)
      assert.isTrue((yield* explain(opaque("a"))).accepted)
    }))
})
