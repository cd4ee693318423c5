import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { request as nodeRequest } from "node:http"
import * as McpSecurity from "../src/McpSecurity.ts"
import {
  type Answer,
  baseHeaders,
  Caller,
  callOf,
  challengeOf,
  deniedChallenge,
  headersOf,
  insufficient,
  mcpServer,
  metadata,
  post,
  rpc,
  tokenOf,
  Tokens
} from "./mcpServer.ts"

/** Sends a head and never the body: an answer came before it. */
const sendHeadOnly = (url: string, headers: Readonly<Record<string, string>>) =>
  Effect.callback<number>((resume) => {
    const request = nodeRequest(`${url}/mcp`, {
      method: "POST",
      headers: { ...headers, "content-length": "1000000" }
    }, (response) => {
      resume(Effect.succeed(response.statusCode ?? 0))
      request.destroy()
    })
    request.on("error", () => {})
    request.flushHeaders()
    return Effect.sync(() => request.destroy())
  })

describe("McpSecurity", () => {
  describe("tokens", () => {
    it.live("[K-37] answers 401 with the base scopes and the metadata, for each method of the endpoint", () =>
      Effect.gen(function*() {
        const { runs, url } = yield* mcpServer()
        const answers = yield* Effect.forEach(
          ["GET", "POST", "DELETE", "PUT", "OPTIONS"],
          (method) => Effect.promise(() => fetch(`${url}/mcp`, { method }))
        )
        for (const { headers, status } of answers) {
          assert.strictEqual(status, 401)
          assert.strictEqual(
            headers.get("www-authenticate"),
            `Bearer realm="api", scope="mcp", resource_metadata="${metadata}"`
          )
        }
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] names the base scopes to a caller whose token is expired or not accepted", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const tokens = [yield* tokenOf("mcp", { exp: 1_000_000_000 }), yield* tokenOf("mcp", { aud: "other" })]
        for (const token of tokens) {
          const answer = yield* post(url, callOf("open"), headersOf("open"), token)
          assert.strictEqual(answer.status, 401)
          assert.match(challengeOf(answer) ?? "", /error="invalid_token", .* scope="mcp", resource_metadata=/)
        }
      }))

    it.live("[K-37] rejects a token without the base scopes, and names those of the tool as well", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const token = yield* tokenOf("files:read")
        const list = yield* post(url, rpc("tools/list"), { ...headersOf("x"), "mcp-method": "tools/list" }, token)
        assert.deepStrictEqual([list.status, challengeOf(list)], [403, insufficient("mcp")])
        const call = yield* post(url, callOf("write"), headersOf("write"), token)
        assert.deepStrictEqual([call.status, challengeOf(call)], [403, insufficient("mcp files:read files:write")])
      }))

    it.live("[K-37] does not take a token from the query", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const token = yield* tokenOf("mcp")
        const response = yield* Effect.promise(() =>
          fetch(`${url}/mcp?access_token=${token}`, { method: "POST", body: "{}", headers: baseHeaders })
        )
        assert.strictEqual(response.status, 401)
      }))
  })

  describe("scopes of tools", () => {
    it.live("[K-37] runs a tool whose scopes the token has, with the principal of the call", () =>
      Effect.gen(function*() {
        const { runs, url } = yield* mcpServer()
        const answer = yield* post(url, callOf("read"), headersOf("read"), yield* tokenOf("mcp files:read"))
        assert.strictEqual(answer.status, 200, answer.text)
        assert.include(answer.text, "read by user-1")
        assert.deepStrictEqual([...runs], [["read", 1]])
      }))

    it.live("[K-37] gives each of many concurrent calls its own principal", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const subjects = Array.from({ length: 50 }, (_, index) => `user-${index}`)
        const answers = yield* Effect.forEach(
          subjects,
          (sub) =>
            Effect.flatMap(tokenOf("mcp files:read", { sub }), (token) =>
              post(url, callOf("read", sub), headersOf("read"), token)),
          { concurrency: 10 }
        )
        answers.forEach(({ text }, index) =>
          assert.include(text, `read by user-${index}"`)
        )
      }))

    it.live("[K-37] answers 403 with all scopes that the tool needs, also those that the token has", () =>
      Effect.gen(function*() {
        const { runs, url } = yield* mcpServer()
        const answer = yield* post(url, callOf("write"), headersOf("write"), yield* tokenOf("mcp files:read"))
        assert.deepStrictEqual([answer.status, challengeOf(answer)], [403, insufficient("mcp files:read files:write")])
        assert.deepInclude(answer.json, { status: 403, details: { scopes: ["mcp", "files:read", "files:write"] } })
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] answers 403 and 401 before the body is received", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const token = yield* tokenOf("mcp")
        const authorization = { authorization: `Bearer ${token}` }
        assert.strictEqual(yield* sendHeadOnly(url, { ...headersOf("write"), ...authorization }), 403)
        assert.strictEqual(yield* sendHeadOnly(url, { ...headersOf("secret"), ...authorization }), 403)
        assert.strictEqual(yield* sendHeadOnly(url, headersOf("open")), 401)
      }))

    it.live("[K-37] denies a tool that has no entry, to any token, without naming scopes", () =>
      Effect.gen(function*() {
        const { runs, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read files:write files:admin")
        for (const name of ["secret", "unknown", "__proto__", "constructor"]) {
          const answer = yield* post(url, callOf(name), headersOf(name), token)
          assert.deepStrictEqual([answer.status, challengeOf(answer)], [403, deniedChallenge], name)
        }
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] lets a tool without an entry be called with the base scopes where the option says so", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer({ unlistedTools: "baseScopes" })
        const answer = yield* post(url, callOf("secret"), headersOf("secret"), yield* tokenOf("mcp"))
        assert.include(answer.text, "secret by user-1")
        const without = yield* post(url, callOf("secret"), headersOf("secret"), yield* tokenOf("other"))
        assert.deepStrictEqual([without.status, challengeOf(without)], [403, insufficient("mcp")])
      }))

    it.live("[K-37] accepts a broader scope where the hierarchy says that it implies the one needed", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer({
          implies: { "files:admin": ["files:write"], "files:write": ["files:read"], root: ["files:admin", "mcp"] }
        })
        const status = Effect.fnUntraced(function*(tool: string, scope: string) {
          return (yield* post(url, callOf(tool), headersOf(tool), yield* tokenOf(scope))).status
        })
        assert.strictEqual(yield* status("read", "mcp files:write"), 200)
        assert.strictEqual(yield* status("write", "mcp files:admin"), 200)
        assert.strictEqual(yield* status("destroy", "root"), 200)
        assert.strictEqual(yield* status("destroy", "mcp files:write"), 403)
        assert.strictEqual(yield* status("read", "files:admin"), 403)
      }))

    it.live("[K-37] decodes a name that is not ASCII, and judges the name it stands for", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        const encode = (name: string) => `=?base64?${Buffer.from(name).toString("base64")}?=`
        const token = yield* tokenOf("mcp files:read")
        const umlaut = yield* post(url, callOf("größe"), headersOf(encode("größe")), token)
        assert.include(umlaut.text, "größe by user-1")
        const hidden = yield* post(url, callOf("write"), headersOf(encode("write")), token)
        assert.deepStrictEqual([hidden.status, challengeOf(hidden)], [403, insufficient("mcp files:read files:write")])
        const broken = yield* post(url, callOf("read"), headersOf("=?base64?!?="), token)
        assert.strictEqual(broken.status, 400)
        assert.deepInclude(broken.json, {
          error: { code: -32_020, message: "Header mismatch: Mcp-Name does not match the body" }
        })
      }))
  })

  describe("header and body", () => {
    const mismatch = (header: string, id: unknown = 1) => ({
      jsonrpc: "2.0",
      id,
      error: { code: -32_020, message: `Header mismatch: ${header} does not match the body` }
    })

    it.live("[K-37] rejects a body that calls another tool than the header names", () =>
      Effect.gen(function*() {
        const { runs, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read files:write")
        for (
          const [header, body] of [["open", "write"], ["read", "Read"], ["open", "secret"], ["read", "read "]] as const
        ) {
          const answer = yield* post(url, callOf(body), headersOf(header), token)
          assert.deepStrictEqual([answer.status, answer.json], [400, mismatch("Mcp-Name")], body)
        }
        const method = yield* post(url, callOf("write"), { ...headersOf("write"), "mcp-method": "tools/list" }, token)
        assert.deepStrictEqual([method.status, method.json], [400, mismatch("Mcp-Method")])
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] rejects a header that differs also where an earlier revision has no such header", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read files:write")
        const id = yield* session(token, "2025-11-25")
        const headers = { ...baseHeaders, "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" }
        const body = rpc("tools/call", { name: "write", arguments: {} })
        const answer = yield* post(url, body, { ...headers, "mcp-method": "tools/call", "mcp-name": "open" }, token)
        assert.deepStrictEqual([answer.status, answer.json], [400, mismatch("Mcp-Name")])
        assert.strictEqual(runs.size, 0)
        assert.include((yield* post(url, body, headers, token)).text, "write by user-1")
      }))

    it.live("[K-37] reads the last of two members of one name, as the server does, and judges that", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read")
        const headers = { ...baseHeaders, "mcp-session-id": yield* session(token, "2025-11-25") }
        const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}},` +
          `"params":{"name":"write","arguments":{}}}`
        assert.strictEqual((yield* post(url, body, headers, token)).status, 403)
        assert.strictEqual((yield* post(url, body, headersOf("read"), token)).status, 400)
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] judges a body that comes in chunks, and one that is sent compressed or as another type", () =>
      Effect.gen(function*() {
        const { runs, session, url } = yield* mcpServer()
        const token = yield* tokenOf("mcp files:read")
        const id = yield* session(token, "2025-11-25")
        const text = JSON.stringify(rpc("tools/call", { name: "write", arguments: {} }))
        const chunks = new ReadableStream<Uint8Array>({
          start: (controller) => {
            for (const character of text) controller.enqueue(new TextEncoder().encode(character))
            controller.close()
          }
        })
        const send = (body: BodyInit, headers: Record<string, string> = {}) =>
          Effect.promise(async () => {
            const response = await fetch(`${url}/mcp`, {
              method: "POST",
              headers: { ...baseHeaders, "mcp-session-id": id, authorization: `Bearer ${token}`, ...headers },
              body,
              duplex: "half"
            } as RequestInit)
            await response.text()
            return response.status
          })
        assert.strictEqual(yield* send(chunks), 403)
        assert.strictEqual(yield* send(`\uFEFF${text}`), 403)
        assert.strictEqual(yield* send(text, { "content-type": "text/plain" }), 403)
        assert.strictEqual(yield* send(text, { "content-encoding": "gzip" }), 403)
        assert.strictEqual(runs.size, 0)
      }))

    it.live("[K-37] answers 413 to a body above the limit, and passes one that is not JSON on to the server", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer({ maxBytes: 2_048 })
        const token = yield* tokenOf("mcp files:read")
        const large = { ...callOf("read"), padding: "x".repeat(4_096) }
        assert.strictEqual((yield* post(url, large, headersOf("read"), token)).status, 413)
        const broken = yield* post(url, "{", { ...baseHeaders, "mcp-protocol-version": "2025-03-26" }, token)
        assert.include(broken.text, "\"code\":-32700")
        const { status } = yield* post(url, callOf("read"), headersOf("read"), token)
        assert.strictEqual(status, 200)
      }))
  })

  describe("lists", () => {
    const listed = (answer: Answer) =>
      [...answer.text.matchAll(/"name":"([^"]+)","inputSchema|"name":"([a-zöß]+)"/g)]
        .map(([, first, second]) => first ?? second ?? "").filter((name) => name !== "files")

    const list = Effect.fnUntraced(function*(url: string, scope: string) {
      const headers = { ...baseHeaders, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" }
      return listed(yield* post(url, rpc("tools/list", callOf("x").params), headers, yield* tokenOf(scope))).toSorted()
    })

    it.live("[K-37] lists all tools that some scope allows, so that clients can ask for it", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer()
        assert.deepStrictEqual(yield* list(url, "mcp"), ["destroy", "größe", "open", "read", "write"])
      }))

    it.live("[K-37] lists only the tools that the token may call, where the option says so", () =>
      Effect.gen(function*() {
        const { url } = yield* mcpServer({ hideForbiddenTools: true })
        assert.deepStrictEqual(yield* list(url, "mcp files:read"), ["größe", "open", "read"])
        assert.deepStrictEqual(yield* list(url, "mcp"), ["open"])
      }))
  })

  it.live("[K-37] the server itself refuses a tool that the caller may not call, whatever was judged before", () =>
    Effect.gen(function*() {
      const { callInside, runs } = yield* mcpServer()
      const inside = (tool: string, ...scopes: ReadonlyArray<string>) =>
        Effect.match(callInside(tool, scopes), { onFailure: ({ message }) => message, onSuccess: () => "called" })
      assert.strictEqual(yield* inside("read", "mcp", "files:read"), "called")
      assert.strictEqual(yield* inside("write", "mcp", "files:read"), "Tool 'write' not found")
      assert.strictEqual(yield* inside("secret", "mcp", "files:admin"), "Tool 'secret' not found")
      assert.deepStrictEqual([...runs], [["read", 1]])
    }))

  describe("options", () => {
    const settings = {
      validator: Tokens,
      principal: Caller,
      resource: "https://api.example/mcp",
      authorizationServers: ["https://idp.example"],
      tools: {}
    }
    const errorOf = (options: object) =>
      Layer.build(McpSecurity.layer({ ...settings, ...options })).pipe(
        Effect.provide(HttpRouter.layer),
        Effect.provideService(Tokens, {
          validate: () => Effect.never,
          validateWith: () => Effect.never,
          invalidate: Effect.void
        }),
        Effect.scoped,
        Effect.match({ onFailure: ({ message }) => message, onSuccess: () => undefined })
      )

    it.effect("[K-37] names each option that is out of its bounds, and a cycle of scopes", () =>
      Effect.gen(function*() {
        assert.isUndefined(yield* errorOf({}))
        assert.strictEqual(
          yield* errorOf({ tools: { read: ["a b"] } }),
          "Invalid configuration: tools.read.0 must be a scope, without spaces, quotes and backslashes (RFC 6749, 3.3)"
        )
        assert.include(yield* errorOf({ maxBytes: 1 }), "maxBytes must be a whole number from 1024 to 67108864")
        assert.include(yield* errorOf({ implies: { a: ["b"], b: ["c"], c: ["a"] } }), "implies.a must be")
        assert.include(yield* errorOf({ resource: "http://api.example/mcp" }), "resource must be an https URL")
        assert.include(yield* errorOf({ authorizationServers: [] }), "authorizationServers must be a list of 1 to 16")
      }))
  })
})
