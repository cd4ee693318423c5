/** An agent: an MCP client that finds its authorization server itself, and asks for more scopes when a tool needs them. */
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { ClientAuth, ResourceGuard } from "@keelson/token"
import { Effect, Layer, Redacted } from "effect"
import { McpClient, McpProtocol } from "effect/ai"
import { HttpClient } from "effect/http"
import type { AuthorizationServer } from "./authorizationServer.ts"

/** A client for the notes. Its token goes to the MCP server only, and its secret to this authorization server only. */
export class Notes extends ResourceGuard.Service<Notes>()("example/Notes") {}

/** The agent never gets the scope `notes:admin`, whatever the MCP server asks for. */
export const agent = (url: string, { clientId, clientSecret, issuer }: AuthorizationServer) => {
  const notes = Notes.layer({
    resource: url,
    clients: [{ issuer, clientId, auth: ClientAuth.secretBasic(Redacted.make(clientSecret)) }],
    allowedScopes: ["notes:read", "notes:write"],
    allowLocalhost: true
  })
  return McpClient.layerHttp({ name: "agent", version: "1.0.0", protocol: McpProtocol.v2026_07_28, url }).pipe(
    Layer.provide(Layer.effect(HttpClient.HttpClient, Effect.map(Notes, ResourceGuard.toHttpClient))),
    Layer.provideMerge(notes),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )
}
