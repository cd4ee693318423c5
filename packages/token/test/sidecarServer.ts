/** The token sidecar on a real server, with scripted tokens and API responses. */
import { NodeHttpServer } from "@effect/platform-node"
import * as Host from "@keelson/core/unstable/Host"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { HttpClient, HttpMiddleware, HttpRouter, HttpServer, HttpServerRequest } from "effect/http"
import { NetAddress } from "effect/net"
import * as Http from "node:http"
import type { TokenGuard } from "../src/index.ts"
import { TokenGuards, TokenSidecar } from "../src/index.ts"
import { makeSource, type Reply, scripted, type Source, statuses } from "./guardSupport.ts"

export const secret = "a-secret-of-the-sidecar-0123456789"

/** The operations that requests of the tests are sent as. */
const operations = ["discover_ingest_host", "get_scoped_token", "open_channel", "append_rows"]

export interface Answered {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
  readonly json: unknown
}

interface Sent {
  readonly body?: unknown
  readonly headers?: Http.OutgoingHttpHeaders
  readonly method?: string
}

/** Uses `node:http`, which sends any header. */
const request = (
  to: Http.RequestOptions,
  path: string,
  { body = {}, headers = {}, method = "POST" }: Sent
): Effect.Effect<Answered> =>
  Effect.callback((resume) => {
    const text = typeof body === "string" ? body : JSON.stringify(body)
    const outgoing = Http.request({
      ...to,
      path,
      method,
      agent: false,
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json", ...headers }
    }, (response) => {
      let all = ""
      response.on("data", (chunk) => all += String(chunk))
      response.once("end", () => {
        const json: unknown = all.startsWith("{") ? JSON.parse(all) : undefined
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text: all, json }))
      })
    })
    outgoing.once("error", (error) => resume(Effect.die(error)))
    outgoing.end(method === "POST" ? text : undefined)
  })

/** A sidecar in the scope with one server, `api`, at `https://api.example/v1`. */
export const sidecar = Effect.fnUntraced(function*(
  settings: {
    readonly reply?: Reply
    readonly source?: Source
    readonly server?: Partial<TokenGuard.Options>
    readonly options?: Partial<TokenSidecar.Options>
    readonly listen?: { readonly host: string; readonly port: number } | { readonly path: string }
    readonly isBehindProxy?: boolean
    /** What the server says to be the caller's address. */
    readonly remoteAddress?: string
  } = {}
) {
  const source = settings.source ?? makeSource("secret-token")
  const api = scripted(settings.reply ?? statuses())
  const listen = settings.listen ?? { host: "127.0.0.1", port: 0 }
  const { remoteAddress } = settings
  const withAddress = HttpMiddleware.make((app) =>
    Effect.updateService(
      app,
      HttpServerRequest.HttpServerRequest,
      (request) => remoteAddress === undefined ? request : request.modify({ remoteAddress: Option.some(remoteAddress) })
    )
  )
  const served = HttpRouter.serve(
    TokenSidecar.layer({ secret: Redacted.make(secret), operations, ...settings.options }),
    {
      disableListenLog: true,
      disableLogger: true,
      ...(settings.isBehindProxy === true
        ? { middleware: HttpMiddleware.xForwardedHeaders({ trustedProxies: Host.isLoopbackAddress }) }
        : { middleware: withAddress })
    }
  ).pipe(
    Layer.provideMerge(Layer.provide(TokenGuards.layer(), Layer.succeed(HttpClient.HttpClient, api.client))),
    Layer.provideMerge(NodeHttpServer.layer(Http.createServer, listen))
  )
  const context = yield* Layer.build(served)
  const guards = Context.get(context, TokenGuards.TokenGuards)
  const { address } = Context.get(context, HttpServer.HttpServer)
  const guard = yield* guards.register("api", {
    url: "https://api.example/v1",
    source: source.source,
    ...settings.server
  })
  const to = NetAddress.isInetAddress(address)
    ? { host: "127.0.0.1", port: address.port }
    : { socketPath: address.path }
  return {
    api,
    source,
    guard,
    guards,
    to,
    call: (path: string, sent: Sent = {}) => request(to, path, sent),
    ensure: (body: unknown = {}, headers?: Http.OutgoingHttpHeaders) =>
      request(to, "/sdk/token/ensure", { body, headers: headers ?? {} }),
    send: (body: Readonly<Record<string, unknown>> = {}, headers?: Http.OutgoingHttpHeaders) =>
      request(to, "/sdk/request/send", {
        body: { operation: "append_rows", method: "GET", url: "https://api.example/v1/rows", ...body },
        headers: headers ?? {}
      })
  }
})
