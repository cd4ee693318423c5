import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { ResourceGuard } from "../src/index.ts"
import { readProof } from "./proofs.ts"
import { gate, guarded, secret } from "./resource/guarded.ts"
import {
  challenge,
  honest,
  issuer,
  json,
  metadataUrl,
  resource,
  resourceDocument,
  serverDocument,
  serverUrl,
  tokenEndpoint,
  type World
} from "./resource/world.ts"
import { detailsOf } from "./tokenSupport.ts"

const needs = { list: ["mcp"], read: ["read"], write: ["read", "write"], destroy: ["admin"] }

describe("ResourceGuard", () => {
  it.effect("[K-37] requests the first token for the resource, with the scopes of its challenge, at the server it names", () =>
    Effect.gen(function*() {
      const { backend, guard, requests, status, tokenEndpoint } = yield* guarded(needs)
      assert.deepStrictEqual([requests.length, yield* guard.requestedScopes], [0, []])
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.deepStrictEqual(backend.tokenRequests, [{
        url: tokenEndpoint,
        form: {
          grant_type: "client_credentials",
          scope: "mcp",
          resource,
          client_id: "agent",
          client_secret: secret
        }
      }])
      assert.deepStrictEqual(yield* guard.requestedScopes, ["mcp"])
    }))

  it.effect("[K-37] takes the scopes of the metadata, of the options, or none", () =>
    Effect.gen(function*() {
      const scopeOf = Effect.fnUntraced(
        function*(...args: Parameters<typeof guarded> extends [unknown, ...infer R] ? R : never) {
          const { backend, status } = yield* guarded({}, ...args)
          yield* status("/mcp/list")
          return backend.tokenRequests[0]?.form["scope"]
        }
      )
      const quiet = {
        ...honest,
        [resource]: challenge("Bearer"),
        [metadataUrl]: json({ ...resourceDocument, scopes_supported: ["read"] })
      }
      assert.strictEqual(yield* scopeOf({}, quiet), "read")
      assert.strictEqual(yield* scopeOf({ scopes: ["write"] }), "write")
      assert.isUndefined(yield* scopeOf({ scopes: [] }))
      assert.isUndefined(yield* scopeOf({ allowedScopes: ["write"] }))
    }))

  it.effect("[K-37] [K-23] requests its token at the endpoint for mutual TLS if its client has a certificate", () =>
    Effect.gen(function*() {
      const mutual = "https://mtls.idp.example/token"
      const withAlias = (alias: unknown): World => ({
        ...honest,
        [serverUrl]: json({ ...serverDocument, mtls_endpoint_aliases: { token_endpoint: alias } })
      })
      const urlsOf = Effect.fnUntraced(function*(alias: unknown, mutualTls: boolean) {
        const { backend, guard } = yield* guarded({}, {}, withAlias(alias), mutualTls)
        const result = yield* Effect.result(guard.get("/mcp/list"))
        return result._tag === "Success" ? backend.tokenRequests.map(({ url }) => url) : detailsOf(result.failure)
      })
      assert.deepStrictEqual(yield* urlsOf(mutual, true), [mutual])
      assert.deepStrictEqual(yield* urlsOf(mutual, false), [tokenEndpoint])
      assert.deepStrictEqual(yield* urlsOf(7, true), [tokenEndpoint])
      assert.deepInclude(yield* urlsOf("http://mtls.idp.example/token", true), { reason: "tokenEndpoint" })
    }))

  it.effect("[K-37] [K-23] binds the first token and that of a step-up to one key", () =>
    Effect.gen(function*() {
      const { backend, status } = yield* guarded(needs, { dpop: "required" })
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.deepStrictEqual(backend.calls, ["list mcp 200", "read mcp 403", "read mcp+read 200"])
      const proofs = yield* Effect.promise(() => Promise.all(backend.proofs.map((proof) => readProof(proof))))
      assert.deepStrictEqual(proofs.map(({ htu }) => htu), [
        tokenEndpoint,
        `${resource}/mcp/list`,
        `${resource}/mcp/read`,
        tokenEndpoint,
        `${resource}/mcp/read`
      ])
      assert.lengthOf(new Set(proofs.map(({ jkt }) => jkt)), 1)
      assert.lengthOf(new Set(proofs.map(({ jti }) => jti)), 5)
    }))

  it.effect("[K-37] [K-23] understands an API that accepts bound tokens alone", () =>
    Effect.gen(function*() {
      const of = (scopes: string, more = "") => `DPoP realm="api", scope="${scopes}"${more}`
      const { backend, status } = yield* guarded(needs, { dpop: "required" }, {
        ...honest,
        [resource]: challenge(of("mcp", `, algs="ES256"`)),
        [metadataUrl]: json({ ...resourceDocument, scopes_supported: ["mcp"] })
      })
      backend.challengeOf = (scopes) => of(scopes.join(" "), `, error="insufficient_scope"`)
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.deepStrictEqual(backend.calls, ["read mcp 403", "read mcp+read 200"])
      backend.challengeOf = (scopes) => `${of(scopes.join(" "))}, ${of("admin")}`
      assert.strictEqual(yield* status("/mcp/write"), 403)
      backend.challengeOf = (scopes) => `${of("admin")}, Bearer scope="${scopes.join(" ")}"`
      assert.strictEqual(yield* status("/mcp/write"), 200)
      assert.strictEqual(backend.calls.at(-1), "write mcp+read+write 200")
    }))

  it.effect("[K-37] steps up to the union of all scopes so far, once, and keeps it for later calls", () =>
    Effect.gen(function*() {
      const { backend, guard, status } = yield* guarded(needs)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.strictEqual(yield* status("/mcp/write"), 200)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.strictEqual(yield* status("/mcp/write"), 200)
      assert.deepStrictEqual(backend.calls, [
        "list mcp 200",
        "read mcp 403",
        "read mcp+read 200",
        "write mcp+read 403",
        "write mcp+read+write 200",
        "list mcp+read+write 200",
        "write mcp+read+write 200"
      ])
      assert.deepStrictEqual(backend.tokenRequests.map(({ form }) => form["scope"]), [
        "mcp",
        "mcp read",
        "mcp read write"
      ])
      assert.deepStrictEqual(yield* guard.requestedScopes, ["mcp", "read", "write"])
    }))

  it.effect("[K-23] [K-37] finds the server and steps up by challenges of the scheme DPoP, where tokens are bound", () =>
    Effect.gen(function*() {
      const elsewhere = "https://api.example/meta"
      const { backend, requests, status } = yield* guarded(needs, { dpop: "required" }, {
        ...honest,
        [resource]: challenge(`DPoP scope="list", algs="ES256", resource_metadata="${elsewhere}"`),
        [elsewhere]: json(resourceDocument)
      })
      backend.grants = ["list", "read", "write"]
      backend.challengeOf = (scopes) => `DPoP error="insufficient_scope", scope="${scopes.join(" ")}", algs="ES256"`
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.deepStrictEqual(requests.slice(0, 2), [resource, elsewhere])
      // With both schemes, and both have the scopes.
      backend.challengeOf = (scopes) => {
        const scope = `scope="${scopes.join(" ")}"`
        return `DPoP error="insufficient_scope", ${scope}, algs="ES256", Bearer ${scope}`
      }
      assert.strictEqual(yield* status("/mcp/write"), 200)
      assert.deepStrictEqual(backend.calls, [
        "read list 403",
        "read list+read 200",
        "write list+read 403",
        "write list+read+write 200"
      ])
      // With two of one scheme it is unclear which one applies.
      backend.challengeOf = () => "DPoP scope=\"a\", DPoP scope=\"admin\""
      assert.strictEqual(yield* status("/mcp/destroy"), 403)
    }))

  it.effect("[K-37] steps up after a 401 that names scopes", () =>
    Effect.gen(function*() {
      const { backend, status } = yield* guarded(needs)
      backend.status = 401
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.strictEqual(backend.calls.at(-1), "read mcp+read 200")
    }))

  it.effect("[K-37] a call steps up a bounded number of times, also against a server that always wants more", () =>
    Effect.gen(function*() {
      for (const maxStepUps of [0, 1, 2, 5]) {
        const { backend, status } = yield* guarded({ more: ["never"] }, { maxStepUps })
        let number = 0
        backend.grants = ["mcp", ...Array.from({ length: 20 }, (_, index) => `s${index}`)]
        backend.challengeOf = () => `Bearer error="insufficient_scope", scope="s${number++}"`
        assert.strictEqual(yield* status("/mcp/more"), 403)
        assert.strictEqual(backend.calls.length, maxStepUps + 1)
      }
    }))

  it.effect("[K-37] returns the response where the challenge asks for nothing new, or for what may not be requested", () =>
    Effect.gen(function*() {
      const { backend, guard, status } = yield* guarded(needs, { allowedScopes: ["mcp", "read", "write"] })
      assert.strictEqual(yield* status("/mcp/destroy"), 403)
      for (
        const header of [
          "Bearer",
          "Bearer error=\"insufficient_scope\"",
          "Bearer error=\"insufficient_scope\", scope=\"mcp\"",
          "Bearer scope=\"read\", scope=\"write\"",
          "Bearer scope=\"read\", Bearer scope=\"write\"",
          "Basic scope=\"read\"",
          "Bearer scope=\"read admin\"",
          "Bearer scope=\"read \\\\\"",
          `Bearer scope="${Array.from({ length: 65 }, (_, index) => `s${index}`).join(" ")}"`
        ]
      ) {
        backend.challengeOf = () => header
        assert.strictEqual(yield* status("/mcp/read"), 403, header)
      }
      backend.status = 400
      backend.challengeOf = () => "Bearer scope=\"read\""
      assert.strictEqual(yield* status("/mcp/read"), 400)
      assert.strictEqual(backend.tokenRequests.length, 1)
      assert.deepStrictEqual(yield* guard.requestedScopes, ["mcp"])
    }))

  it.effect("[K-37] returns the response where the authorization server refuses the scopes, and does not ask again for 5 minutes", () =>
    Effect.gen(function*() {
      const { backend, guard, status } = yield* guarded(needs)
      backend.grants = ["mcp"]
      assert.strictEqual(yield* status("/mcp/read"), 403)
      assert.strictEqual(yield* status("/mcp/read"), 403)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.strictEqual(backend.tokenRequests.length, 2)
      assert.deepStrictEqual(yield* guard.requestedScopes, ["mcp"])
      backend.grants = ["mcp", "read"]
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* status("/mcp/read"), 200)
    }))

  it.effect("[K-37] fails where the authorization server is down: that is not a lack of scopes", () =>
    Effect.gen(function*() {
      const { backend, guard, status } = yield* guarded(needs)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      backend.isDown = true
      const error = yield* Effect.flip(status("/mcp/read"))
      assert.strictEqual("code" in error ? error.code : error._tag, "UPSTREAM_UNAVAILABLE")
      // What it has still works.
      assert.strictEqual(yield* status("/mcp/list"), 200)
      assert.deepStrictEqual(yield* guard.requestedScopes, ["mcp"])
      backend.isDown = false
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* status("/mcp/read"), 200)
    }))

  it.effect("[K-37] finds the token endpoint again after it has moved", () =>
    Effect.gen(function*() {
      const moved = "https://idp.example/v2/token"
      let world: World = honest
      const { backend, status } = yield* guarded(needs, {}, () => world)
      assert.strictEqual(yield* status("/mcp/list"), 200)
      world = { ...honest, [serverUrl]: json({ issuer, token_endpoint: moved }) }
      backend.endpoint = moved
      yield* Effect.flip(status("/mcp/read"))
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* status("/mcp/read"), 200)
      assert.strictEqual(backend.tokenRequests.at(-1)?.url, moved)
    }))

  it.effect("[K-37] concurrent calls that need the same scopes share one token, and those of different ones lose none", () =>
    Effect.gen(function*() {
      const { backend, guard, status } = yield* guarded(needs)
      yield* status("/mcp/list")
      const all = yield* Effect.all(
        Array.from({ length: 30 }, (_, index) => status(["/mcp/read", "/mcp/write", "/mcp/destroy"][index % 3] ?? "")),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(all, Array.from({ length: 30 }, () => 200))
      assert.deepStrictEqual([...yield* guard.requestedScopes].toSorted(), ["admin", "mcp", "read", "write"])
      assert.isAtMost(backend.tokenRequests.length, 8)
    }))

  it.effect("[K-37] a caller that is interrupted while its token is acquired leaves the others their own", () =>
    Effect.gen(function*() {
      const { backend, status } = yield* guarded(needs)
      yield* status("/mcp/list")
      const [started, release] = [yield* gate, yield* gate]
      backend.beforeToken = Effect.andThen(started.open, release.wait)
      const first = yield* Effect.forkChild(status("/mcp/read"))
      yield* started.wait
      const second = yield* Effect.forkChild(status("/mcp/read"))
      yield* Fiber.interrupt(first)
      yield* release.open
      assert.strictEqual(yield* Fiber.join(second), 200)
    }))

  it.effect("[K-37] sends a body again that can be sent twice, and never a stream", () =>
    Effect.gen(function*() {
      const { backend, guard } = yield* guarded(needs)
      const post = HttpClientRequest.post("/mcp/read")
      const text = yield* guard.execute(HttpClientRequest.bodyText(post, "{}"))
      assert.strictEqual(text.status, 200)
      const other = yield* guarded(needs)
      const stream = HttpClientRequest.setBody(post, HttpBody.stream(Stream.make(new Uint8Array(1))))
      assert.strictEqual((yield* other.guard.execute(stream)).status, 403)
      assert.strictEqual(backend.calls.length, 2)
      assert.strictEqual(other.backend.calls.length, 1)
    }))

  it.effect("[K-37] [R12] never sends the secret to a server at which the client is not registered, nor the token elsewhere", () =>
    Effect.gen(function*() {
      const evil = {
        ...honest,
        [metadataUrl]: json({ ...resourceDocument, authorization_servers: ["https://evil.example"] })
      }
      const { backend, guard, requests, status } = yield* guarded(needs, {}, evil)
      const error = yield* Effect.flip(status("/mcp/list"))
      assert.strictEqual("code" in error ? error.code : error._tag, "RESOURCE_METADATA_INVALID")
      assert.deepStrictEqual(backend.tokenRequests, [])
      assert.notInclude(requests.join(), "evil")
      const outside = yield* Effect.flip(guard.get("https://evil.example/mcp"))
      assert.strictEqual("code" in outside ? outside.code : outside._tag, "EGRESS_REFUSED")
      assert.deepStrictEqual(backend.calls, [])
      assert.notInclude(JSON.stringify([error, outside]), secret)
    }))

  it.effect("[K-37] is an HttpClient for other libraries, whose failures are an HttpClientError", () =>
    Effect.gen(function*() {
      const { backend, guard } = yield* guarded(needs)
      const client = ResourceGuard.toHttpClient(guard)
      assert.isTrue(HttpClient.isHttpClient(client))
      assert.strictEqual((yield* client.get(`${resource}/mcp/read`)).status, 200)
      backend.isDown = true
      backend.grants = []
      const error = yield* Effect.flip(client.get("https://other.example"))
      assert.isTrue(HttpClientError.isHttpClientError(error))
      assert.notInclude(JSON.stringify(error), secret)
    }))

  it.effect("[K-37] names each option that is out of its bounds", () =>
    Effect.gen(function*() {
      const messageOf = (options: object) =>
        Effect.match(guarded({}, options), { onFailure: ({ message }) => message, onSuccess: () => undefined })
      assert.isUndefined(yield* messageOf({}))
      assert.include(yield* messageOf({ maxStepUps: 6 }), "maxStepUps must be a whole number from 0 to 5")
      assert.include(yield* messageOf({ scopes: ["a b"] }), "scopes.0 must be a scope")
      assert.include(yield* messageOf({ clients: [] }), "issuers must be a list of 1 to 16")
      assert.include(yield* messageOf({ resource: "http://api.example" }), "resource must be an https URL")
      assert.include(yield* messageOf({ discovery: { maxBytes: 1 } }), "maxBytes must be")
      assert.strictEqual(issuer, "https://idp.example/tenant")
    }))
})
