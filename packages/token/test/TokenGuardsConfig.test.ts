import { assert, describe, it } from "@effect/vitest"
import { Configuration } from "@keelson/core"
import { ConfigProvider, Context, Effect, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { exportPKCS8, generateKeyPair } from "jose"
import { ServerOptions, TokenGuards, TokenHttpClient } from "../src/index.ts"
import { scripted, statuses, tokensOf } from "./guardSupport.ts"

/** An authorization server whose tokens name the requested scope and audience, and which records requests. */
const authorizationServer = () => {
  const bodies: Array<Readonly<Record<string, string>>> = []
  const scripts = scripted((request) =>
    Effect.sync(() => {
      const form = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const body = Object.fromEntries(new URLSearchParams(form))
      bodies.push(body)
      return Response.json({
        access_token: `for-${body["scope"] ?? "all"}-${body["audience"] ?? "any"}`.replaceAll(" ", "+"),
        token_type: "Bearer",
        expires_in: 3600
      })
    })
  )
  return { ...scripts, bodies }
}

const environment = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const built = Effect.fnUntraced(function*<E>(
  layer: Layer.Layer<TokenGuards.TokenGuards, E, HttpClient.HttpClient>
) {
  const api = scripted(statuses())
  const server = authorizationServer()
  const context = yield* Layer.build(layer.pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, api.client)),
    Layer.provide(Layer.succeed(TokenHttpClient.TokenHttpClient, server.client))
  ))
  return { api, server, guards: Context.get(context, TokenGuards.TokenGuards) }
})

const secret = "s3cr3tOfBilling0123456789"

const file = `
keelson:
  servers:
    billing:
      url: https://billing.example/v1
      client:
        tokenEndpoint: https://idp.example/token
        clientId: app
        clientSecret: \${BILLING_SECRET}
        scope: invoices
      policy:
        threshold: 90 seconds
        cooldown: 1 minute
        maxSkew: 10 seconds
      acquisition:
        retry: { maxAttempts: 4, initialDelay: 200 millis, multiplier: 1.8, maxDelay: 5 seconds, jitter: decorrelated }
        breaker: { failureThreshold: 2 }
    orders:
      url: https://orders.example
      origins: [https://upload.example/orders]
      client:
        tokenEndpoint: https://idp.example/token
        clientId: app
        authMethod: client_secret_post
        clientSecret: \${BILLING_SECRET}
`
const text = (edit: (text: string) => string = (same) => same): Configuration.Text => ({
  format: "yaml",
  text: edit(file),
  section: "keelson.servers"
})

