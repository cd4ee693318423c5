import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { JwksCache } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { type Answer, httpOrigin, type Origin } from "@keelson/testing/httpOrigin"
import { quiet } from "@keelson/testing/observe"
import { Context, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { exportJWK, generateKeyPair } from "jose"
import * as Http from "node:http"
import { ClientAuth, OAuthClient, TokenGuard } from "../src/index.ts"
import { clientSecret, oauthServer } from "./oauthServer.ts"

const tokensAt = ({ received }: Origin) => received.map(({ headers }) => headers.authorization)

/** An API that accepts only tokens of the authorization server, and rejects revoked ones. */
const makeApi = Effect.fnUntraced(function*(isKnown: (token: string) => Promise<boolean>) {
  const revoked = new Set<string>()
  const seen: Array<string> = []
  const server = Http.createServer((request, response) => {
    const token = request.headers.authorization?.replace("Bearer ", "") ?? ""
    seen.push(token)
    const answer = async () => response.writeHead(await isKnown(token) && !revoked.has(token) ? 200 : 401).end()
    void answer()
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, revoked, seen }
})

describe("TokenGuard at real servers", () => {
  it.live("[K-10] [S2-18] acquires a token with private_key_jwt, shares it, and replaces it once the API rejects it", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair("ES256"))
      const jwk = yield* Effect.promise(() => exportJWK(publicKey))
      const server = yield* oauthServer({ keys: [{ ...jwk, kid: "one", use: "sig" }] })
      const api = yield* makeApi(async (token) => (await Effect.runPromise(server.find(token))) !== undefined)
      class Api extends TokenGuard.Service<Api>()("app/Api") {}
      const guarded = Api.layer({
        origins: [api.url],
        allowLocalhost: true,
        source: OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "signer",
          auth: ClientAuth.privateKeyJwt({ key: privateKey, kid: "one" }),
          scope: "read",
          allowLocalhost: true
        })
      })
      yield* Effect.gen(function*() {
        const guard = yield* Api
        const statuses = Effect.map(
          Effect.all(Array.from({ length: 50 }, () => guard.get("/")), { concurrency: "unbounded" }),
          (all) => [...new Set(all.map(({ status }) => status))]
        )
        assert.deepStrictEqual(yield* statuses, [200])
        assert.strictEqual(server.requests.length, 1)
        for (const token of api.seen) api.revoked.add(token)
        assert.deepStrictEqual(yield* statuses, [200])
        assert.strictEqual(server.requests.length, 2)
        assert.strictEqual(new Set(api.seen).size, 2)
      }).pipe(Effect.provide(Layer.provide(guarded, NodeHttpClient.layerUndici)))
    }).pipe(Effect.scoped, quiet))

  it.live("[K-10] uses a valid token while the authorization server is down", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer()
      const api = yield* httpOrigin()
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [api.url],
        allowLocalhost: true,
        source: OAuthClient.clientCredentials({
          issuer: server.issuer,
          clientId: "post",
          auth: ClientAuth.secretPost(Redacted.make(clientSecret)),
          allowLocalhost: true
        })
      })
      yield* guard.get("/")
      server.fault = (response) => {
        response.destroy()
        return true
      }
      assert.strictEqual((yield* Effect.flip(guard.provider.refresh)).code, "NETWORK_ERROR")
      assert.strictEqual((yield* guard.get("/")).status, 200)
      assert.strictEqual(new Set(tokensAt(api)).size, 1)
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeHttpClient.layerUndici)))

  for (const [name, layer] of [["fetch", FetchHttpClient.layer], ["undici", NodeHttpClient.layerUndici]] as const) {
    it.live(`[R12] over ${name}, neither requests for tokens and keys nor those of the application's client carry a guard's token`, () =>
      Effect.gen(function*() {
        const token = (number: number): Answer => ({
          status: 200,
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ access_token: `guarded-${number}`, token_type: "Bearer", expires_in: 3600 })
        })
        const idp = yield* httpOrigin(token(1), token(2))
        const keys = yield* httpOrigin({ status: 200, body: JSON.stringify({ keys: [] }) })
        const api = yield* httpOrigin(401, 200)
        class Api extends TokenGuard.Service<Api>()("app/Api") {}
        const guarded = Api.layer({
          origins: [api.url],
          allowLocalhost: true,
          source: OAuthClient.clientCredentials({
            tokenEndpoint: `${idp.url}token`,
            clientId: "app",
            auth: ClientAuth.secretPost(Redacted.make(clientSecret)),
            allowLocalhost: true
          })
        })
        const cache = JwksCache.layer({ issuer: "https://idp.example", url: `${keys.url}jwks`, prefetch: true })
        const app = Layer.mergeAll(
          guarded,
          Layer.provide(cache, NodeEgress.layer({ allowLocalhost: true }))
        ).pipe(Layer.provideMerge(layer))
        const context = yield* Layer.build(app)
        assert.strictEqual((yield* Context.get(context, Api).get("/")).status, 200)
        yield* Effect.exit(Context.get(context, JwksCache.JwksCache).refresh)
        assert.deepStrictEqual(tokensAt(api), ["Bearer guarded-1", "Bearer guarded-2"])
        assert.deepStrictEqual(tokensAt(idp), [undefined, undefined])
        assert.isAbove(keys.received.length, 0)
        assert.deepStrictEqual(tokensAt(keys).filter((found) => found !== undefined), [])
        // The application's client is unchanged.
        yield* Context.get(context, HttpClient.HttpClient).get(api.url)
        assert.strictEqual(tokensAt(api).at(-1), undefined)
      }).pipe(Effect.scoped, quiet))
  }
})
