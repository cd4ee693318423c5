import { assert, it } from "@effect/vitest"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import * as DPoP from "dpop"
import { Effect, type Scope } from "effect"
import type { HttpSecurityOptions } from "../src/index.ts"
import { problemOf, quiet, tokenWith } from "./HttpSecuritySuite.ts"
import { baseUrl, boundToken, makeProof, proofSigner, tokenWithCnf } from "./proofSupport.ts"
import { bearer, serve, tokensOf, type Variant } from "./protectedServer.ts"

const algs = "ES256 EdDSA Ed25519 PS256 RS256"
const dpopChallenge = (error: string, description: string) =>
  `DPoP realm="api", error="${error}", error_description="${description}", algs="${algs}"`
const bearerOnly = "Bearer realm=\"api\""
const dpopOnly = `DPoP realm="api", algs="${algs}"`

/** Tests of bound tokens for every way to protect an API. */
export const httpSecurityBoundSuite = (variant: Variant): void => {
  const test = (title: string, body: Effect.Effect<void, unknown, Scope.Scope>) => it.live(title, () => body)

  const server = Effect.fnUntraced(function*(options: HttpSecurityOptions.Options) {
    return yield* serve(variant, tokensOf(keysOf([yield* pairOf("ES256")])), { baseUrls: [baseUrl], ...options }, quiet)
  })
  const dpop = (token: string, proof: string) => [`Authorization: DPoP ${token}`, `DPoP: ${proof}`]

  test(
    "[K-23] accepts a token with the proof that the package dpop makes, for each of its algorithms",
    Effect.gen(function*() {
      const { send } = yield* server({ dpop: "required" })
      for (const alg of ["ES256", "PS256", "RS256", "Ed25519"] as const) {
        const pair = yield* Effect.promise(() => DPoP.generateKeyPair(alg))
        const jkt = yield* Effect.promise(() => DPoP.calculateThumbprint(pair.publicKey))
        const token = yield* tokenWithCnf({ jkt }, { scope: "a" })
        const proof = yield* Effect.promise(() => DPoP.generateProof(pair, `${baseUrl}/me`, "GET", undefined, token))
        const { json, status } = yield* send("GET /me?page=2", ...dpop(token, proof))
        assert.deepStrictEqual([alg, status, json], [alg, 200, { client: "client-1", scopes: ["a"], roles: [] }])
        const again = problemOf(yield* send("GET /me?page=2", ...dpop(token, proof)))
        assert.deepInclude(again, {
          status: 401,
          code: "TOK-010",
          challenge: dpopChallenge("invalid_dpop_proof", "The DPoP proof was used before"),
          cache: "no-store"
        })
      }
    })
  )

  test(
    "[K-23] never accepts a bound token as a bearer token, nor an unbound one with the scheme DPoP",
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const [bound, unbound] = [yield* boundToken(signer), yield* tokenWith()]
      const { send } = yield* server({ dpop: "allowed" })
      const downgraded = yield* send("GET /me", bearer(bound), `DPoP: ${yield* makeProof(signer, bound)}`)
      assert.deepInclude(problemOf(downgraded), {
        status: 401,
        code: "TOK-009",
        challenge:
          `Bearer realm="api", error="invalid_token", error_description="The access token is bound to a key and must be sent with the scheme DPoP", ${dpopOnly}`
      })
      assert.strictEqual((yield* send("GET /me", bearer(unbound))).status, 200)
      const upgraded = yield* send("GET /me", ...dpop(unbound, yield* makeProof(signer, unbound)))
      assert.deepInclude(problemOf(upgraded), {
        status: 401,
        code: "AUTH-001",
        challenge: `${
          dpopChallenge("invalid_token", "The access token is not bound to a key as required")
        }, ${bearerOnly}`
      })
    })
  )

  test(
    "[K-23] with dpop required, rejects bearer tokens and names DPoP alone; with it off, DPoP is an unknown scheme",
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const [bound, unbound] = [yield* boundToken(signer), yield* tokenWith()]
      const required = yield* server({ dpop: "required" })
      assert.deepInclude(problemOf(yield* required.send("GET /me")), {
        status: 401,
        code: "TOK-008",
        challenge: dpopOnly
      })
      assert.deepInclude(problemOf(yield* required.send("GET /me", bearer(unbound))), {
        status: 401,
        challenge: dpopChallenge("invalid_token", "The access token is not bound to a key as required")
      })
      const allowed = yield* server({ dpop: "allowed" })
      assert.deepInclude(problemOf(yield* allowed.send("GET /me")), { challenge: `${bearerOnly}, ${dpopOnly}` })
      const off = yield* server({})
      const withProof = yield* off.send("GET /me", ...dpop(bound, yield* makeProof(signer, bound)))
      assert.deepInclude(problemOf(withProof), { status: 401, code: "TOK-008", challenge: bearerOnly })
      assert.deepInclude(problemOf(yield* off.send("GET /me", bearer(bound))), {
        status: 401,
        code: "AUTH-001",
        challenge:
          "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is bound in a way that is not supported\""
      })
      const ignoring = yield* server({ unsupportedBinding: "ignore" })
      assert.strictEqual((yield* ignoring.send("GET /me", bearer(bound))).status, 200)
    })
  )

  test(
    "[K-23] answers a proof for another method, URL or token, of another key, or a second proof, with 401",
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const thief = yield* proofSigner("ES256", "thief")
      const token = yield* boundToken(signer)
      const { send } = yield* server({ dpop: "required" })
      const proof = (claims: Parameters<typeof makeProof>[2], by = signer) => makeProof(by, token, claims)
      const table = [
        [yield* proof({ htm: "POST" }), "invalid_dpop_proof", "The DPoP proof is for another method"],
        [yield* proof({ htu: "https://other.example/me" }), "invalid_dpop_proof", "The DPoP proof is for another URL"],
        [yield* proof({ ath: "x" }), "invalid_dpop_proof", "The DPoP proof is for another access token"],
        [yield* proof({ iat: 1 }), "invalid_dpop_proof", "The DPoP proof is too old, or made in the future"],
        ["x", "invalid_dpop_proof", "The DPoP proof is malformed (token: segments)"],
        [yield* proof({}, thief), "invalid_token", "The access token is bound to another key"]
      ] as const
      for (const [text, error, description] of table) {
        const refused = yield* send("GET /me", ...dpop(token, text))
        assert.deepInclude(problemOf(refused), { status: 401, challenge: dpopChallenge(error, description) })
      }
      const [one, two] = [yield* proof({}), yield* proof({})]
      const twice = yield* send("GET /me", ...dpop(token, one), `dpop: ${two}`)
      assert.deepInclude(problemOf(twice), {
        challenge: dpopChallenge("invalid_dpop_proof", "The request has more than one DPoP proof")
      })
      const none = yield* send("GET /me", `Authorization: dpop ${token}`)
      assert.deepInclude(problemOf(none), {
        code: "TOK-009",
        challenge: dpopChallenge("invalid_dpop_proof", "The request has no DPoP proof")
      })
      // Nothing of this used up a proof.
      for (const unused of [one, two]) {
        assert.strictEqual((yield* send("GET /me", ...dpop(token, unused))).status, 200)
      }
    })
  )

  test(
    "[K-23] a missing scope is told in a challenge of the scheme that the caller used",
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const token = yield* boundToken(signer)
      const { send } = yield* server({ dpop: "required" })
      const proof = yield* makeProof(signer, token, { htu: `${baseUrl}/reports` })
      const refused = yield* send("GET /reports", ...dpop(token, proof))
      assert.deepInclude(problemOf(refused), {
        status: 403,
        challenge:
          `DPoP realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="reports:read", algs="${algs}"`
      })
    })
  )

  test(
    "[K-23] hands out a nonce, requires it, and replaces it in a good response",
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const token = yield* boundToken(signer)
      const { send } = yield* server({ dpop: { nonce: "required" } })
      const first = yield* send("GET /me", ...dpop(token, yield* makeProof(signer, token)))
      assert.deepInclude(problemOf(first), {
        status: 401,
        code: "JWT-016",
        challenge: dpopChallenge("use_dpop_nonce", "The DPoP proof must have the nonce of this response"),
        cache: "no-store"
      })
      const nonce = first.headers["dpop-nonce"]
      assert.match(nonce ?? "", /^[\w-]{24}$/)
      const good = yield* send("GET /me", ...dpop(token, yield* makeProof(signer, token, { nonce })))
      assert.deepStrictEqual([good.status, good.headers["dpop-nonce"]], [200, undefined])
      const wrong = yield* send("GET /me", ...dpop(token, yield* makeProof(signer, token, { nonce: `${nonce}x` })))
      assert.deepInclude(problemOf(wrong), { status: 401, code: "JWT-016" })
    })
  )
}