describe("TokenGuards configuration", () => {
  it.effect("[S3-08] [S2-24] creates one provider for each server of a section, with secrets from the environment", () =>
    Effect.gen(function*() {
      const { api, guards, server } = yield* built(TokenGuards.layerText(text()))
      for (
        const url of ["https://billing.example/v1/1", "https://orders.example/1", "https://upload.example/orders/1"]
      ) {
        yield* guards.find(url)!.guard.get(url)
      }
      assert.deepStrictEqual(tokensOf(api.received), ["for-invoices-any", "for-all-any", "for-all-any"])
      const basic = `Basic ${Buffer.from(`app:${secret}`).toString("base64")}`
      assert.deepStrictEqual(server.received.map(({ authorization, url }) => [url, authorization]), [
        ["https://idp.example/token", basic],
        ["https://idp.example/token", undefined]
      ])
      assert.strictEqual(server.bodies[1]?.["client_secret"], secret)
      assert.deepStrictEqual(guards.servers().map((one) => one.server), ["billing", "orders"])
    }).pipe(environment({ BILLING_SECRET: secret })))

  it.effect("tokens for another scope or audience come from the same client", () =>
    Effect.gen(function*() {
      const { api, guards, server } = yield* built(TokenGuards.layerText(text()))
      const guard = guards.get("billing")!
      const writing = yield* guard.scoped({ scope: "write read", audience: "https://ledger.example" })
      yield* writing.get("/")
      yield* guard.get("/")
      assert.deepStrictEqual(tokensOf(api.received), ["for-read+write-https://ledger.example", "for-invoices-any"])
      assert.strictEqual(server.received.length, 2)
    }).pipe(environment({ BILLING_SECRET: secret })))

  it.effect("[S2-24] [S3-25] reads a server from the environment, without retry and breaker unless configured", () =>
    Effect.gen(function*() {
      const options = yield* Configuration.fromEnvironment(ServerOptions.ServerOptions, ["billing"])
      assert.strictEqual(options.resilience, undefined)
      assert.strictEqual(options.acquisition?.breaker, undefined)
      assert.deepInclude(options.acquisition?.retry, { maxAttempts: 6, jitter: "none" })
      assert.strictEqual(Redacted.value(options.client.clientSecret!), secret)
      const { api, guards } = yield* built(TokenGuards.layerConfig({ billing: ["billing"] }))
      yield* guards.get("billing")!.get("/1")
      assert.deepStrictEqual(tokensOf(api.received), ["for-all-any"])
    }).pipe(environment({
      BILLING_URL: "https://billing.example",
      BILLING_CLIENT_TOKEN_ENDPOINT: "https://idp.example/token",
      BILLING_CLIENT_CLIENT_ID: "app",
      BILLING_CLIENT_CLIENT_SECRET: secret,
      BILLING_ACQUISITION_RETRY_MAX_ATTEMPTS: "6",
      BILLING_ACQUISITION_RETRY_JITTER: "none"
    })))

  it.effect("[S3-32] names the missing or wrong section, option or variable, and nothing of the secret", () =>
    Effect.gen(function*() {
      const errorOf = (input: Configuration.Text, env: Readonly<Record<string, string>> = { BILLING_SECRET: secret }) =>
        built(TokenGuards.layerText(input)).pipe(Effect.scoped, Effect.flip, environment(env))
      const cases: ReadonlyArray<readonly [Configuration.Text, string, string, string]> = [
        [{ ...text(), section: "keelson.other" }, "CONFIG_MISSING", "missing_key", "keelson.other"],
        [text((all) => all.replace("jitter: decorrelated", "jitter: gaussian")), "INVALID_CONFIG", "path", "jitter"],
        [text((all) => all.replace("maxAttempts: 4", "maxAttempts: 0")), "INVALID_CONFIG", "path", "maxAttempts"],
        [text((all) => all.replace("maxAttempts: 4", "attempts: 4")), "INVALID_CONFIG", "path", "attempts"],
        [
          text((all) => all.replace("threshold: 90 seconds", "threshold: 5 seconds")),
          "INVALID_CONFIG",
          "path",
          "maxSkew"
        ],
        [
          text((all) => all.replace("url: https://orders.example", "url: http://orders.example")),
          "INVALID_CONFIG",
          "path",
          "orders.url"
        ],
        [
          text((all) => all.replace("[https://upload.example/orders]", `["https://u:${secret}@x"]`)),
          "INVALID_CONFIG",
          "path",
          "orders.origins.0"
        ],
        [text((all) => all.replace("orders:", "or ders:")), "INVALID_CONFIG", "path", "or ders"],
        [
          text((all) => all.replace("authMethod: client_secret_post", "authMethod: private_key_jwt")),
          "INVALID_CONFIG",
          "path",
          "client.clientSecret"
        ]
      ]
      for (const [input, code, member, value] of cases) {
        const error = yield* errorOf(input)
        assert.strictEqual(error.code, code, value)
        assert.include(JSON.stringify(error.details[member]), value)
        assert.notInclude(JSON.stringify(error) + String(error) + String(error.stack), secret)
      }
      const unset = yield* errorOf(text(), {})
      assert.deepInclude(unset, { code: "CONFIG_VARIABLE_MISSING" })
      assert.deepInclude(unset.details, { var_name: "BILLING_SECRET" })
    }))

  it.effect("a private key is imported once, and an invalid one fails the layer", () =>
    Effect.gen(function*() {
      const { privateKey } = yield* Effect.promise(() => generateKeyPair("ES256", { extractable: true }))
      const pem = yield* Effect.promise(() => exportPKCS8(privateKey))
      const serverWith = (key: string) =>
        TokenGuards.layer({
          billing: {
            url: "https://billing.example",
            client: {
              issuer: "https://idp.example",
              tokenEndpoint: "https://idp.example/token",
              clientId: "app",
              authMethod: "private_key_jwt",
              privateKey: Redacted.make(key),
              privateKeyAlgorithm: "ES256"
            }
          }
        })
      const { api, guards, server } = yield* built(serverWith(pem))
      yield* guards.get("billing")!.get("/")
      assert.strictEqual(server.bodies[0]?.["client_assertion"]?.split(".").length, 3)
      assert.strictEqual(api.received.length, 1)
      const error = yield* Effect.flip(built(serverWith("not a key")))
      assert.strictEqual(error.code, "KEY_INVALID")
      assert.notInclude(JSON.stringify(error), "not a key")
    }))
})
