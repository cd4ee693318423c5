import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { oidcProvider, signingKey } from "@keelson/testing/oidcProvider"
import { Context, Effect, Layer, Redacted } from "effect"
import { exportJWK, generateKeyPair } from "jose"
import * as OAuth from "oauth4webapi"
import * as OpenId from "openid-client"
import {
  ClientAuth,
  DpopKey,
  OAuthClient,
  RefreshTokenStore,
  TokenGuard,
  TokenGuards,
  TokenProvider
} from "../src/index.ts"
import { clientSecret, type OAuthServer, oauthServer } from "./oauthServer.ts"
import { hashOf, nonceChallenge, proofServer, type ProvenRequest, readProof, type Respond } from "./proofs.ts"

const secretBasic = ClientAuth.secretBasic(Redacted.make(clientSecret))

const clientCredentials = (server: OAuthServer, options: Partial<OAuthClient.Options> = {}) =>
  OAuthClient.clientCredentials({
    issuer: server.issuer,
    clientId: "basic:client",
    auth: secretBasic,
    scope: "read",
    allowLocalhost: true,
    ...options
  })

/** The proofs of token requests. */
const tokenProofs = (server: OAuthServer) =>
  Effect.promise(() =>
    Promise.all(
      server.requests.map(({ headers }) => readProof(typeof headers["dpop"] === "string" ? headers["dpop"] : ""))
    )
  )

/** An API that accepts tokens of the server with a proof of their key, each proof once, with its current nonce. */
const makeApi = (server: OAuthServer, origin: () => string, nonce: { current: string }): Respond => {
  const used = new Set<string>()
  return async ({ authorization = "", method, path, proof = "" }) => {
    const [scheme, token = ""] = authorization.split(" ")
    const stored = await Effect.runPromise(server.find(token))
    const found = await readProof(proof)
    if (used.has(found.jti)) return { status: 400 }
    used.add(found.jti)
    if (found.nonce !== nonce.current) return { status: 401, headers: nonceChallenge(nonce.current) }
    const isValid = scheme === "DPoP" && stored?.jkt === found.jkt && found.ath === hashOf(token) &&
      found.htm === method && found.htu === `${origin()}${path.split("?")[0]}` &&
      Math.abs(found.iat - Date.now() / 1000) < 60
    return { status: isValid ? 200 : 403, headers: { "dpop-nonce": nonce.current } }
  }
}

