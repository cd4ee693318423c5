import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import {
  baseHeaders,
  callOf,
  challengeOf,
  deniedChallenge,
  headersOf,
  insufficient,
  mcpServer,
  post,
  rpc,
  tokenOf
} from "./mcpServer.ts"

describe("McpSecurity with revisions before 2026-07-28", () => {
  describe("batches", () => {
    it.live("[K-37] needs the scopes of every tool that a batch calls, and names them together", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read")
        const headers = { ...baseHeaders, "mcp-session-id": yield* session(token, "2025-03-26") }
        const call = (name: string, id: number) => rpc("tools/call", { name, arguments: {} }, id)
        const batch = yield* post(url, [call("read", 1), call("write", 2), call("destroy", 3)], headers, token)
        assert.deepStrictEqual(
          [batch.status, challengeOf(batch)],
          [403, insufficient("mcp files:read files:write files:admin")]
        )
        const hidden = yield* post(url, [call("read", 1), call("secret", 2)], headers, token)
        assert.deepStrictEqual([hidden.status, challengeOf(hidden)], [403, deniedChallenge])
        assert.strictEqual(runs.size, 0)
        const good = yield* post(url, [call("read", 1), call("open", 2)], headers, token)
        assert.strictEqual(good.status, 200, good.text)
        assert.deepStrictEqual(runs, new Map([["read", 1], ["open", 1]]))
      }))

    it.live("[K-37] rejects a batch with headers of one call", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read files:write")
        const headers = { ...headersOf("open"), "mcp-session-id": yield* session(token, "2025-03-26") }
        const answer = yield* post(url, [callOf("open"), callOf("write", 2)], headers, token)
        assert.strictEqual(answer.status, 400)
        const { "mcp-method": _, ...named } = headers
        assert.strictEqual((yield* post(url, [callOf("open"), callOf("write", 2)], named, token)).status, 400)
        assert.strictEqual(runs.size, 0)
      }))
  })

  describe("sessions", () => {
    it.live("[K-37] binds a session to the subject and client that began it", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const owner = yield* tokenOf("mcp files:read")
        const id = yield* session(owner, "2025-11-25")
        const headers = { ...baseHeaders, "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" }
        const body = rpc("tools/call", { name: "read", arguments: {} })
        const others = [
          yield* tokenOf("mcp files:read", { sub: "user-2" }),
          yield* tokenOf("mcp files:read", { client_id: "client-2" })
        ]
        for (const token of others) {
          assert.strictEqual((yield* post(url, body, headers, token)).status, 404)
          const ended = yield* Effect.promise(() =>
            fetch(`${url}/mcp`, { method: "DELETE", headers: { ...headers, authorization: `Bearer ${token}` } })
          )
          assert.strictEqual(ended.status, 404)
        }
        assert.strictEqual(runs.size, 0)
        // A new token of the same subject and client, as after a step-up, goes on with the session.
        const stepped = yield* tokenOf("mcp files:read files:write", { jti: "token-2" })
        assert.include((yield* post(url, body, headers, stepped)).text, "read by user-1")
      }))

    it.live("[K-37] ends a session for its owner only, and forgets it", () =>
      Effect.gen(function*() {
        const { session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read")
        const headers = { ...baseHeaders, "mcp-session-id": yield* session(token, "2025-11-25") }
        const end = Effect.promise(() =>
          fetch(`${url}/mcp`, { method: "DELETE", headers: { ...headers, authorization: `Bearer ${token}` } })
        )
        assert.deepStrictEqual([(yield* end).status, (yield* end).status], [204, 404])
      }))

    it.live("[K-37] a cancellation of the revision without sessions reaches no session of another caller", () =>
      Effect.gen(function*() {
        const { started, session, url } = yield* mcpServer({ tools: { wait: [], open: [] } })
        const victim = yield* tokenOf("mcp")
        const id = yield* session(victim, "2025-11-25")
        const headers = { ...baseHeaders, "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" }
        const pending = yield* Effect.forkChild(
          post(url, rpc("tools/call", { name: "wait", arguments: {} }, 77), headers, victim)
        )
        const release = yield* started
        const attacker = yield* tokenOf("mcp", { sub: "user-2" })
        const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 77 } }
        const modern = {
          ...headers,
          "mcp-protocol-version": "2026-07-28",
          "mcp-method": "notifications/cancelled"
        }
        yield* post(url, cancel, modern, attacker)
        yield* post(url, cancel, headers, attacker)
        yield* release
        assert.include((yield* Fiber.join(pending)).text, "wait by user-1")
      }))

    it.live("[K-37] ignores the id of a session in the revision without sessions", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const headers = { ...headersOf("read"), "mcp-session-id": "unknown" }
        const answer = yield* post(url, callOf("read"), headers, yield* tokenOf("mcp files:read"))
        assert.include(answer.text, "read by user-1")
      }))

    it.live("[K-37] forgets the least recently used session above the limit, which its client begins again", () =>
      Effect.gen(function*() {
        const { session, url } = yield* mcpServer({ maxSessions: 1 })
        const token = yield* tokenOf("mcp files:read")
        const first = yield* session(token, "2025-11-25")
        const second = yield* session(token, "2025-11-25")
        const body = rpc("tools/call", { name: "read", arguments: {} })
        const statusOf = (id: string) =>
          Effect.map(post(url, body, { ...baseHeaders, "mcp-session-id": id }, token), ({ status }) => status)
        assert.deepStrictEqual([yield* statusOf(first), yield* statusOf(second)], [404, 200])
      }))
  })
})
