import { assert, describe, it } from "@effect/vitest"
import { Configuration } from "@keelson/core"
import { audience, issuer } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { Introspection, IntrospectionOptions } from "../src/index.ts"
import { problemOf, quiet } from "./HttpSecuritySuite.ts"
import { active, inactive, json, makeEndpoint, opaque, options, type Respond } from "./introspectionSupport.ts"
import { bearer, serve, Tokens, variants } from "./protectedServer.ts"

const claims = { aud: audience, jti: "one", iat: 1, scope: "reports:read", roles: ["admin"], client_id: "web" }
const good: Respond = () => Effect.map(active(claims), (answer) => json(answer))

const layerOf = (respond: Respond) => {
  const server = makeEndpoint(respond)
  const tokens = Tokens.layerIntrospected(
    { issuers: [issuer], audiences: [audience] },
    Introspection.client(options({ resilience: { retry: { maxAttempts: 1 } } }))
  )
  return { server, tokens: Layer.provide(tokens, server.client) }
}

describe("An API whose tokens are introspected", () => {
  for (const [name, variant] of variants) {
    it.live(`[K-23] [R9] ${name} answers 200, 401 and 503 as with JWTs, with the server's Retry-After`, () =>
      Effect.gen(function*() {
        const { server, tokens } = layerOf(good)
        const { send } = yield* serve(variant, tokens, {}, quiet)
        const ok = yield* send("GET /me", bearer(opaque("a")))
        assert.deepStrictEqual([ok.status, ok.json], [200, {
          client: "web",
          scopes: ["reports:read"],
          roles: ["admin"]
        }])
        assert.strictEqual((yield* send("POST /reports", bearer(opaque("a")))).status, 403)
        assert.strictEqual((yield* send("GET /admin", bearer(opaque("a")))).status, 200)
        assert.strictEqual(server.asked.length, 1)
        server.respond = inactive
        const rejected = yield* send("GET /me", bearer(opaque("b")))
        assert.include(problemOf(rejected), {
          status: 401,
          code: "AUTH-001",
          challenge:
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is not accepted\""
        })
        server.respond = () => Effect.succeed(new Response("", { status: 503, headers: { "retry-after": "17" } }))
        const down = yield* send("GET /me", bearer(opaque("c")))
        assert.include(problemOf(down), { status: 503, code: "AUTH-003", cache: "no-store" })
        assert.strictEqual(down.headers["retry-after"], "17")
        assert.isUndefined(down.headers["www-authenticate"])
        assert.strictEqual((yield* send("GET /me", bearer(opaque("a")))).status, 200)
      }).pipe(Effect.scoped))
  }

  it.effect("[K-23] options of a file are those of the client", () =>
    Effect.gen(function*() {
      const text = `
introspection:
  issuer: https://idp.example
  clientId: api
  activeLifetime: 20s
  newTokensPerSecond: 5
`
      const checked = yield* Configuration.decodeText(IntrospectionOptions.IntrospectionOptions, {
        format: "yaml",
        text,
        section: "introspection"
      })
      const { auth } = options()
      const { tokens } = layerOf(good)
      yield* Layer.build(tokens)
      const fromFile = Tokens.layerIntrospected(
        { issuers: [issuer], audiences: [audience] },
        Introspection.client({ ...checked, auth })
      )
      yield* Layer.build(fromFile)
    }))
})