describe("Bound tokens of a real authorization server", () => {
  it.live("[K-23] with a nonce required, a guard asks for a bound token, and calls an API that demands other nonces", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer({ needsNonce: true })
      const nonce = { current: "first" }
      const origin = { url: "" }
      const api = yield* proofServer(makeApi(server, () => origin.url, nonce))
      origin.url = api.url
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [api.url],
        allowLocalhost: true,
        dpop: "required",
        source: clientCredentials(server)
      })
      const statuses = Effect.map(
        Effect.all(Array.from({ length: 50 }, (_, i) => guard.post(`/rows/${i}?a=b`)), { concurrency: "unbounded" }),
        (all) => [...new Set(all.map(({ status }) => status))]
      )
      assert.deepStrictEqual(yield* statuses, [200])
      nonce.current = "second"
      assert.deepStrictEqual(yield* statuses, [200])
      const token = yield* guard.provider.get
      assert.strictEqual(token.tokenType, "DPoP")
      const proofs = yield* tokenProofs(server)
      assert.deepStrictEqual(proofs.map(({ nonce }) => nonce === undefined), [true, false])
      assert.strictEqual((yield* server.find(Redacted.value(token.value)))?.jkt, proofs[0]?.jkt)
      // The next token request has the nonce already.
      yield* guard.provider.refresh
      assert.lengthOf(server.requests, 3)
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeHttpClient.layerUndici)))

  it.live("[K-23] the repetition for a nonce has another client assertion, since the server accepts each once", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair("ES256"))
      const jwk = yield* Effect.promise(() => exportJWK(publicKey))
      const server = yield* oauthServer({ needsNonce: true, keys: [{ ...jwk, kid: "one", use: "sig" }] })
      const key = yield* DpopKey.generate({ algorithm: "Ed25519" })
      const provider = yield* TokenProvider.make({
        name: "api",
        source: clientCredentials(server, {
          clientId: "signer",
          auth: ClientAuth.privateKeyJwt({ key: privateKey, kid: "one" })
        })
      }).pipe(Effect.provideService(DpopKey.CurrentDpopKey, key))
      const token = yield* provider.get
      assert.strictEqual((yield* server.find(Redacted.value(token.value)))?.jkt, key.thumbprint)
      assert.strictEqual(new Set(server.requests.map(({ body }) => body.get("client_assertion"))).size, 2)
      assert.strictEqual(new Set((yield* tokenProofs(server)).map(({ jti }) => jti)).size, 2)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] [R14] a rotating refresh token is refreshed with the key, and sent again for a nonce only", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer({ needsNonce: true })
      const first = yield* server.refreshToken
      const saved: Array<string> = []
      const memory = RefreshTokenStore.memory(Redacted.make(first))
      const key = yield* DpopKey.generate()
      const provider = yield* TokenProvider.make({
        name: "api",
        source: OAuthClient.refreshToken({
          issuer: server.issuer,
          clientId: "web",
          auth: secretBasic,
          allowLocalhost: true,
          store: {
            load: memory.load,
            save: (token) => {
              saved.push(Redacted.value(token))
              return memory.save(token)
            }
          }
        })
      }).pipe(Effect.provideService(DpopKey.CurrentDpopKey, key))
      const tokens = [yield* provider.get, yield* provider.refresh]
      for (const { tokenType, value } of tokens) {
        assert.strictEqual(tokenType, "DPoP")
        assert.strictEqual((yield* server.find(Redacted.value(value)))?.jkt, key.thumbprint)
      }
      assert.deepStrictEqual(server.requests.map(({ body }) => body.get("refresh_token")), [
        first,
        first,
        saved[0] ?? null
      ])
      assert.strictEqual(new Set((yield* tokenProofs(server)).map(({ jti }) => jti)).size, 3)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] each attempt of a token request has a new proof, also after an answer that was lost", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer()
      let isLost = 2
      server.fault = (response) => {
        if (isLost-- > 0) response.end = () => response.destroy()
        return false
      }
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: ["https://api.example"],
        dpop: "required",
        source: clientCredentials(server),
        acquisition: { retry: { maxAttempts: 4, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } }
      })
      assert.strictEqual((yield* guard.provider.get).tokenType, "DPoP")
      assert.strictEqual(new Set((yield* tokenProofs(server)).map(({ jti }) => jti)).size, 3)
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeHttpClient.layerUndici)))

  it.live("[K-23] a server that demands another nonce each time gets two requests, and the error is its own", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer()
      server.fault = (response, number) => {
        response.writeHead(400, { "content-type": "application/json", "dpop-nonce": `n${number}` })
        response.end(JSON.stringify({ error: "use_dpop_nonce" }))
        return true
      }
      const key = yield* DpopKey.generate()
      const provider = yield* TokenProvider.make({ name: "api", source: clientCredentials(server) }).pipe(
        Effect.provideService(DpopKey.CurrentDpopKey, key)
      )
      const error = yield* Effect.flip(provider.get)
      assert.strictEqual(error.code, "TOKEN_ACQUISITION_FAILED")
      assert.deepInclude("details" in error ? error.details : {}, { error: "use_dpop_nonce", status: 400 })
      assert.deepStrictEqual((yield* tokenProofs(server)).map(({ nonce }) => nonce), [undefined, "n1"])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] without a key a token request has no proof", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer()
      const provider = yield* TokenProvider.make({ name: "api", source: clientCredentials(server) })
      assert.strictEqual((yield* provider.get).tokenType, "Bearer")
      assert.isUndefined(server.requests[0]?.headers["dpop"])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] openid-client gets a bound token of the same server with the same number of requests", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer({ needsNonce: true })
      yield* Effect.promise(async () => {
        const config = await OpenId.discovery(
          new URL(server.issuer),
          "basic:client",
          undefined,
          OpenId.ClientSecretBasic(clientSecret),
          { execute: [OpenId.allowInsecureRequests] }
        )
        const DPoP = OpenId.getDPoPHandle(config, await OpenId.randomDPoPKeyPair("ES256"))
        const granted = await OpenId.clientCredentialsGrant(config, { scope: "read" }, { DPoP })
        assert.strictEqual(granted.token_type, "dpop")
      })
      const theirs = server.requests.length
      const key = yield* DpopKey.generate()
      const provider = yield* TokenProvider.make({ name: "api", source: clientCredentials(server) }).pipe(
        Effect.provideService(DpopKey.CurrentDpopKey, key)
      )
      assert.strictEqual((yield* provider.get).tokenType, "DPoP")
      assert.deepStrictEqual([theirs, server.requests.length - theirs], [2, 2])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] a guard of TokenGuards has its own key, as the configuration says", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer({ needsNonce: true })
      const seen: Array<string | undefined> = []
      const api = yield* proofServer(async ({ proof }) => {
        seen.push(proof === undefined ? undefined : (await readProof(proof)).jkt)
        return { status: 200 }
      })
      const client = {
        issuer: server.issuer,
        clientId: "basic:client",
        clientSecret: Redacted.make(clientSecret),
        allowLocalhost: true
      }
      const options = { client, allowLocalhost: true }
      const guards = yield* Layer.build(TokenGuards.layer({
        one: { ...options, url: `${api.url}/one`, dpop: "required" },
        two: { ...options, url: `${api.url}/two`, dpop: "required" },
        none: { ...options, url: `${api.url}/none` }
      }))
      for (const name of ["one", "two", "none"]) {
        const guard = Context.get(guards, TokenGuards.TokenGuards).get(name)
        if (guard !== undefined) yield* guard.get("")
      }
      assert.deepStrictEqual(seen.map((jkt) => jkt === undefined), [false, false, true])
      assert.notStrictEqual(seen[0], seen[1])
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeHttpClient.layerUndici)))

  it.live("[K-23] oauth4webapi accepts the tokens and the proofs of a guard, and no others", () =>
    Effect.gen(function*() {
      const provider = yield* oidcProvider([yield* signingKey("ES256", "one")])
      const resource = "https://api.example/ES256"
      const validate = ({ authorization = "", method, path, proof = "" }: ProvenRequest) =>
        OAuth.validateJwtAccessToken(
          { issuer: provider.issuer, jwks_uri: `${provider.issuer}/jwks` },
          new Request(`${origin.url}${path}`, { method, headers: { authorization, dpop: proof } }),
          resource,
          { requireDPoP: true, [OAuth.allowInsecureRequests]: true }
        )
      const origin = { url: "" }
      const errors: Array<unknown> = []
      const api = yield* proofServer(async (request) => ({
        status: await validate(request).then(() => 200, (error: unknown) => (errors.push(error), 403))
      }))
      origin.url = api.url
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [api.url],
        allowLocalhost: true,
        dpop: "required",
        source: OAuthClient.clientCredentials({
          issuer: provider.issuer,
          clientId: "tests",
          auth: ClientAuth.secretBasic(Redacted.make("secret")),
          scope: "read",
          resource,
          allowLocalhost: true
        })
      })
      for (const request of [guard.get("/a?b=c"), guard.post("/%C3%A4/."), guard.del("/")]) {
        assert.strictEqual((yield* request).status, 200, String(errors[0]))
      }
      // The check is one: the proof of another request is refused.
      const [first, second] = api.received
      assert.isDefined(first)
      assert.isDefined(second)
      if (first === undefined || second === undefined) return
      const mixed = yield* Effect.exit(Effect.promise(() => validate({ ...first, proof: second.proof })))
      assert.strictEqual(mixed._tag, "Failure")
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeHttpClient.layerUndici)))
})
