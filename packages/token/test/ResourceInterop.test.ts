import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { ClientCredentialsProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js"
import {
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams
} from "@modelcontextprotocol/sdk/client/auth.js"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js"
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter
} from "@modelcontextprotocol/sdk/server/auth/router.js"
import { McpServer as SdkServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { McpClient, McpProtocol } from "effect/ai"
import { HttpClient } from "effect/http"
import express from "express"
import { createRemoteJWKSet, jwtVerify } from "jose"
import type { Server } from "node:http"
import * as OpenIdClient from "openid-client"
import { ClientAuth, ResourceGuard } from "../src/index.ts"
import { mcpServer } from "./mcpServer.ts"
import {
  type AuthorizationServer,
  authorizationServer,
  clientId,
  clientSecret
} from "./resource/authorizationServer.ts"

/** The text of a result's first block. */
const textOf = (result: object): unknown => {
  const [block]: ReadonlyArray<unknown> = "content" in result && Array.isArray(result.content) ? result.content : []
  return typeof block === "object" && block !== null && "text" in block ? block.text : undefined
}

const scopesOf = ({ granted }: AuthorizationServer) => granted.map(({ scope }) => scope)

/** The client of the MCP SDK. */
const sdkClient = (url: string, issuer: string, scope: string): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "sdk", version: "1.0.0" })
      await client.connect(
        new StreamableHTTPClientTransport(new URL(url), {
          authProvider: new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer, scope })
        })
      )
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )

/** What the server answers to one request. */
const answer = async (request: express.Request, response: express.Response): Promise<void> => {
  const mcp = new SdkServer({ name: "sdk", version: "1.0.0" })
  mcp.registerTool("write", { description: "Writes" }, ({ authInfo }) => ({
    content: [{ type: "text", text: `write by ${authInfo?.clientId}` }]
  }))
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
  await mcp.connect(transport)
  await transport.handleRequest(request, response, request.body)
}

