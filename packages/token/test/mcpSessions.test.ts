import { assert, describe, it } from "@effect/vitest"
import { HttpServerResponse } from "effect/http"
import { McpSessions, sessionHeader } from "../src/internal/resource/mcpSessions.ts"
import { Caller } from "./mcpServer.ts"

const callerOf = (sub: string) => {
  const claims = { iss: "https://idp.example", sub, aud: "api", exp: 4_000_000_000, iat: 1, jti: "1", client_id: "web" }
  const others = { nbf: undefined, sid: undefined, cnf: undefined, aud: ["api"], scope: "", scopes: [] }
  return Caller.fromValidated({ claims, registered: { ...claims, ...others } })
}

const [alice, bob] = [callerOf("alice"), callerOf("bob")]
const answer = (id: string) => HttpServerResponse.empty({ status: 200, headers: { [sessionHeader]: id } })

describe("McpSessions", () => {
  it("[K-37] a response with the id of a session does not give the session to another caller", () => {
    const sessions = new McpSessions(2)
    sessions.observe(alice, undefined, answer("1"))
    sessions.observe(bob, undefined, answer("1"))
    assert.deepStrictEqual([sessions.isOwn("1", alice), sessions.isOwn("1", bob)], [true, false])
  })

  it("[K-37] a session ends with the response to its end, and only with that", () => {
    const sessions = new McpSessions(2)
    sessions.observe(alice, undefined, answer("1"))
    sessions.observe(alice, "1", HttpServerResponse.empty({ status: 404 }))
    assert.isTrue(sessions.isOwn("1", alice))
    sessions.observe(alice, "1", HttpServerResponse.empty({ status: 204 }))
    assert.isFalse(sessions.isOwn("1", alice))
  })
})
