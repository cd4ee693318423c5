import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { callOf, headersOf, mcpServer, post, tokenOf } from "./mcpServer.ts"

const metadata = "https://api.example/.well-known/oauth-protected-resource/mcp"

describe("McpSecurity", () => {
  it.live("[K-37] asks for a token with the scopes of the server and the URL of its metadata", () =>
    Effect.gen(function*() {
      const { runs, url } = yield* mcpServer()
      const answer = yield* post(url, callOf("open"), headersOf("open"))
      assert.strictEqual(answer.status, 401)
      assert.strictEqual(
        answer.headers.get("www-authenticate"),
        `Bearer realm="api", scope="mcp", resource_metadata="${metadata}"`
      )
      assert.strictEqual(runs.size, 0)
    }))

  it.live("[K-37] runs a tool whose scopes the token has, with the principal", () =>
    Effect.gen(function*() {
      const { runs, url } = yield* mcpServer()
      const answer = yield* post(url, callOf("read"), headersOf("read"), yield* tokenOf("mcp files:read"))
      assert.strictEqual(answer.status, 200, answer.text)
      assert.include(answer.text, "read by user-1")
      assert.deepStrictEqual([...runs], [["read", 1]])
    }))
  it.live("[K-37] rejects with 403", () =>
    Effect.gen(function*() {
      const { runs, url } = yield* mcpServer()
      const answer = yield* post(url, callOf("write"), headersOf("write"), yield* tokenOf("mcp files:read"))
      assert.strictEqual(answer.status, 403, answer.text)
      console.log(answer.headers.get("www-authenticate"), answer.text, [...runs])
    }))
})
