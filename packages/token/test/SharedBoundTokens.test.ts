import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import {
  ClientAuth,
  DpopKey,
  OAuthClient,
  SharedTokens,
  TokenGuard,
  TokenHttpClient,
  TokenProvider
} from "../src/index.ts"

/** An authorization server that binds a token if the request has a proof; `sent` has the type of each token. */
const makeServer = () => {
  const sent: Array<"DPoP" | "Bearer"> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const type = request.headers["dpop"] === undefined ? "Bearer" : "DPoP"
      sent.push(type)
      const answer = { access_token: `${type}-${sent.length}`, token_type: type, expires_in: 600 }
      return HttpClientResponse.fromWeb(request, Response.json(answer))
    })
  )
  return { sent, client }
}

/** Returns the `Authorization` header of each request. */
const api = HttpClient.make((request) =>
  Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"])))
)

const source = OAuthClient.clientCredentials({
  issuer: "https://idp.example",
  tokenEndpoint: "https://idp.example/token",
  clientId: "app",
  auth: ClientAuth.secretPost(Redacted.make("secret"))
})

/** What a new process with a guard sends. */
const sendWith = (dpop: "off" | "preferred" | "required") =>
  Effect.scoped(Effect.flatMap(
    TokenGuard.make({ name: "billing", origins: ["https://api.example"], source, dpop }),
    (guard) => Effect.flatMap(guard.get("/"), ({ text }) => text)
  ))

const inFleet = <A, E, R>(self: Effect.Effect<A, E, R>, server: ReturnType<typeof makeServer>) =>
  self.pipe(
    Effect.provide(Layer.fresh(SharedTokens.layerMemory)),
    Effect.provideService(HttpClient.HttpClient, api),
    Effect.provideService(TokenHttpClient.TokenHttpClient, server.client)
  )

describe("Shared tokens and a key that tokens are bound to", () => {
  it.effect("[R16] [K-23] a guard with a key takes no shared Bearer token, and leaves the shared one to the others", () => {
    const server = makeServer()
    return Effect.gen(function*() {
      assert.strictEqual(yield* sendWith("off"), "Bearer Bearer-1")
      assert.strictEqual(yield* sendWith("required"), "DPoP DPoP-2")
      assert.strictEqual(yield* sendWith("preferred"), "DPoP DPoP-3")
      assert.strictEqual(yield* sendWith("off"), "Bearer Bearer-1")
      assert.deepStrictEqual(server.sent, ["Bearer", "DPoP", "DPoP"])
    }).pipe((self) => inFleet(self, server))
  })

  it.effect("[R16] [K-23] a guard with a key that comes first does not keep the others from sharing", () => {
    const server = makeServer()
    return Effect.gen(function*() {
      assert.strictEqual(yield* sendWith("required"), "DPoP DPoP-1")
      assert.strictEqual(yield* sendWith("off"), "Bearer Bearer-2")
      assert.strictEqual(yield* sendWith("off"), "Bearer Bearer-2")
    }).pipe((self) => inFleet(self, server))
  })

  it.effect("[R16] [K-23] a provider with a key takes no shared token", () => {
    const server = makeServer()
    const tokenOf = Effect.scoped(Effect.flatMap(TokenProvider.make({ name: "billing", source }), ({ get }) => get))
    return Effect.gen(function*() {
      const key = yield* DpopKey.generate()
      assert.strictEqual((yield* tokenOf).tokenType, "Bearer")
      const bound = yield* Effect.provideService(tokenOf, DpopKey.CurrentDpopKey, key)
      assert.deepStrictEqual([bound.tokenType, Redacted.value(bound.value)], ["DPoP", "DPoP-2"])
      assert.strictEqual(Redacted.value((yield* tokenOf).value), "Bearer-1")
    }).pipe(Effect.scoped, (self) => inFleet(self, server))
  })
})
