import { assert, describe, it } from "@effect/vitest"
import { keysOf, pairOf, Tokens } from "@keelson/testing/tokens"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Explain from "../src/Explain.ts"
import type { BindingOptions } from "../src/index.ts"
import { malformed, otherKey, type ProofControl } from "./corpus/proofCase.ts"
import {
  claimMutations,
  formCases,
  headerMutations,
  jsonCases,
  keyCases,
  now,
  signatureCases
} from "./corpus/proofs.ts"
import { baseUrl, boundToken, makeProof, proofClaims, proofSigner, signProof, tokenWithCnf } from "./proofSupport.ts"
import { policy } from "./protectedServer.ts"

const security: BindingOptions.Options = { dpop: "required", baseUrls: [baseUrl] }

const get = (proof: string | undefined): Explain.BoundRequest => ({ method: "GET", url: "/me?x", proof })

const explain = Effect.fnUntraced(function*(
  token: string,
  request: Explain.BoundRequest,
  options: Explain.Options = {}
) {
  const keys = keysOf([yield* pairOf("ES256")])
  return yield* Effect.provide(
    Explain.explain(Tokens, token, { request, security, ...options }),
    Layer.provide(Tokens.layer(policy), keys)
  )
})

const scene = Effect.gen(function*() {
  yield* TestClock.setTime(now * 1000)
  const signer = yield* proofSigner()
  return { signer, token: yield* boundToken(signer) }
})

const bindingChecks = [
  "binding",
  "proofForm",
  "proofHeader",
  "proofType",
  "proofAlgorithm",
  "proofKey",
  "proofClaims",
  "proofId",
  "proofMethod",
  "proofUrl",
  "proofTimes",
  "proofToken",
  "proofBinding",
  "proofSignature"
]

describe("Explain of a bound token", () => {
  it.effect("[K-23] [R8] accepts a good proof as often as it is asked, without a record of used proofs", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const request = get(yield* makeProof(signer, token))
      for (const _ of [1, 2]) {
        const explanation = yield* explain(token, request)
        assert.isTrue(explanation.accepted, Explain.render(explanation))
        assert.deepStrictEqual(explanation.checks.slice(-bindingChecks.length).map(({ name }) => name), bindingChecks)
      }
    }))

  it.effect("[K-23] gives each proof of the hostile corpus the reason of HttpSecurity, and shows no value", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const stranger = yield* proofSigner("ES256", "stranger")
      const cases = [formCases, jsonCases, headerMutations, keyCases, signatureCases, claimMutations].flat()
        .filter(({ on }) => on === undefined || on.includes("ES256"))
      const found: Array<unknown> = []
      for (const { mutate, name, reason } of cases) {
        const claims = proofClaims(token, now * 1000)
        const header = { typ: "dpop+jwt", alg: signer.alg, jwk: signer.jwk }
        const control: ProofControl = { signer, stranger, header, claims, proof: yield* signProof(signer, claims) }
        const proof = yield* Effect.promise(async () => mutate(control))
        const explanation = yield* explain(token, get(proof))
        if (JSON.stringify(explanation.reason) !== JSON.stringify(reason)) {
          found.push([name, explanation.reason, reason])
        }
        assert.isFalse(explanation.accepted)
        assert.isTrue(explanation.checks.every((check) => !("values" in check)))
      }
      assert.deepStrictEqual(found, [])
    }))

  it.effect("[K-23] says what the proof has and what is expected, where values are asked for", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const proof = yield* makeProof(signer, token, { htm: "POST", htu: "https://other.example/me", iat: 1, ath: "x" })
      const explanation = yield* explain(token, get(proof), { showValues: true })
      const lines = Explain.render(explanation).split("\n")
      const lineOf = (name: string) => (lines.find((line) => line.includes(` ${name} `)) ?? "").replaceAll(/ +/g, " ")
      assert.strictEqual(
        lineOf("proofMethod"),
        "FAIL proofMethod TOK-010 DPOP_INVALID: The DPoP proof is for another method [\"htm\": \"POST\"] Expected: htm is \"GET\"."
      )
      assert.include(
        lineOf("proofUrl"),
        "[\"htu\": \"https://other.example/me\"] Expected: htu is one of \"https://api.example/me\"."
      )
      assert.include(lineOf("proofTimes"), "Expected: iat is at most 1m ago, with a tolerance of 30s.")
      assert.include(lineOf("proofToken"), "[\"ath\": \"x\"]")
      assert.include(lineOf("binding"), signer.jkt)
      const hidden = Explain.render(yield* explain(token, get(proof)))
      for (const value of [signer.jkt, "other.example", "POST"]) assert.notInclude(hidden, value)
    }))

  it.effect("[K-23] names the way in which a token is not bound as required", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const other = yield* proofSigner("ES256", "stranger")
      const proof = yield* makeProof(signer, token)
      const reasonOf = (token: string, request: Explain.BoundRequest, options: BindingOptions.Options) =>
        Effect.map(explain(token, request, { security: options }), ({ reason }) => reason)
      const unbound = yield* tokenWithCnf(undefined)
      const bound = get(proof)
      assert.deepStrictEqual(yield* reasonOf(token, bound, {}), { _tag: "BindingUnsupported" })
      assert.deepStrictEqual(yield* reasonOf(unbound, get(proof), security), { _tag: "TokenUnbound" })
      const downgraded = { ...get(proof), scheme: "Bearer" } as const
      assert.deepStrictEqual(yield* reasonOf(token, downgraded, security), { _tag: "ProofMissing" })
      const foreign = get(yield* makeProof(other, token))
      assert.deepStrictEqual(yield* reasonOf(token, foreign, security), otherKey)
      assert.deepStrictEqual(yield* reasonOf(token, get("a.b"), security), malformed("token", "segments"))
      const mtls = yield* tokenWithCnf({ "x5t#S256": "x" })
      assert.deepStrictEqual(
        yield* reasonOf(mtls, get(undefined), { mtls: "allowed" }),
        { _tag: "CertificateMissing", certificate: "none" }
      )
    }))

  it.effect("[K-23] checks nonces with the key of the API, and leaves them out without it", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const request = get(yield* makeProof(signer, token, { nonce: "x" }))
      const nonceKey = Redacted.make("a secret that all processes of the API have")
      const known = yield* explain(token, request, { security: { ...security, dpop: { nonce: "required", nonceKey } } })
      assert.deepStrictEqual(known.reason, { _tag: "ProofNonceRequired" })
      assert.include(known.checks.map(({ name }) => name), "proofSignature")
      const unknown = yield* explain(token, request, { security: { ...security, dpop: { nonce: "required" } } })
      assert.isTrue(unknown.accepted)
    }))
})
