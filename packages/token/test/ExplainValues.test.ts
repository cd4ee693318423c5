import { assert, describe, it } from "@effect/vitest"
import { audience, goodClaims, issuer, keysOf, pairOf, RevocableTokens, sign } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as Explain from "../src/Explain.ts"
import { Revocation, ValidationPolicy } from "../src/index.ts"

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })

/** Explains a token with these claims, signed by a trusted key. */
const explain = Effect.fnUntraced(function*(
  changes: Readonly<Record<string, unknown>>,
  options: Explain.Options = {},
  header: Readonly<Record<string, unknown>> = {}
) {
  yield* TestClock.setTime(1_800_000_000_000)
  const pair = yield* pairOf("ES256")
  const token = yield* sign(pair, { ...yield* goodClaims, ...changes }, header)
  const tokens = Layer.provide(RevocableTokens.layer(policy), Layer.merge(keysOf([pair]), Revocation.layerMemory()))
  const explanation = yield* Effect.provide(Explain.explain(RevocableTokens, token, options), tokens)
  const [head = "", payload = "", signature = ""] = token.split(".")
  return { explanation, text: Explain.render(explanation), parts: [head, payload, signature], signature }
})

const secrets = {
  iss: "https://SecretIssuer.example",
  aud: ["SecretAudience"],
  sub: "SecretSubject",
  client_id: "SecretClient",
  jti: "SecretId",
  sid: "SecretSession",
  exp: 1_234_567_890,
  nbf: 9_234_567_890,
  SecretName: "SecretValue",
  roles: { name: "SecretRole" }
}

describe("Explain", () => {
  describe("values", () => {
    it.effect("[R8] [R21] are hidden by default, also those of the header", () =>
      Effect.gen(function*() {
        for (const claims of [secrets, { ...secrets, iss: issuer }, { SecretName: 1 }]) {
          const { explanation, parts, text } = yield* explain(claims, {}, { kid: "SecretKid", typ: "SecretType" })
          const shown = inspect(explanation, { depth: 10 }) + JSON.stringify(explanation) + text
          assert.notMatch(shown, /Secret|1234567890|9234567890/)
          for (const part of parts) assert.notInclude(shown, part.slice(0, 20))
        }
      }))

    it.effect("[R8] show with showValues, each at the check that reads it, and never the signature", () =>
      Effect.gen(function*() {
        const { explanation, signature, text } = yield* explain(secrets, { showValues: true }, {
          kid: "SecretKid",
          typ: "SecretType"
        })
        const values = Object.fromEntries(
          explanation.checks.flatMap((check) => "values" in check ? [[check.name, check.values]] : [])
        )
        assert.deepInclude(values, {
          algorithm: { alg: "ES256" },
          issuer: { iss: secrets.iss },
          audience: { aud: secrets.aud },
          expiry: { exp: secrets.exp },
          notBefore: { nbf: secrets.nbf },
          schema: { roles: { name: "SecretRole" } }
        })
        assert.match(text, /FAIL +issuer +\S+ TOKEN_ISSUER_UNTRUSTED: .* \["iss": "https:\/\/SecretIssuer\.example"\]/)
        for (const shown of [inspect(explanation, { depth: 10 }), text]) {
          assert.notInclude(shown, signature.slice(0, 20))
        }
        assert.notMatch(text, /SecretValue/)
        assert.include(text, "[\"exp\": 1234567890 (2009-02-13T23:31:30.000Z)]")
        const odd = yield* explain({ exp: 1e300, nbf: "1" }, { showValues: true })
        assert.include(odd.text, "[\"exp\": 1e+300]")
      }))

    it.effect("[R8] of inherited members do not show", () =>
      Effect.gen(function*() {
        const { explanation } = yield* explain({ kid: "claimed" }, { showValues: true }, { kid: undefined })
        const key = explanation.checks.find(({ name }) => name === "key")
        assert.deepStrictEqual(key, { name: "key", status: "pass" })
        assert.isTrue(explanation.accepted)
      }))
  })

  describe("render", () => {
    it.effect("[R8] shows the result, and every check with its meaning", () =>
      Effect.gen(function*() {
        const { text } = yield* explain({ exp: 0, aud: "others" })
        const lines = text.split("\n")
        assert.strictEqual(lines[0], "rejected: TOKEN_AUDIENCE_MISMATCH")
        assert.match(text, /^pass {2}signature {10}is valid$/m)
        assert.match(text, /^FAIL {2}expiry +TOK-002 TOKEN_EXPIRED: .*$/m)
        const good = yield* explain({})
        assert.strictEqual(good.text.split("\n")[0], "accepted")
        assert.lengthOf(good.text.split("\n"), good.explanation.checks.length + 1)
      }))

    it.effect("[R8] warns that anybody could have written a token whose signature was not verified", () =>
      Effect.gen(function*() {
        const warning = /anybody could have written/
        assert.match((yield* explain({ iss: "https://other.example" })).text, warning)
        assert.match((yield* explain({}, {}, { kid: "other" })).text, warning)
        assert.notMatch((yield* explain({ exp: 0 })).text, warning)
      }))

    it.effect("[R8] escapes and truncates values from a token, so that they cannot imitate a line", () =>
      Effect.gen(function*() {
        const sub = "a\nFAIL  \u001b[2J\u009b1m\u202e\u2028\u{1f511}\"]"
        const { explanation, text } = yield* explain(
          { sub, jti: "x".repeat(5_000), aud: [audience, "\u0000"] },
          { showValues: true }
        )
        assert.match(text, /^[\n -~]*$/)
        assert.lengthOf(text.split("\n"), explanation.checks.length + 1)
        assert.include(text, "\"sub\": \"a\\nFAIL  \\u001b[2J\\u009b1m\\u202e\\u2028\\ud83d\\udd11\\\"]\"")
        assert.include(text, "... (5002 characters)")
        assert.isBelow(text.length, 4_000)
      }))
  })
})
