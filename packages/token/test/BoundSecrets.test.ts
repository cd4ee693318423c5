import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { recording, spanText } from "@keelson/testing/observe"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer, Redacted } from "effect"
import { HttpMiddleware } from "effect/http"
import { inspect } from "node:util"
import { HttpSecurity, HttpSecurityOptions } from "../src/index.ts"
import { baseUrl, boundToken, makeProof, proofSigner, sha256 } from "./proofSupport.ts"
import { serve, tokensOf, variants } from "./protectedServer.ts"

const jti = "proof-id-that-nobody-may-see"
const nonceKey = "a nonce key that nobody may see, ever"

describe("HttpSecurity", () => {
  for (const [name, variant] of variants) {
    it.live(`[R21] [K-23] no proof, key, token or nonce key leaves ${name} in a log, span, metric or response`, () =>
      Effect.gen(function*() {
        const { lines, record, spans } = recording()
        const [signer, thief] = [yield* proofSigner(), yield* proofSigner("ES256", "stranger")]
        const token = yield* boundToken(signer)
        const tokens = tokensOf(keysOf([yield* pairOf("ES256")]))
        const dpop = { nonce: "required", nonceKey: Redacted.make(nonceKey) } as const
        const around = HttpSecurity.layerRedaction().pipe(
          Layer.provideMerge(Layer.succeed(HttpMiddleware.TracerHeaderFilter, () => true))
        )
        const proofs: Array<string> = []
        const { answers, metrics } = yield* record(Effect.gen(function*() {
          const { send } = yield* serve(variant, tokens, { dpop, baseUrls: [baseUrl] }, around)
          const sendProof = Effect.fnUntraced(function*(claims: Parameters<typeof makeProof>[2], by = signer) {
            const proof = yield* makeProof(by, token, { jti, ...claims })
            proofs.push(proof)
            return yield* send("GET /me", `Authorization: DPoP ${token}`, `DPoP: ${proof}`)
          })
          const first = yield* sendProof({})
          const nonce = first.headers["dpop-nonce"]
          const answers = [
            first,
            yield* sendProof({ nonce }),
            yield* sendProof({ nonce }),
            yield* sendProof({ nonce, htm: "POST" }),
            yield* sendProof({ nonce, ath: "x" }),
            yield* sendProof({ nonce }, thief),
            yield* send("GET /me", `Authorization: Bearer ${token}`, `DPoP: ${proofs[0]}`),
            yield* send("GET /me", `Authorization: DPoP ${token}`)
          ]
          return { answers, metrics: yield* PrometheusEndpoint.format }
        })).pipe(Effect.provide(Metrics.layerIsolated))
        assert.deepStrictEqual(answers.map(({ status }) => status), [401, 200, 401, 401, 401, 401, 401, 401])
        const texts = [
          ...lines,
          ...spans.map(spanText),
          metrics,
          ...answers.flatMap(({ headers, text }) => [inspect(headers), text])
        ]
        const secrets = [
          jti,
          nonceKey,
          signer.jkt,
          thief.jkt,
          signer.jwk.x ?? "",
          sha256(token),
          token,
          ...token.split(".").slice(1),
          ...proofs.flatMap((proof) => [proof, ...proof.split(".")])
        ]
        for (const text of texts) {
          for (const secret of secrets) assert.notInclude(text, secret)
        }
        const shown = texts.join("\n")
        for (
          const part of ["ProofReplayed", "ProofRejected", "ProofNonceRequired", "BindingMismatch", "another method"]
        ) {
          assert.include(shown, part)
        }
        const options = HttpSecurityOptions.make({ dpop, baseUrls: [baseUrl] })
        assert.notInclude(inspect(options, { depth: 10 }) + JSON.stringify(options), nonceKey)
      }))
  }
})
