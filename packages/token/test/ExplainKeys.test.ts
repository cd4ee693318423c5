import { assert, describe, it } from "@effect/vitest"
import { JwksError, KeySource } from "@keelson/jwks"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, sign, Tokens } from "@keelson/testing/tokens"
import { Context, Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Explain from "../src/Explain.ts"
import { type TokenError, ValidationPolicy } from "../src/index.ts"
import { algorithmCases } from "./corpus/algorithms.ts"
import { claimMutations } from "./corpus/claims.ts"
import {
  controlOf,
  Corpus,
  issuer as corpusIssuer,
  keysOf as keysOfSigners,
  makeKeys,
  neighbour,
  now,
  policy
} from "./corpus/control.ts"
import { encodingCases } from "./corpus/encodings.ts"
import { formCases } from "./corpus/forms.ts"
import { headerMutations } from "./corpus/headers.ts"
import { jsonCases } from "./corpus/json.ts"
import { isFor, shows } from "./corpus/run.ts"
import { signatureCases } from "./corpus/signatures.ts"

const corpus = [
  ...algorithmCases,
  ...claimMutations,
  ...encodingCases,
  ...formCases,
  ...headerMutations,
  ...jsonCases,
  ...signatureCases
]

/** A validator over the keys of a trusted key pair, with other properties of the keys changed. */
const over = Effect.fnUntraced(function*(find: KeySource.KeySource["Service"]["find"]) {
  const keys = Layer.succeed(KeySource.KeySource, { find })
  const accessTokens = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })
  const context = yield* Layer.build(Layer.provide(Tokens.layer(accessTokens), keys))
  const token = yield* sign(yield* pairOf("ES256"), yield* goodClaims)
  const explained = Effect.provideContext(Explain.explain(Tokens, token), context)
  return { explained, validated: Context.get(context, Tokens).validate(token) }
})

describe("Explain", () => {
  it.effect("[R8] rejects every token of the hostile corpus for the validator's reason, and shows nothing of it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const all = yield* Effect.promise(makeKeys)
      const control = yield* Effect.promise(() => controlOf(all, "ES256"))
      const source = KeySource.layerFirstOf(
        keysOfSigners(corpusIssuer, Object.values(all.own)),
        keysOfSigners(neighbour, Object.values(all.others))
      )
      const context = yield* Layer.build(Layer.provide(Corpus.layer(policy), source))
      const explain = (token: string) => Effect.provideContext(Explain.explain(Corpus, token), context)
      assert.isTrue((yield* explain(control.token)).accepted)
      const cases = corpus.filter((one) => isFor(one, control))
      assert.isAbove(cases.length, 250)
      for (const { mutate, name, reason } of cases) {
        const token = yield* Effect.promise(async () => mutate(control))
        const explanation = yield* explain(token)
        assert.deepStrictEqual(explanation.reason, reason, name)
        assert.isFalse(explanation.accepted, name)
        assert.isFalse(
          shows((JSON.stringify(explanation) + Explain.render(explanation)).replaceAll(/ +/g, " "), token),
          name
        )
      }
    }))

  it.effect("[R8] [T6] reports that no key matches, or that keys are unavailable", () =>
    Effect.gen(function*() {
      const retryAfter = Duration.seconds(7)
      const cases: ReadonlyArray<readonly [KeySource.LookupError, TokenError.Reason]> = [
        [new JwksError.JwksKeyNotFound({ reason: "unknown" }), { _tag: "KeyNotFound", reason: "unknown" }],
        [new JwksError.JwksUnavailable({ retryAfter }), { _tag: "KeysUnavailable", retryAfter }],
        [new JwksError.JwksNotRegistered(), { _tag: "IssuerUntrusted" }]
      ]
      for (const [error, reason] of cases) {
        const { explained, validated } = yield* over(() => Effect.fail(error))
        const { checks, ...explanation } = yield* explained
        assert.deepStrictEqual(explanation, { accepted: false, reason })
        assert.deepStrictEqual(yield* reasonOf(validated), reason)
        assert.deepStrictEqual(checks.filter(({ status }) => status !== "pass"), [
          { name: "key", status: "fail", reason },
          { name: "signature", status: "notReached", needs: "key" },
          { name: "trust", status: "notReached", needs: "signature" }
        ])
      }
    }))

  it.effect("[R8] [T3] rejects a token whose key loses its trust during the verification", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const context = yield* Layer.build(keysOf([pair]))
      const { find } = Context.get(context, KeySource.KeySource)
      const { explained, validated } = yield* over((issuer, header) =>
        Effect.map(
          find(issuer, header),
          (candidates) => candidates.map((one) => ({ ...one, trust: { ...one.trust, holds: () => false } }))
        )
      )
      const explanation = yield* explained
      assert.deepStrictEqual(explanation.reason, { _tag: "KeysUnavailable", retryAfter: Duration.zero })
      assert.deepStrictEqual(explanation.reason, yield* reasonOf(validated))
      assert.deepStrictEqual(explanation.checks.filter(({ status }) => status === "fail").map(({ name }) => name), [
        "trust"
      ])
    }))
})
