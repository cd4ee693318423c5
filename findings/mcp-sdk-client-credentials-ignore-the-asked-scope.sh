#!/bin/sh
# @modelcontextprotocol/sdk 1.32.2, ClientCredentialsProvider with StreamableHTTPClientTransport
#
# A server answers a tool call with 403 and `error="insufficient_scope", scope="notes:read notes:write"`. The transport reads the scope,
# and acquires another token to repeat the call with it. With the client credentials provider, the second token request has the scope
# that the provider was made with, not the one that the server asks for: the repeated call gets the same 403, and the transport reports
# that it tried a broader scope.
#
# Guess: the second token request has the scope of the challenge, as the transport's own error says.
#
# Seen (Node v20.20.2 and v24.21.0):
#   scopes of the token requests: notes:read | notes:read
#   Server returned 403 after trying upscoping
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent @modelcontextprotocol/sdk@1.32.2
cat > run.js <<'JS'
import assert from "node:assert"
import { once } from "node:events"
import { createServer } from "node:http"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ClientCredentialsProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"

const scopes = []
const server = createServer(async (request, response) => {
  let body = ""
  for await (const chunk of request) body += chunk
  const json = (status, value, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(value === undefined ? "" : JSON.stringify(value))
  }
  const { pathname } = new URL(request.url, origin)
  if (pathname.startsWith("/.well-known/oauth-protected-resource")) {
    return json(200, { resource: `${origin}/mcp`, authorization_servers: [origin] })
  }
  if (pathname.startsWith("/.well-known/oauth-authorization-server")) {
    return json(200, {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      response_types_supported: ["code"],
      grant_types_supported: ["client_credentials"],
      token_endpoint_auth_methods_supported: ["client_secret_basic"]
    })
  }
  if (pathname === "/token") {
    const scope = new URLSearchParams(body).get("scope")
    scopes.push(scope)
    return json(200, { access_token: Buffer.from(scope ?? "").toString("hex"), token_type: "Bearer", expires_in: 300, scope })
  }
  if (pathname !== "/mcp" || request.method !== "POST") return json(405, undefined)
  const challenge = (error) => ({ "www-authenticate": `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"${error}` })
  const [, token] = (request.headers.authorization ?? "").split(" ")
  if (token === undefined) return json(401, undefined, challenge(""))
  const message = JSON.parse(body)
  if (message.method === "initialize") {
    return json(200, {
      jsonrpc: "2.0",
      id: message.id,
      result: {
        protocolVersion: message.params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "notes", version: "1" }
      }
    })
  }
  if (message.id === undefined) return json(202, undefined)
  if (!Buffer.from(token, "hex").toString().includes("notes:write")) {
    return json(403, undefined, challenge(", error=\"insufficient_scope\", scope=\"notes:read notes:write\""))
  }
  return json(200, { jsonrpc: "2.0", id: message.id, result: { content: [] } })
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const origin = `http://127.0.0.1:${server.address().port}`

const provider = new ClientCredentialsProvider({
  clientId: "client",
  clientSecret: "secret",
  expectedIssuer: origin,
  scope: "notes:read"
})
const client = new Client({ name: "agent", version: "1" })
await client.connect(new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), { authProvider: provider }))
const outcome = await client.callTool({ name: "write_note", arguments: {} }).then(() => "called", (error) => error.message)
await client.close()
server.closeAllConnections()
server.close()

console.log("node", process.version)
console.log("scopes of the token requests:", scopes.join(" | "))
console.log(outcome)
assert.deepStrictEqual(scopes, ["notes:read", "notes:read"])
assert.match(outcome, /Server returned 403 after trying upscoping/)
JS
node run.js
