import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { LocalDevelopment } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { attempt } from "@keelson/testing/attempt"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Logger } from "effect"
import { createRemoteJWKSet, jwtVerify } from "jose"
import { createServer } from "node:http"
import * as OpenIdClient from "openid-client"
import { Claims, TokenValidator } from "../../src/index.ts"
import { TestIssuer } from "../../src/testing/index.ts"

class Tokens extends TokenValidator.Service<Tokens>()("test/KitHttpTokens", { claims: Claims.AccessToken }) {}

const policy = { profile: "accessToken", audiences: ["api"], algorithms: ["ES256"] } as const

const serve = (host: string) =>
  Effect.map(
    Layer.build(Layer.provide(TestIssuer.layerHttp({ policy }), NodeHttpServer.layer(createServer, { port: 0, host }))),
    Context.get(TestIssuer.TestIssuer)
  )

describe("TestIssuer over HTTP", () => {
  it.live("[K-42] a validator of the application finds its keys by discovery over real connections", () =>
    Effect.gen(function*() {
      const { issuer, policy, requests, setFault, token } = yield* serve("127.0.0.1")
      const live = Tokens.layer(policy).pipe(
        Layer.provide(KeySource.layerOidc({ issuer, retryDelay: "1 millis", maxAttempts: 1 })),
        Layer.provide(NodeEgress.layer()),
        Layer.provide(LocalDevelopment.layer)
      )
      const { validate } = Context.get(yield* Layer.build(Layer.fresh(live)), Tokens)
      const { claims } = yield* validate(yield* token({ sub: "ada" }))
      assert.strictEqual(claims.sub, "ada")
      assert.deepInclude(yield* requests, { metadata: 1, keys: 1 })
      for (const fault of ["down", "error", "garbage"] as const) {
        yield* setFault(fault)
        const cold = Context.get(yield* Layer.build(Layer.fresh(live)), Tokens)
        assert.strictEqual((yield* reasonOf(cold.validate(yield* token())))._tag, "KeysUnavailable", fault)
      }
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("[K-42] gives openid-client tokens that jose verifies", () =>
    Effect.gen(function*() {
      const { issuer } = yield* serve("0.0.0.0")
      const payload = yield* attempt(async () => {
        const client = await OpenIdClient.discovery(
          new URL(issuer),
          "test-client",
          undefined,
          OpenIdClient.ClientSecretBasic("test-secret"),
          { execute: [OpenIdClient.allowInsecureRequests] }
        )
        const { access_token: text } = await OpenIdClient.clientCredentialsGrant(client, { scope: "reports:read" })
        const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
        const verified = await jwtVerify(text, keys, { issuer, audience: "api", typ: "at+jwt" })
        return verified.payload
      })
      assert.deepInclude(payload, { sub: "test-client", scope: "reports:read" })
    }))

  it.live("[K-42] another secret, grant, method or path is refused", () =>
    Effect.gen(function*() {
      const { issuer } = yield* serve("127.0.0.1")
      const post = (form: Record<string, string>, path = "/token", method = "POST") =>
        attempt(async () => {
          const response = await fetch(`${issuer}${path}`, {
            method,
            ...(method === "POST" ? { body: new URLSearchParams(form) } : undefined)
          })
          return [response.status, await response.text()]
        })
      const client = { client_id: "test-client", client_secret: "test-secret" }
      const good = { ...client, grant_type: "client_credentials" }
      assert.strictEqual((yield* post(good))[0], 200)
      assert.deepStrictEqual(yield* post({ ...good, client_secret: "" }), [401, "{\"error\":\"invalid_client\"}"])
      assert.deepStrictEqual(
        yield* post({ ...good, grant_type: "password" }),
        [400, "{\"error\":\"unsupported_grant_type\"}"]
      )
      assert.strictEqual((yield* post({}, "/token", "GET"))[0], 405)
      assert.strictEqual((yield* post({}, "/other"))[0], 404)
    }))
})