/** A server of the MCP SDK for Express, with its own metadata and its own check of tokens. */
const sdkServer = Effect.fnUntraced(function*(issuer: string) {
  const app = express()
  app.use(express.json())
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const listening: Server = app.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) =>
      Effect.callback<void>((resume) => {
        listening.close(() => resume(Effect.void))
        listening.closeAllConnections()
      })
  )
  const address = server.address()
  const resource = new URL(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/mcp`)
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  const verifier = {
    verifyAccessToken: async (token: string) => {
      const { payload } = await jwtVerify(token, keys, { issuer, audience: resource.href })
      return {
        token,
        clientId: String(payload["client_id"]),
        scopes: String(payload["scope"]).split(" "),
        expiresAt: payload.exp ?? 0
      }
    }
  }
  const needing = (...requiredScopes: Array<string>) =>
    requireBearerAuth({ verifier, requiredScopes, resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource) })
  const [base, write] = [needing("mcp"), needing("files:write")]
  app.use(mcpAuthMetadataRouter({
    oauthMetadata: {
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      response_types_supported: ["code"]
    },
    resourceServerUrl: resource,
    scopesSupported: ["mcp"]
  }))
  app.all("/mcp", (request, response, next) => {
    const isCall = typeof request.body === "object" && request.body !== null && request.body.method === "tools/call"
    void (isCall ? write : base)(request, response, next)
  }, (request, response) => {
    void answer(request, response)
  })
  return resource.href
})

describe("Protected resources with other implementations", () => {
  it.live("[K-37] the client of the MCP SDK finds the authorization server, and calls the tools that its scopes allow", () =>
    Effect.gen(function*() {
      const server = yield* authorizationServer
      const { runs, url } = yield* mcpServer({}, server.issuer)
      const client = yield* sdkClient(`${url}/mcp`, server.issuer, "mcp files:read")
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.deepStrictEqual(tools.map(({ name }) => name).toSorted(), ["destroy", "größe", "open", "read", "write"])
      const read = yield* Effect.promise(() => client.callTool({ name: "read", arguments: {} }))
      assert.include(textOf(read), "read by agent")
      assert.deepStrictEqual(scopesOf(server), ["mcp files:read"])
      assert.deepStrictEqual(server.granted.map(({ resource }) => resource), [`${url}/mcp`])
      // With this grant, its client asks for the configured scope again instead of that of the challenge, and gives up.
      const error = yield* Effect.flip(
        Effect.tryPromise({
          try: () => client.callTool({ name: "write", arguments: {} }),
          catch: (cause) => cause instanceof Error ? cause.message : ""
        })
      )
      assert.include(error, "403 after trying upscoping")
      assert.deepStrictEqual(scopesOf(server), ["mcp files:read", "mcp files:read"])
      assert.deepStrictEqual([...runs], [["read", 1]])
    }))

  it.live("[K-37] the MCP SDK reads the metadata and the challenges", () =>
    Effect.gen(function*() {
      const server = yield* authorizationServer
      const { url } = yield* mcpServer({}, server.issuer)
      const metadata = yield* Effect.promise(() => discoverOAuthProtectedResourceMetadata(`${url}/mcp`))
      assert.deepStrictEqual(
        [metadata.resource, metadata.authorization_servers, metadata.scopes_supported],
        [`${url}/mcp`, [server.issuer], ["mcp"]]
      )
      const response = yield* Effect.promise(() => fetch(`${url}/mcp`, { method: "POST" }))
      const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(response)
      assert.deepStrictEqual(
        [resourceMetadataUrl?.href, scope],
        [`${url}/.well-known/oauth-protected-resource/mcp`, "mcp"]
      )
    }))

  it.live("[K-37] a ResourceGuard finds and calls a server of the MCP SDK, and steps up after its 403", () =>
    Effect.gen(function*() {
      const server = yield* authorizationServer
      const resource = yield* sdkServer(server.issuer)
      class Files extends ResourceGuard.Service<Files>()("test/Files") {}
      const files = Files.layer({
        resource,
        clients: [{ issuer: server.issuer, clientId, auth: ClientAuth.secretBasic(Redacted.make(clientSecret)) }],
        allowLocalhost: true
      })
      const layer = McpClient.layerHttp({ name: "t", version: "1", protocol: McpProtocol.v2025_11_25, url: resource })
        .pipe(
          Layer.provide(Layer.effect(HttpClient.HttpClient, Effect.map(Files, ResourceGuard.toHttpClient))),
          Layer.provideMerge(files),
          Layer.provide([NodeHttpClient.layerUndici, NodeEgress.layer({ allowLocalhost: true })])
        )
      const client = Context.get(yield* Layer.build(layer), McpClient.McpClient)
      const [tool] = yield* client.listTools()
      assert.deepStrictEqual(scopesOf(server), ["mcp"])
      assert.strictEqual(textOf(tool === undefined ? {} : yield* client.callTool({ tool })), "write by agent")
      // The challenge of the SDK names the scopes of the operation only: the union keeps those of before.
      assert.deepStrictEqual(scopesOf(server), ["mcp", "files:write mcp"])
      assert.deepStrictEqual(server.granted.map((params) => params["resource"]), [resource, resource])
    }))

  it.live("[K-37] openid-client gets a token for the resource, which the server accepts, and none for another", () =>
    Effect.gen(function*() {
      const server = yield* authorizationServer
      const { url } = yield* mcpServer({}, server.issuer)
      const tokenFor = (resource: string) =>
        Effect.promise(async () => {
          const configuration = await OpenIdClient.discovery(
            new URL(server.issuer),
            clientId,
            clientSecret,
            undefined,
            {
              execute: [OpenIdClient.allowInsecureRequests]
            }
          )
          return OpenIdClient.clientCredentialsGrant(configuration, { resource, scope: "mcp" })
        })
      const statusOf = (token: string) =>
        Effect.promise(async () =>
          (await fetch(`${url}/mcp`, { headers: { authorization: `Bearer ${token}` } })).status
        )
      assert.strictEqual(yield* statusOf((yield* tokenFor(`${url}/mcp`)).access_token), 405)
      assert.strictEqual(yield* statusOf((yield* tokenFor("https://other.example/mcp")).access_token), 401)
    }))
})
