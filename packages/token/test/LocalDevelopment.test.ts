import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Configuration, KeelsonError, LocalDevelopment } from "@keelson/core"
import { EgressOptions, KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { recording } from "@keelson/testing/observe"
import { oidcProvider, signingKey } from "@keelson/testing/oidcProvider"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { ClientAuth, GuardOptions, OAuthClient, TokenGuard } from "../src/index.ts"
import { clientSecret, oauthServer } from "./oauthServer.ts"

class Api extends TokenGuard.Service<Api>()("test/LocalApi") {}

const hint = /LocalDevelopment\.layer or allowLocalhost/

/** Requests an API with a token of a server, both over http, without an option `allowLocalhost`. */
const call = (issuer: string, api: string) => {
  const source = OAuthClient.clientCredentials({
    issuer,
    clientId: "basic:client",
    auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
    scope: "read"
  })
  return Api.use((guard) => Effect.map(guard.get("/reports"), ({ status }) => status)).pipe(
    Effect.provide(Api.layer({ origins: [api], source }))
  )
}

describe("[K-28 H3] one switch for http to this machine", () => {
  it.live("[K-28 H3] opens key sets, token requests and guarded clients at once, and says so", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      const provider = yield* oidcProvider([yield* signingKey("ES256", "a")])
      const server = yield* oauthServer()
      const api = yield* httpOrigin(200, 200)
      const keys = KeySource.KeySource.use((source) => source.find(provider.issuer, { alg: "ES256", kid: "none" }))
        .pipe(
          Effect.flip,
          Effect.map(({ _tag }) => _tag),
          Effect.provide(
            KeySource.layerOidc({ issuer: provider.issuer, prefetch: false }).pipe(Layer.provide(NodeEgress.layer()))
          )
        )
      const program = Effect.all([keys, call(server.issuer, api.url)])
      const live = Layer.merge(NodeHttpClient.layerUndici, LocalDevelopment.layer)
      const result = yield* record(Effect.provide(program, live))
      assert.deepStrictEqual(result, ["JwksKeyNotFound", 200])
      assert.strictEqual(lines.filter((line) => line.includes("http to this machine is allowed")).length, 1)
    }))

  it.live("[K-28 H3] stays closed without it, and each error names it", () =>
    Effect.gen(function*() {
      const build = KeySource.layerOidc({ issuer: "http://localhost:8080" }).pipe(Layer.provide(NodeEgress.layer()))
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(build)))
      assert.strictEqual(refused.code, "EGRESS_REFUSED")
      assert.match(JSON.stringify(refused), /LocalDevelopment\.layer/)
      const guarded = yield* Effect.flip(
        Configuration.decode(GuardOptions.GuardOptions)({ origins: ["http://localhost:8080"] })
      )
      assert.match(guarded.message, hint)
      const token = yield* Effect.flip(call("http://localhost:8080", "https://api.example"))
      assert.match(token.message + JSON.stringify(token), hint)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.effect("[K-28 H3] an option that is set is not affected", () =>
    Effect.gen(function*() {
      const of = (options: EgressOptions.Options) =>
        Effect.map(Configuration.decode(EgressOptions.EgressOptions)(options), ({ allowLocalhost }) => allowLocalhost)
      assert.deepStrictEqual(yield* Effect.all([of({}), of({ allowLocalhost: false })]), [true, false])
      const text = { format: "yaml", text: "maxRedirects: 1" } as const
      assert.isTrue((yield* Configuration.decodeText(EgressOptions.EgressOptions, text)).allowLocalhost)
      const issuer = "http://localhost:8080"
      const auth = ClientAuth.secretBasic(Redacted.make("s"))
      assert.throws(
        () => OAuthClient.clientCredentials({ issuer, clientId: "app", auth, allowLocalhost: false }),
        KeelsonError.ConfigurationError,
        hint
      )
      assert.throws(
        () => OAuthClient.clientCredentials({ issuer: "http://idp.example", clientId: "app", auth }),
        KeelsonError.ConfigurationError,
        hint
      )
    }).pipe(Effect.provideService(LocalDevelopment.LocalDevelopment, true)))

  it.effect("[K-28 H3] an egress whose variables are all unset has its defaults", () =>
    Effect.gen(function*() {
      const environment = (variables: Record<string, string>) =>
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: variables }))
      const built = (variables: Record<string, string>) =>
        Effect.scoped(Layer.build(NodeEgress.layerConfig(["egress"]))).pipe(environment(variables))
      yield* built({})
      assert.strictEqual((yield* Effect.flip(built({ EGRESS_MAX_BYTES: "x" }))).code, "INVALID_CONFIG")
    }))
})
