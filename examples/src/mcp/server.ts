/** An MCP server on 127.0.0.1 whose tools need scopes. */
import { NodeHttpServer } from "@effect/platform-node"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, Principal, TokenValidator, ValidationPolicy } from "@keelson/token"
import * as McpSecurity from "@keelson/token/McpSecurity"
import { Context, Effect, Layer, Schema } from "effect"
import { McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import { HttpRouter, HttpServer, HttpServerRequest } from "effect/http"
import { createServer } from "node:http"
import { ownHostOnly } from "../ownHost.ts"

class Tokens extends TokenValidator.Service<Tokens>()("example/McpTokens", { claims: Claims.AccessToken }) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("example/McpCaller") {}

/** The handlers of these tools have the caller. */
const Notes = Toolkit.make(
  Tool.make("read_notes", { success: Schema.Array(Schema.String), dependencies: [Caller] }),
  Tool.make("add_note", {
    parameters: Schema.Struct({ text: Schema.String }),
    success: Schema.String,
    dependencies: [Caller]
  }),
  Tool.make("delete_notes", { success: Schema.String, dependencies: [Caller] })
)

const handlers = Notes.toLayer(Effect.sync(() => {
  const notes = new Map<string, ReadonlyArray<string>>()
  const ofCaller = Effect.map(Caller, ({ clientId = "" }) => ({ clientId, own: notes.get(clientId) ?? [] }))
  return {
    read_notes: () => Effect.map(ofCaller, ({ own }) => own),
    add_note: ({ text }: { readonly text: string }) =>
      Effect.map(ofCaller, ({ clientId, own }) => {
        notes.set(clientId, [...own, text])
        return `${own.length + 1} notes of ${clientId}`
      }),
    delete_notes: () =>
      Effect.map(ofCaller, ({ clientId }) => {
        notes.delete(clientId)
        return "deleted"
      })
  }
}))

/** `allowLocalhost` is for this example only: in production resource and issuer have https URLs. */
const security = (resource: string, issuer: string) =>
  McpSecurity.layer({
    validator: Tokens,
    principal: Caller,
    realm: "notes",
    resource,
    authorizationServers: [issuer],
    allowLocalhost: true,
    scopes: ["notes:read"],
    tools: { read_notes: [], add_note: ["notes:write"], delete_notes: ["notes:admin"] },
    implies: { "notes:admin": ["notes:write"], "notes:write": ["notes:read"] }
  }).pipe(
    Layer.provide(
      // A token for another resource is not accepted: the resource is the audience.
      Tokens.layer(ValidationPolicy.accessToken({ issuers: [issuer], audiences: [resource], algorithms: ["ES256"] }))
    ),
    Layer.provide(KeySource.layerOidc({ issuer })),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )

/** What each request called, and the status of its answer. */
const record = (entries: Array<string>) =>
  HttpRouter.middleware(
    (handler) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
        Effect.map(handler, (response) => {
          const called = headers["mcp-name"] ?? headers["mcp-method"]
          if (called !== undefined) entries.push(`${called} ${response.status}`)
          return response
        })),
    { global: true }
  )

/** A running server. */
export interface Server {
  readonly url: string
  /** The requests since the last call. */
  readonly takeRequests: () => ReadonlyArray<string>
}

/** Serves until the scope closes. */
export const serve = Effect.fnUntraced(function*(issuer: string) {
  const entries: Array<string> = []
  const routes = Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
    McpServer.layerHttp({
      name: "notes",
      version: "1.0.0",
      path: "/mcp",
      protocols: [McpProtocol.v2026_07_28],
      registrations: Layer.provide(McpServer.toolkit(Notes), handlers)
    }).pipe(Layer.provide(security(`${HttpServer.formatAddress(address)}/mcp`, issuer)))))
  const server = HttpRouter.serve(Layer.mergeAll(routes, record(entries), ownHostOnly), {
    disableListenLog: true,
    disableLogger: true
  }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: "100 millis"
    }))
  )
  const context = yield* Layer.build(server)
  const origin = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
  return { url: `${origin}/mcp`, takeRequests: () => entries.splice(0) } satisfies Server
})
