import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { quiet, recording } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { decodeJwt, exportJWK, generateKeyPair } from "jose"
import {
  ClientAuth,
  OAuthClient,
  OAuthOptions,
  TokenHttpClient,
  TokenProvider,
  type TokenSource
} from "../src/index.ts"
import { clientSecret, oauthServer } from "./oauthServer.ts"
import { detailsOf, textOf } from "./tokenSupport.ts"

const secret = Redacted.make(clientSecret)

/** A key of the client: the private key, and the public key with its id for the server. */
const keyPair = (alg: string, kid: string) =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    return {
      key: { key: privateKey, kid },
      jwk: { ...await exportJWK(publicKey), kid, use: "sig" },
      privateJwk: { ...await exportJWK(privateKey), kid, alg }
    }
  })

const providerOver = (source: TokenSource.Input, options: Partial<TokenProvider.Options> = {}) =>
  TokenProvider.make({ name: "idp", source, ...options })

const retrying = { retry: { maxAttempts: 4, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } } as const

describe("OAuthClient at a real authorization server", () => {
  describe("client credentials", () => {
    const cases = [
      ["client_secret_basic", "basic:client", ClientAuth.secretBasic(secret)],
      ["client_secret_post", "post", ClientAuth.secretPost(secret)]
    ] as const
    for (const [method, clientId, auth] of cases) {
      it.live(`[K-10] acquires a token with ${method}, and discovers the endpoint once`, () =>
        Effect.gen(function*() {
          const server = yield* oauthServer({ ttl: 300 })
          const source = OAuthClient.clientCredentials({
            issuer: server.issuer,
            clientId,
            auth,
            scope: "read",
            allowLocalhost: true
          })
          const provider = yield* providerOver(source)
          const token = yield* provider.get
          assert.strictEqual(token.scope, "read")
          assert.isTrue(token.scoped)
          assert.strictEqual(token.expiresAt.wall - token.issuedAt.wall, 300_000)
          assert.strictEqual((yield* server.find(textOf(token)))?.clientId, clientId)
          yield* provider.refresh
          assert.deepStrictEqual(server.paths, ["/.well-known/openid-configuration"])
          assert.strictEqual(server.requests.length, 2)
          assert.strictEqual(server.requests[0]?.body.has("client_secret"), method === "client_secret_post")
        }).pipe(Effect.scoped, quiet))
    }

    for (const alg of ["RS256", "PS256", "ES256", "Ed25519"]) {
      it.live(`[K-10] acquires a token with private_key_jwt and ${alg}, at an explicit endpoint`, () =>
        Effect.gen(function*() {
          const { jwk, key } = yield* keyPair(alg, "one")
          const server = yield* oauthServer({ keys: [jwk] })
          const source = OAuthClient.clientCredentials({
            issuer: server.issuer,
            tokenEndpoint: `${server.issuer}/token`,
            clientId: "signer",
            auth: ClientAuth.privateKeyJwt(key),
            allowLocalhost: true
          })
          const token = yield* (yield* providerOver(source)).get
          assert.strictEqual((yield* server.find(textOf(token)))?.clientId, "signer")
          assert.deepStrictEqual(server.paths, [])
        }).pipe(Effect.scoped, quiet))
    }

    it.live("[K-28 A6] metadata and token are requested over http from insecureHosts, which is logged once", () =>
      Effect.gen(function*() {
        const { jwk, key } = yield* keyPair("ES256", "one")
        const server = yield* oauthServer({ keys: [jwk] })
        const source = OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "signer",
          auth: ClientAuth.privateKeyJwt(key),
          insecureHosts: ["127.0.0.1"]
        })
        const { lines, record } = recording()
        const provider = yield* record(providerOver(source))
        yield* record(provider.get)
        yield* record(provider.refresh)
        assert.lengthOf(server.requests, 2)
        const said = lines.filter((line) => line.includes("over http, without TLS, from: 127.0.0.1"))
        assert.lengthOf(said, 1)
      }).pipe(Effect.scoped))

    it.live("the client's key can be rotated: the new key signs the next assertion", () =>
      Effect.gen(function*() {
        const [one, two] = [yield* keyPair("ES256", "one"), yield* keyPair("ES256", "two")]
        const server = yield* oauthServer({ keys: [one.jwk, two.jwk] })
        let current = one.key
        const source = OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "signer",
          auth: ClientAuth.privateKeyJwt(Effect.sync(() => current)),
          allowLocalhost: true
        })
        const provider = yield* providerOver(source)
        yield* provider.get
        current = two.key
        yield* provider.refresh
        const kids = server.requests.map(({ body }) => header(body.get("client_assertion")).kid)
        assert.deepStrictEqual(kids, ["one", "two"])
      }).pipe(Effect.scoped, quiet))

    it.live("[R15] [S2-27] each attempt signs a new assertion, whose iat increases strictly", () =>
      Effect.gen(function*() {
        const { jwk, key } = yield* keyPair("ES256", "one")
        const server = yield* oauthServer({ keys: [jwk] })
        server.fault = (response, number) => {
          if (number < 4) response.writeHead(503).end()
          return number < 4
        }
        const source = OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "signer",
          auth: ClientAuth.privateKeyJwt(key),
          allowLocalhost: true
        })
        yield* (yield* providerOver(source, { resilience: retrying })).get
        const claims = server.requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? ""))
        assert.strictEqual(new Set(claims.map(({ jti }) => jti)).size, 4)
        const iats = claims.map(({ iat }) => iat ?? 0)
        for (let i = 1; i < iats.length; i++) assert.isAbove(iats[i]!, iats[i - 1]!)
        assert.strictEqual(claims[0]?.aud, server.issuer)
        assert.strictEqual(claims[0]?.exp, iats[0]! + 60)
      }).pipe(Effect.scoped, quiet))

    it.live("[R15] an OAuth error is reported by its registered name and never retried", () =>
      Effect.gen(function*() {
        const server = yield* oauthServer()
        const source = OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "basic:client",
          auth: ClientAuth.secretBasic(Redacted.make("wrong")),
          allowLocalhost: true
        })
        const error = yield* Effect.flip((yield* providerOver(source, { resilience: retrying })).get)
        assert.strictEqual(error.code, "TOKEN_ACQUISITION_FAILED")
        assert.deepStrictEqual(detailsOf(error), {
          error: "invalid_client",
          status: 401,
          endpoint: `${server.issuer}/token`,
          server: "idp",
          attempts: 1
        })
        assert.strictEqual(server.requests.length, 1)
      }).pipe(Effect.scoped, quiet))

    it.live("accepts options, secrets and key as data", () =>
      Effect.gen(function*() {
        const { jwk, privateJwk } = yield* keyPair("ES256", "one")
        const server = yield* oauthServer({ keys: [jwk] })
        const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
          issuer: server.issuer,
          clientId: "signer",
          authMethod: "private_key_jwt",
          privateKey: JSON.stringify(privateJwk),
          allowLocalhost: true
        })
        const token = yield* (yield* providerOver(yield* OAuthClient.fromOptions(options))).get
        assert.strictEqual((yield* server.find(textOf(token)))?.clientId, "signer")
      }).pipe(Effect.scoped, quiet))
  })
})

