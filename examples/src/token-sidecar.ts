/**
 * A token sidecar for programs without Keelson, with a real authorization server and an API, all on 127.0.0.1:
 * `node examples/src/token-sidecar.ts`. It ends after about a second.
 *
 * `allowLocalhost` is for these servers only: anything not on this machine must use https.
 */
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { TokenGuards, TokenSidecar } from "@keelson/token"
import { Console, Context, Effect, Layer, Redacted, References, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { type Api, makeApi } from "./tokens/api.ts"
import { type AuthorizationServer, makeAuthorizationServer } from "./tokens/authorizationServer.ts"

/** The operations of this system. The sidecar sends no request under another name. */
const operations = ["discover_ingest_host", "get_scoped_token", "open_channel", "append_rows"]

/** Starts the sidecar and returns its URL. */
const startSidecar = Effect.fnUntraced(function*(server: AuthorizationServer, api: Api, secret: string) {
  const guards = TokenGuards.layer({
    ingest: {
      url: api.url,
      allowLocalhost: true,
      client: {
        issuer: server.issuer,
        allowLocalhost: true,
        clientId: "reporter",
        clientSecret: Redacted.make(server.clientSecret),
        scope: "invoices"
      }
    }
  })
  const routes = TokenSidecar.layer({ secret: Redacted.make(secret), operations })
  const sidecar = HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provide(guards),
    Layer.provideMerge(
      NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, gracefulShutdownTimeout: "100 millis" })
    )
  )
  return HttpServer.formatAddress(Context.get(yield* Layer.build(sidecar), HttpServer.HttpServer).address)
})

/** A program in any language: it knows the sidecar's URL and secret, and has no token. */
const post = (url: string, secret: string, body: object): Effect.Effect<string> =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "authorization": `Bearer ${secret}`, "content-type": "application/json" },
      body: JSON.stringify(body)
    })
    return `${response.status} ${await response.text()}`
  })

const main: Effect.Effect<void, unknown, Scope.Scope> = Effect.gen(function*() {
  const server = yield* makeAuthorizationServer
  const api = yield* makeApi(server.clientOf)
  const secret = crypto.randomUUID()
  const sidecar = yield* startSidecar(server, api, secret)
  const report = (title: string, ...lines: ReadonlyArray<string>) =>
    Console.log(`${title}\n${lines.map((line) => `  ${line}\n`).join("")}`)
  const send = (operation: string) =>
    post(`${sidecar}/sdk/request/send`, secret, { operation, method: "GET", url: `${api.url}/${operation}` })

  yield* report("Each operation, sent with a token", ...yield* Effect.forEach(operations, send))
  const received = Object.entries(api.takeRequests()).map(([client, count]) => `${count} of ${client}`)
  yield* report(
    "Requests that arrived",
    `at the API: ${received.join(", ")}`,
    `at the authorization server: ${server.takeRequests()}`
  )
  yield* report("An operation that is not configured", yield* send("drop_table"))
  yield* report("A caller with another secret", yield* post(`${sidecar}/sdk/token/ensure`, "a guess", {}))
}).pipe(Effect.provide(NodeHttpClient.layerUndici))

NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "None"))
