/** Hostile tokens for policies that the corpus does not use: fewer algorithms, many tenants, ID tokens, a maximum age. */
import { assert, describe, it } from "@effect/vitest"
import { StaticKeys } from "@keelson/jwks"
import { reasonOf, validatorOf } from "@keelson/testing/tokens"
import { Context, Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import { Claims, type TokenError, TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { hmacToken, nones, publicForms } from "./algorithms.ts"
import {
  algorithmUnsupported,
  audienceMismatch,
  invalid,
  issuerUntrusted,
  missing,
  notFound,
  shown,
  signatureInvalid,
  withClaims,
  withHeader
} from "./case.ts"
import { audience, canary, type Control, controlOf, issuer, keysOf, makeKeys, now } from "./control.ts"
import { type Alg, encode, signTexts } from "./signer.ts"

let made: ReturnType<typeof makeKeys> | undefined
const control = (alg: Alg): Effect.Effect<Control> =>
  Effect.promise(async () => controlOf(await (made ??= makeKeys()), alg))

type Members = Readonly<Record<string, unknown>>
type Expected = readonly [name: string, token: string | Promise<string>, reason: TokenError.Reason]

/** The cases whose reason differs from the expected one. */
const mismatches = <C>(
  validate: TokenValidator.TokenValidator<C>["validate"],
  cases: ReadonlyArray<Expected>
): Effect.Effect<ReadonlyArray<unknown>> =>
  Effect.map(
    Effect.forEach(cases, ([name, token, reason]) =>
      Effect.gen(function*() {
        const got = yield* reasonOf(validate(yield* Effect.promise(async () => token)))
        return JSON.stringify(got) === JSON.stringify(reason) ? [] : [{ name, got }]
      })),
    (found) => found.flat()
  )

const asymmetric = ["RS256", "ES256", "EdDSA"] as const
const base = { issuers: [issuer], audiences: [audience] }

describe("Hostile tokens for other policies", () => {
  for (const alg of asymmetric) {
    it.effect(`[S4-36] [T1] rejects public keys used as secrets, whether HS256 is forbidden or allowed without a secret (${alg})`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const good = yield* control(alg)
        const only = yield* validatorOf(
          ValidationPolicy.accessToken({ ...base, algorithms: [alg] }),
          keysOf(issuer, [good.signer])
        )
        const loose = yield* validatorOf(
          ValidationPolicy.accessToken({ ...base, algorithms: [alg, "HS256", "HS384", "HS512"] }),
          keysOf(issuer, [good.signer])
        )
        for (const tokens of [only, loose]) yield* tokens.validate(good.token)
        for (const [name, form] of Object.entries(publicForms)) {
          const named = yield* Effect.promise(() => hmacToken(good, form(good.signer), good.signer.kid))
          const unnamed = yield* Effect.promise(() => hmacToken(good, form(good.signer)))
          assert.deepStrictEqual(
            yield* mismatches(only.validate, [
              [`${name}, named`, named, algorithmUnsupported],
              [`${name}, unnamed`, unnamed, algorithmUnsupported]
            ]),
            []
          )
          assert.deepStrictEqual(
            yield* mismatches(loose.validate, [
              [`${name}, named`, named, notFound("mismatched")],
              [`${name}, unnamed`, unnamed, notFound("unknown")]
            ]),
            []
          )
        }
        const text = nones.map((none) =>
          `${encode(JSON.stringify({ ...good.header, alg: none }))}.${encode(JSON.stringify(good.claims))}.`
        )
        assert.deepStrictEqual(
          yield* mismatches(loose.validate, text.map((token) => [token, token, algorithmUnsupported])),
          []
        )
      }))
  }

  const template = "https://login.example/{tenantid}/v2.0"
  const of = (tenant: string): string => template.replace("{tenantid}", () => tenant)
  const strangers = [
    template,
    ...[
      "c",
      "A",
      "a/",
      "a ",
      " a",
      "",
      ".",
      "..",
      "a/../c",
      "a%2F",
      "a\u0000",
      "\u0430",
      "\uFF41",
      "{tenantid}",
      "*",
      "a,b",
      "common",
      "organizations",
      "a/v2.0/b",
      "__proto__"
    ].map(of),
    of("a").replace("https", "http"),
    of("a").replace("login.example", "LOGIN.example"),
    `${of("a")}/`,
    of("a").slice(0, -1),
    `https://${canary}.example/a/v2.0`
  ]

  it.effect("[R3] a template trusts only the listed tenants, however similar another name is", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const good = yield* control("ES256")
      const tokens = yield* validatorOf(
        ValidationPolicy.accessToken({ ...base, issuers: [{ template, tenants: ["a", "b"] }], algorithms: ["ES256"] }),
        keysOf(template, [good.signer])
      )
      for (const iss of ["a", "b"].map(of)) {
        yield* tokens.validate(yield* Effect.promise(() => withClaims(good, { iss })))
      }
      const cases = strangers.map((iss): Expected => [iss, withClaims(good, { iss }), issuerUntrusted])
      assert.deepStrictEqual(yield* mismatches(tokens.validate, cases), [])
      const arrays = [[of("a")], { iss: of("a") }, null, 1]
      const shapes = arrays.map((iss): Expected => [shown(iss), withClaims(good, { iss }), invalid("iss")])
      assert.deepStrictEqual(yield* mismatches(tokens.validate, shapes), [])
    }))

  it.effect("[R3] a key that names its issuer verifies no other issuer's tokens, with or without a kid", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const good = yield* control("ES256")
      const source = (named: string) =>
        StaticKeys.layer({
          issuers: [issuer],
          keys: [{ id: good.signer.kid, algorithm: "ES256", jwk: { ...good.signer.jwk, issuer: named } }]
        })
      const policy = ValidationPolicy.accessToken({ ...base, algorithms: ["ES256"] })
      yield* (yield* validatorOf(policy, source(issuer))).validate(good.token)
      for (
        const named of [`${issuer}/`, issuer.toUpperCase(), "https://other.example", `https://${canary}.example`, "*"]
      ) {
        const tokens = yield* validatorOf(policy, source(named))
        const reason: TokenError.Reason = { _tag: "KeyNotFound", reason: "mismatched", keyIssuer: named }
        assert.deepStrictEqual(
          yield* mismatches(tokens.validate, [
            [`${named}, named`, good.token, reason],
            [`${named}, unnamed`, withHeader(good, { kid: undefined }), reason]
          ]),
          []
        )
      }
    }))

  it.effect("[T1] [K-08] a maximum age requires iat, and limits a token whose exp is far in the future", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const good = yield* control("EdDSA")
      const tokens = yield* validatorOf(
        ValidationPolicy.jwt({ ...base, algorithms: ["EdDSA"], types: ["at+jwt"], maxAge: Duration.minutes(5) }),
        keysOf(issuer, [good.signer])
      )
      yield* tokens.validate(good.token)
      const aged = (iat: unknown, reason: TokenError.Reason): Expected => [
        shown(iat),
        withClaims(good, { iat, exp: now + 1e9, nbf: undefined }),
        reason
      ]
      assert.deepStrictEqual(
        yield* mismatches(tokens.validate, [
          aged(undefined, missing("iat")),
          aged(now - 330, { _tag: "TokenTooOld" }),
          aged(now - 331.5, { _tag: "TokenTooOld" }),
          aged(0, { _tag: "TokenTooOld" }),
          aged(now + 31, { _tag: "TokenNotYetValid", claim: "iat" }),
          aged(-1, invalid("iat")),
          aged(String(now), invalid("iat")),
          aged(null, invalid("iat")),
          aged(1e15, invalid("iat"))
        ]),
        []
      )
      yield* tokens.validate(
        yield* Effect.promise(() => withClaims(good, { iat: now - 329, exp: now + 1e9, nbf: undefined }))
      )
    }))

  class IdTokens extends TokenValidator.Service<IdTokens>()("test/HostileIdTokens", { claims: Claims.IdToken }) {}

  it.effect("[K-08] [T1] rejects ID tokens of other sessions, other clients and other access tokens, each with its reason", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const { signer } = yield* control("ES256")
      const policy = ValidationPolicy.idToken({
        issuers: [issuer],
        audiences: ["client"],
        authorizedParties: ["client"],
        algorithms: ["ES256"]
      })
      const context = yield* Layer.build(Layer.provide(IdTokens.layer(policy), keysOf(issuer, [signer])))
      const tokens = Context.get(context, IdTokens)
      const nonce = `${canary}-nonce`
      const accessToken = `${canary}-access-token`
      const hash = createHash("sha256").update(accessToken).digest()
      const code = `${canary}-code`
      const codeHash = createHash("sha256").update(code).digest()
      const claims = {
        iss: issuer,
        aud: "client",
        azp: "client",
        sub: canary,
        iat: now,
        exp: now + 600,
        nonce,
        at_hash: encode(hash.subarray(0, 16)),
        c_hash: encode(codeHash.subarray(0, 16))
      }
      const made = (changes: Members, header: Members = {}) =>
        signTexts(
          signer,
          JSON.stringify({ alg: "ES256", kid: signer.kid, typ: "JWT", ...header }),
          JSON.stringify({ ...claims, ...changes })
        )
      const validate = (token: Parameters<typeof tokens.validate>[0]) =>
        tokens.validateWith(token, { nonce, accessToken, code })
      yield* validate(yield* Effect.promise(() => made({})))
      yield* validate(yield* Effect.promise(() => made({}, { typ: undefined })))
      const rejected = (claim: "at_hash" | "c_hash" | "azp" | "nonce"): TokenError.Reason => ({
        _tag: "ClaimRejected",
        claim
      })
      const cases = (name: string, values: ReadonlyArray<unknown>, reason: TokenError.Reason) =>
        values.map((value): Expected => [`${name} ${shown(value)}`, made({ [name]: value }), reason])
      assert.deepStrictEqual(
        yield* mismatches(validate, [
          ...cases(
            "nonce",
            ["", "x", `${nonce} `, nonce.toUpperCase(), `${nonce}\u0000`, nonce.slice(1)],
            rejected("nonce")
          ),
          ...cases("nonce", [undefined], missing("nonce")),
          ...cases("nonce", [null, 1, [nonce], { nonce }], invalid("nonce")),
          ...cases("azp", ["", "other", "Client", "client ", null, 1, ["client"]], rejected("azp")),
          ...cases("azp", [undefined], missing("azp")),
          ...cases("aud", ["other", "Client", [], ["clien", "lient"]], audienceMismatch),
          ...cases("at_hash", [
            encode(hash),
            encode(hash.subarray(16)),
            encode(hash.subarray(0, 15)),
            "",
            accessToken,
            `${claims.at_hash}=`,
            hash.subarray(0, 16).toString("base64"),
            hash.toString("hex")
          ], rejected("at_hash")),
          ...cases("at_hash", [undefined], missing("at_hash")),
          ...cases("c_hash", [
            encode(codeHash),
            encode(codeHash.subarray(16)),
            encode(codeHash.subarray(0, 15)),
            claims.at_hash,
            "",
            code,
            `${claims.c_hash}=`,
            codeHash.subarray(0, 16).toString("base64"),
            codeHash.toString("hex")
          ], rejected("c_hash")),
          ...cases("c_hash", [undefined], missing("c_hash")),
          ...cases("c_hash", [null, 1, [claims.c_hash]], invalid("c_hash")),
          ["no nonce but another's", made({ nonce: undefined, Nonce: nonce }), missing("nonce")],
          ["an access token", made({}, { typ: "at+jwt" }), { _tag: "TypeMismatch" }],
          ["a logout token", made({}, { typ: "logout+jwt" }), { _tag: "TypeMismatch" }],
          ["without sub", made({ sub: undefined }), missing("sub")],
          ["without iat", made({ iat: undefined }), missing("iat")],
          [
            "with a signature of no key",
            made({}).then((token) => `${token.slice(0, -40)}${"A".repeat(40)}`),
            signatureInvalid
          ]
        ]),
        []
      )
      const without = yield* Effect.promise(() => made({}))
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(without)), rejected("nonce"))
    }))
})
