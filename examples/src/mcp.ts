/**
 * An MCP server whose tools need scopes, and an agent that asks for them when it needs them, with a real authorization server, all on
 * 127.0.0.1: `node examples/src/mcp.ts`. It ends after about a second.
 *
 * `allowLocalhost` is for these servers only: anything not on this machine must use https.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, References } from "effect"
import { McpClient, type McpSchema } from "effect/ai"
import { HttpClient } from "effect/http"
import { agent, Notes } from "./mcp/agent.ts"
import { type AuthorizationServer, makeAuthorizationServer } from "./mcp/authorizationServer.ts"
import { serve, type Server } from "./mcp/server.ts"

/** The text of a tool's result, or the status with which the call was refused. */
const outcome = (client: McpClient.McpClient, tool: McpSchema.Tool, args: Record<string, unknown> = {}) =>
  Effect.match(client.callTool({ tool, arguments: args }), {
    onSuccess: ({ content }) => content.map((block) => block.type === "text" ? block.text : block.type).join(),
    onFailure: ({ reason }) => reason._tag === "HttpError" ? `refused with ${reason.status}` : reason._tag
  })

/** Without a token: where the metadata are, and the scopes to begin with. */
const asAnybody = Effect.fnUntraced(function*({ takeRequests, url }: Server) {
  const http = yield* HttpClient.HttpClient
  const refused = yield* http.get(url)
  const challenge = refused.headers["www-authenticate"] ?? ""
  yield* Console.log(`A request without a token\n  ${refused.status} ${challenge}\n`)
  const metadata = yield* http.get(/resource_metadata="([^"]*)"/.exec(challenge)?.[1] ?? url)
  yield* Console.log(`The metadata of the server\n  ${yield* metadata.text}\n`)
  takeRequests()
})

const asAgent = Effect.fnUntraced(function*(server: Server, authorization: AuthorizationServer) {
  const report = Effect.fnUntraced(function*(title: string, result: string) {
    const scopes = yield* (yield* Notes).requestedScopes
    yield* Console.log(
      [
        title,
        `  ${result}`,
        `  at the MCP server: ${server.takeRequests().join(", ")}`,
        `  token requests: ${authorization.takeRequests()}; scopes of the token: ${scopes.join(" ")}`,
        ""
      ].join("\n")
    )
  })
  const client = yield* McpClient.McpClient
  const [read, add, remove] = yield* client.listTools()
  if (read === undefined || add === undefined || remove === undefined) return yield* Effect.die(new Error("no tools"))
  yield* report("The agent connects and lists the tools", [read, add, remove].map(({ name }) => name).join(", "))
  yield* report("It reads the notes", yield* outcome(client, read))
  yield* report("It adds a note: the first call lacks a scope", yield* outcome(client, add, { text: "Buy oakum" }))
  yield* report("It adds another", yield* outcome(client, add, { text: "Caulk the deck" }))
  yield* report("It reads the notes with the same token", yield* outcome(client, read))
  yield* report("It may not ask for the scope that this tool needs", yield* outcome(client, remove))
})

const main = Effect.gen(function*() {
  const authorization = yield* makeAuthorizationServer
  const server = yield* serve(authorization.issuer)
  yield* asAnybody(server)
  yield* Effect.provide(asAgent(server, authorization), agent(server.url, authorization))
})

NodeRuntime.runMain(
  main.pipe(
    Effect.scoped,
    Effect.provide(NodeHttpClient.layerUndici),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
)