describe("OAuthClient", () => {
  it.effect("[R29] assertions expire by Effect's clock", () =>
    Effect.gen(function*() {
      const { key } = yield* keyPair("ES256", "one")
      const bodies: Array<string> = []
      const server = HttpClient.make((request) => {
        if (request.body._tag === "Uint8Array") bodies.push(new TextDecoder().decode(request.body.body))
        return Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            Response.json({ access_token: "a", token_type: "bearer", expires_in: 600 })
          )
        )
      })
      yield* TestClock.setTime(86_400_500)
      const source = OAuthClient.clientCredentials({
        tokenEndpoint: "https://idp.example/token",
        clientId: "signer",
        auth: ClientAuth.privateKeyJwt(key)
      })
      const provider = yield* Effect.provideService(providerOver(source), TokenHttpClient.TokenHttpClient, server)
      assert.strictEqual((yield* provider.get).issuedAt.wall, 86_400_500)
      const { aud, exp, iat, nbf } = decodeJwt(new URLSearchParams(bodies[0]).get("client_assertion") ?? "")
      assert.deepStrictEqual({ aud, exp, iat, nbf }, {
        aud: "https://idp.example/token",
        iat: 86_400,
        nbf: 86_400,
        exp: 86_460
      })
    }).pipe(Effect.scoped, quiet))
})

const header = (jwt: string | null): { readonly kid?: string } =>
  JSON.parse(Buffer.from((jwt ?? "").split(".")[0] ?? "", "base64url").toString())
