import { assert, describe, it } from "@effect/vitest"
import { JwksError, KeySource } from "@keelson/jwks"
import { goodClaims, keysOf, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { TokenValidator, ValidationPolicy } from "../src/index.ts"
import { isJwtShaped } from "../src/internal/introspection/tokenForm.ts"
import { answering, inactive, makeEndpoint, mixed, opaque } from "./introspectionSupport.ts"

const scene = Effect.fnUntraced(function*(
  more: TokenValidator.MixedOptions & { readonly policy?: Partial<ValidationPolicy.Options> } = {}
) {
  yield* TestClock.adjust("20000 days")
  const pair = yield* pairOf("ES256")
  const server = makeEndpoint(answering())
  const tokens = yield* mixed(server, keysOf([pair]), more)
  const claims = yield* goodClaims
  const signed = (members: Readonly<Record<string, unknown>> = {}, header: Readonly<Record<string, unknown>> = {}) =>
    sign(pair, { ...claims, ...members }, { typ: "JWT", ...header })
  return { pair, server, tokens, claims, signed }
})

describe("JWTs and opaque tokens in one validator", () => {
  it("[K-23] a token has the form of a JWT if it has three or five segments and begins as a JSON object", () => {
    const encode = (text: string) => Buffer.from(text).toString("base64url")
    for (const header of ["{}", "{\"alg\":\"none\"}", "{ \"alg\":1}", "{\n}", "{\t}", "{\r\n}"]) {
      assert.isTrue(isJwtShaped(`${encode(header)}.x.y`), header)
      assert.isTrue(isJwtShaped(`${encode(header)}.a.b.c.d`), header)
      for (const other of ["", ".x", ".a.b.c", ".a.b.c.d.e"]) assert.isFalse(isJwtShaped(encode(header) + other))
    }
    for (
      const text of ["", "a.b.c", "v4.public.abc", "2YotnFZFEjr1zCsicMWpAA", "ya29.a0Af.x", "..", `${encode("[]")}.a.b`]
    ) {
      assert.isFalse(isJwtShaped(text), text)
    }
  })

  it.effect("[K-23] no JWT is ever sent to the authorization server, for whatever reason it is rejected", () =>
    Effect.gen(function*() {
      const { pair, server, signed, tokens } = yield* scene()
      const good = yield* signed()
      const stranger = yield* pairOf("ES256", "stranger")
      const rejected: ReadonlyArray<readonly [string, string]> = [
        ["SignatureInvalid", `${good.slice(0, -8)}AAAAAAAA`],
        ["KeyNotFound", yield* signed({}, { kid: "unknown" })],
        ["SignatureInvalid", yield* sign({ ...stranger, kid: pair.kid }, yield* goodClaims, { typ: "JWT" })],
        ["TypeMismatch", yield* signed({}, { typ: "at+jwt" })],
        ["IssuerUntrusted", yield* signed({ iss: "https://evil.example" })],
        ["AudienceMismatch", yield* signed({ aud: "other" })],
        ["TokenExpired", yield* signed({ exp: 1 })],
        ["ClaimMissing", yield* signed({ exp: undefined })],
        ["TokenMalformed", good.replace(/\.[^.]*$/, ".")],
        ["TokenMalformed", `${good}.a.b`],
        ["AlgorithmUnsupported", "eyJhbGciOiJub25lIn0.e30."]
      ]
      for (const [tag, token] of rejected) {
        const reason = yield* reasonOf(tokens.validate(token))
        if (tag === "TokenMalformed") assert.include(["TokenMalformed", "SignatureInvalid"], reason._tag)
        else assert.strictEqual(reason._tag, tag)
      }
      assert.strictEqual(server.asked.length, 0)
      yield* tokens.validate(good)
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] a JWT whose keys are unavailable is a 503, and is not introspected", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("20000 days")
      const server = makeEndpoint(answering())
      const down = Layer.succeed(KeySource.KeySource, {
        find: () => Effect.fail(new JwksError.JwksUnavailable())
      })
      const tokens = yield* mixed(server, down, { rejectedJwts: "introspect" })
      const jwt = yield* sign(yield* pairOf("ES256"), yield* goodClaims, { typ: "JWT" })
      assert.strictEqual((yield* reasonOf(tokens.validate(jwt)))._tag, "KeysUnavailable")
      assert.strictEqual(server.asked.length, 0)
    }))

  it.effect("[K-23] with `introspect`, JWTs that cannot be judged here are introspected, and no others", () =>
    Effect.gen(function*() {
      const { server, signed, tokens } = yield* scene({ rejectedJwts: "introspect" })
      const unknown = yield* signed({}, { kid: "unknown" })
      assert.strictEqual((yield* tokens.validate(unknown)).claims.sub, "ada")
      assert.strictEqual((yield* tokens.validate(unknown)).claims.sub, "ada")
      assert.strictEqual(server.asked.length, 1)
      yield* tokens.validate(yield* signed({}, { typ: "other" }))
      yield* tokens.validate(yield* signed({ iss: "https://other.example" }))
      yield* tokens.validate("eyJhbGciOiJub25lIn0.e30.")
      assert.strictEqual(server.asked.length, 4)
      const good = yield* signed()
      assert.strictEqual((yield* tokens.validate(good)).claims.sub, "user-1")
      for (
        const [tag, token] of [
          ["SignatureInvalid", `${good.slice(0, -8)}AAAAAAAA`],
          ["TokenExpired", yield* signed({ exp: 1 })],
          ["AudienceMismatch", yield* signed({ aud: "other" })]
        ] as const
      ) {
        assert.strictEqual((yield* reasonOf(tokens.validate(token)))._tag, tag)
        assert.strictEqual((yield* reasonOf(tokens.validate(token)))._tag, tag)
      }
      assert.strictEqual(server.asked.length, 4)
    }))

  it.effect("[K-23] with `introspect`, a rejection here does not outlive the acceptance by the server", () =>
    Effect.gen(function*() {
      const { server, signed, tokens } = yield* scene({ rejectedJwts: "introspect" })
      const unknown = yield* signed({}, { kid: "unknown" })
      server.respond = inactive
      assert.strictEqual((yield* reasonOf(tokens.validate(unknown)))._tag, "TokenInactive")
      yield* tokens.invalidate
      server.respond = answering()
      yield* tokens.validate(unknown)
      yield* tokens.invalidate
      yield* tokens.validate(unknown)
      assert.strictEqual(server.asked.length, 3)
    }))

  it.effect("[K-23] the claims that a profile requires are those of JWTs", () =>
    Effect.gen(function*() {
      const { signed, tokens } = yield* scene({ policy: { profile: "accessToken" } })
      const reason = yield* reasonOf(tokens.validate(yield* signed({ jti: undefined }, { typ: "at+jwt" })))
      assert.deepStrictEqual(reason, { _tag: "ClaimMissing", claim: "jti" })
      assert.strictEqual((yield* tokens.validate(opaque("a"))).claims.sub, "ada")
    }))

  it.effect("[K-23] `skipExpiry` applies to JWTs", () =>
    Effect.gen(function*() {
      const { signed, tokens } = yield* scene()
      const expired = yield* signed({ exp: 1 })
      yield* tokens.validateWith(expired, { skipExpiry: true })
      assert.strictEqual((yield* reasonOf(tokens.validate(expired)))._tag, "TokenExpired")
    }))

  it.effect("[K-23] `invalidate` empties the cache of both", () =>
    Effect.gen(function*() {
      const { server, tokens } = yield* scene()
      yield* tokens.validate(opaque("a"))
      yield* tokens.invalidate
      yield* tokens.validate(opaque("a"))
      assert.strictEqual(server.asked.length, 2)
    }))
})
