/**
 * Calls to an API with tokens of a real authorization server, both on 127.0.0.1: `node examples/src/calling-apis.ts`. It
 * ends after about a second.
 *
 * `allowLocalhost` is for these servers only: anything not on this machine must use https.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { ClientAuth, OAuthClient, TokenGuard, TokenGuards } from "@keelson/token"
import { ConfigProvider, Console, Context, Effect, Layer, Redacted, References, type Scope } from "effect"
import { counted } from "./text.ts"
import { type Api, makeApi } from "./tokens/api.ts"
import { type AuthorizationServer, makeAuthorizationServer } from "./tokens/authorizationServer.ts"

const outcome = (guard: TokenGuard.TokenGuard, path: string): Effect.Effect<string> =>
  Effect.match(guard.get(path), {
    onSuccess: ({ status }) => String(status),
    onFailure: (error) => "code" in error ? error.code : error._tag
  })

const makeReport = (server: AuthorizationServer, api: Api) => {
  return Effect.fnUntraced(function*(title: string, outcomes: ReadonlyArray<string>) {
    const received = Object.entries(api.takeRequests()).map(([who, count]) => `${count} of ${who}`)
    yield* Console.log(
      `${title}\n  ${counted(outcomes)}\n  at the API: ${
        received.join(", ") || "none"
      }; token requests: ${server.takeRequests()}\n`
    )
  })
}

/** A guard that authenticates with a client secret. */
const callWithSecret = Effect.fnUntraced(function*(server: AuthorizationServer, api: Api) {
  class Reports extends TokenGuard.Service<Reports>()("app/Reports") {}
  const live = Reports.layer({
    origins: [api.url],
    allowLocalhost: true,
    source: OAuthClient.clientCredentials({
      issuer: server.issuer,
      clientId: "reporter",
      auth: ClientAuth.secretBasic(Redacted.make(server.clientSecret)),
      scope: "invoices",
      allowLocalhost: true
    })
  })
  const guard = Context.get(yield* Layer.build(live), Reports)
  const report = makeReport(server, api)
  const calls = (count: number, path = "/invoices") =>
    Effect.all(Array.from({ length: count }, () => outcome(guard, path)), { concurrency: "unbounded" })

  yield* report("100 calls at once, without a token yet", yield* calls(100))
  yield* report("100 more", yield* calls(100))

  api.rejectSeenTokens()
  yield* report("The API rejects the token: each call is sent again, all with one new token", yield* calls(10))

  server.isDown = true
  const refresh = yield* Effect.match(guard.provider.refresh, {
    onSuccess: () => "a token",
    onFailure: ({ code }) => code
  })
  yield* report(`The authorization server is down (${refresh}): the cached token stays in use`, yield* calls(10))
  server.isDown = false

  yield* report("A call to another origin is not sent", yield* calls(1, "http://127.0.0.1:9/invoices"))
})

/** Guards from configuration, with a private key from the environment. */
const callWithKey = Effect.fnUntraced(function*(server: AuthorizationServer, api: Api) {
  const text = `
servers:
  ledger:
    url: ${api.url}/ledger
    allowLocalhost: true
    client:
      issuer: ${server.issuer}
      allowLocalhost: true
      clientId: ledger
      authMethod: private_key_jwt
      privateKey: \${LEDGER_KEY}
      privateKeyAlgorithm: ES256
      privateKeyId: "1"
      scope: ledger
`
  const environment = ConfigProvider.fromEnv({ env: { LEDGER_KEY: server.privateKey } })
  const servers = TokenGuards.layerText({ format: "yaml", text, section: "servers" })
  const guards = Context.get(
    yield* Effect.provideService(Layer.build(servers), ConfigProvider.ConfigProvider, environment),
    TokenGuards.TokenGuards
  )
  const report = makeReport(server, api)
  const owners = [`${api.url}/ledger/1`, `${api.url}/ledgers`].map((url) => guards.find(url)?.server ?? "no server")
  const ledger = guards.get("ledger")
  const outcomes = ledger === undefined ? [] : [yield* outcome(ledger, "/1")]
  yield* report(
    `Servers from a file, with private_key_jwt: /ledger/1 belongs to ${owners[0]}, /ledgers to ${owners[1]}`,
    outcomes
  )
})

const main: Effect.Effect<void, unknown, Scope.Scope> = Effect.gen(function*() {
  const server = yield* makeAuthorizationServer
  const api = yield* makeApi(server.clientOf)
  yield* callWithSecret(server, api)
  yield* callWithKey(server, api)
}).pipe(Effect.provide(NodeHttpClient.layerUndici))

// Hides the log of the outage, which would disturb the report.
NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "None"))
