import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { issuer, keysOf, pairOf } from "@keelson/testing/tokens"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { exportJWK, generateKeyPair, jwtVerify } from "jose"
import * as OAuth from "oauth4webapi"
import { ProtectedResource } from "../src/index.ts"
import { quiet, tokenWith } from "./HttpSecuritySuite.ts"
import { bearer, serve, tokensOf, variants } from "./protectedServer.ts"

const options = {
  resource: "https://api.example/files/v1",
  authorizationServers: [issuer, "https://other.example/tenant"],
  scopes: ["files:read", "files:list"]
}
const url = "https://api.example/.well-known/oauth-protected-resource/files/v1"

/** Serves metadata alone, on a free port. */
const served = Effect.fnUntraced(function*(...all: ReadonlyArray<ProtectedResource.LayerOptions>) {
  const layers = Layer.mergeAll(Layer.empty, ...all.map((one) => ProtectedResource.layer(one)))
  const context = yield* Layer.build(
    HttpRouter.serve(layers, { disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layerTest),
      Layer.provide(quiet)
    )
  )
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address).replace("0.0.0.0", "127.0.0.1")
})

const request = (at: string, path: string, init?: RequestInit) =>
  Effect.promise(async () => {
    const response = await fetch(`${at}${path}`, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

const places = ["/.well-known/oauth-protected-resource/files/v1", "/.well-known/oauth-protected-resource"]

describe("ProtectedResource", () => {
  it.live("[K-37] serves the metadata at both well-known places, for GET and HEAD, cacheable and readable by any page", () =>
    Effect.gen(function*() {
      const at = yield* served({ ...options, name: "Files", documentation: "https://api.example/docs" })
      for (const place of places) {
        const { headers, status, text } = yield* request(at, place)
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.get("content-type"), "application/json")
        assert.strictEqual(headers.get("cache-control"), "public, max-age=3600")
        assert.strictEqual(headers.get("access-control-allow-origin"), "*")
        assert.deepStrictEqual(JSON.parse(text), {
          resource: options.resource,
          authorization_servers: options.authorizationServers,
          scopes_supported: options.scopes,
          bearer_methods_supported: ["header"],
          resource_name: "Files",
          resource_documentation: "https://api.example/docs"
        })
        const head = yield* request(at, place, { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.text, head.headers.get("content-type")], [
          200,
          "",
          "application/json"
        ])
      }
    }))

  it.live("[K-37] answers a preflight, and other methods with 405", () =>
    Effect.gen(function*() {
      const at = yield* served(options)
      for (const place of places) {
        const preflight = yield* request(at, place, {
          method: "OPTIONS",
          headers: { origin: "https://app.example", "access-control-request-headers": "mcp-protocol-version" }
        })
        assert.deepStrictEqual(
          ["origin", "methods", "headers"].map((name) => preflight.headers.get(`access-control-allow-${name}`)),
          ["*", "GET, HEAD", "*"]
        )
        assert.strictEqual(preflight.status, 204)
        for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
          const { headers, status } = yield* request(at, place, { method })
          assert.deepStrictEqual([status, headers.get("allow")], [405, "GET, HEAD, OPTIONS"])
        }
      }
    }))

  it.live("[K-37] serves several resources of one origin, of which one has the place without a path", () =>
    Effect.gen(function*() {
      const at = yield* served(options, {
        ...options,
        resource: "https://api.example/notes",
        atRoot: false,
        lifetime: "0 millis"
      })
      const notes = yield* request(at, "/.well-known/oauth-protected-resource/notes")
      assert.strictEqual(notes.headers.get("cache-control"), "no-cache")
      assert.include(notes.text, "\"https://api.example/notes\"")
      assert.include((yield* request(at, "/.well-known/oauth-protected-resource")).text, `"${options.resource}"`)
      const root = yield* served({ ...options, resource: "https://api.example" })
      assert.include((yield* request(root, "/.well-known/oauth-protected-resource")).text, "\"https://api.example\"")
    }))

  it.live("[K-37] another implementation reads the metadata: oauth4webapi", () =>
    Effect.gen(function*() {
      const at = yield* served({ ...options, resource: "http://127.0.0.1:1/files/v1", allowLocalhost: true })
      const metadata = yield* Effect.promise(async () => {
        const resource = new URL("http://127.0.0.1:1/files/v1")
        const response = await OAuth.resourceDiscoveryRequest(resource, {
          [OAuth.allowInsecureRequests]: true,
          [OAuth.customFetch]: (text: string, init: object) => fetch(`${at}${new URL(text).pathname}`, init)
        })
        return OAuth.processResourceDiscoveryResponse(resource, response)
      })
      assert.deepStrictEqual(metadata.authorization_servers, options.authorizationServers)
    }))

  it.live("[K-37] signs the metadata, which jose verifies", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair("ES256", { extractable: true }))
      const at = yield* served({ ...options, signature: { key: { key: privateKey, kid: "1" }, alg: "ES256" } })
      const { signed_metadata: signed, ...plain } = JSON.parse((yield* request(at, places[1] ?? "")).text)
      const { payload, protectedHeader } = yield* Effect.promise(() =>
        jwtVerify(signed, publicKey, { issuer: options.resource })
      )
      const { iat, iss, ...claims } = payload
      assert.deepStrictEqual(claims, plain)
      assert.deepStrictEqual([protectedHeader.kid, typeof iat, iss], ["1", "number", options.resource])
      const error = yield* Effect.flip(served({
        ...options,
        signature: { key: { key: publicKey }, alg: "ES256" }
      }))
      assert.strictEqual("code" in error ? error.code : error._tag, "KEY_INVALID")
      assert.notInclude(JSON.stringify(error), (yield* Effect.promise(() => exportJWK(publicKey))).x ?? "")
    }))

  for (const [name, variant] of variants) {
    it.live(`[K-37] the challenges of ${name} name the metadata and the scopes of the resource that it is provided to`, () =>
      Effect.gen(function*() {
        const keys = tokensOf(keysOf([yield* pairOf("ES256")]))
        const over = ((settings) =>
          Layer.provide(variant(settings), ProtectedResource.layer(options))) as typeof variant
        const { send } = yield* serve(over, keys, {}, quiet)
        const hints = `scope="files:read files:list", resource_metadata="${url}"`
        assert.strictEqual((yield* send("GET /me")).headers["www-authenticate"], `Bearer realm="api", ${hints}`)
        const bad = yield* send("GET /me", bearer("a.b.c"))
        assert.include(
          bad.headers["www-authenticate"],
          `error_description="The access token is not accepted", ${hints}`
        )
        const lacking = yield* send("POST /reports", bearer(yield* tokenWith()))
        assert.include(
          lacking.headers["www-authenticate"],
          `scope="reports:read reports:write", resource_metadata="${url}"`
        )
        // No scope would help: the challenge names none.
        const denied = yield* send("GET /admin", bearer(yield* tokenWith()))
        assert.strictEqual(denied.headers["www-authenticate"], `Bearer realm="api", resource_metadata="${url}"`)
        assert.strictEqual((yield* send(`GET ${places[0]}`)).status, 200)
        const own = yield* serve(over, keys, { resourceMetadata: "https://other.example/meta", scopes: ["own"] }, quiet)
        assert.strictEqual(
          (yield* own.send("GET /me")).headers["www-authenticate"],
          "Bearer realm=\"api\", scope=\"own\", resource_metadata=\"https://other.example/meta\""
        )
      }))

    it.live(`[K-37] ${name} accepts a broader scope where the hierarchy says that it implies the one needed`, () =>
      Effect.gen(function*() {
        const implies = { admin: ["reports:write"], "reports:write": ["reports:read"] }
        const keys = tokensOf(keysOf([yield* pairOf("ES256")]))
        const { send } = yield* serve(variant, keys, { implies }, quiet)
        const statusOf = Effect.fnUntraced(function*(line: string, scope: string) {
          return (yield* send(line, bearer(yield* tokenWith({ scope })))).status
        })
        for (const line of ["POST /reports", "GET /reports"]) {
          assert.strictEqual(yield* statusOf(line, "admin"), 200)
          assert.strictEqual(yield* statusOf(line, "reports:write"), 200)
        }
        assert.strictEqual(yield* statusOf("POST /reports", "reports:read"), 403)
        assert.strictEqual(yield* statusOf("POST /reports", "administrator"), 403)
        const { json } = yield* send("GET /me", bearer(yield* tokenWith({ scope: "admin" })))
        // The token's own scopes stay what they are.
        assert.deepInclude(json, { scopes: ["admin"] })
      }))
  }

  it("[K-37] names each option that is out of its bounds", () => {
    const messageOf = (change: object) => {
      try {
        ProtectedResource.make({ ...options, ...change })
        return undefined
      } catch (error) {
        return error instanceof Error ? error.message : undefined
      }
    }
    assert.isUndefined(messageOf({}))
    for (
      const resource of [
        "http://api.example/files",
        "https://user@api.example/files",
        "https://api.example/files?a=b",
        "https://api.example/files#",
        "https://api.example/a/../files",
        "https://API.example/files",
        "https://api.example:443/files",
        "https://api.example/:id",
        "https://api.example/*",
        "https://api.example//files",
        "https://api.example/%66iles",
        "api.example",
        ""
      ]
    ) assert.include(messageOf({ resource }), "resource must be", resource)
    assert.include(
      messageOf({ authorizationServers: [issuer, "http://idp.example"] }),
      "authorizationServers.1 must be"
    )
    assert.include(messageOf({ authorizationServers: [] }), "authorizationServers must be a list of 1 to 16 issuers")
    assert.include(messageOf({ scopes: ["a b"] }), "scopes.0 must be a scope")
    assert.include(messageOf({ documentation: "docs" }), "documentation must be an https URL")
    assert.include(messageOf({ lifetime: "2 days" }), "lifetime must be a duration")
    assert.isUndefined(messageOf({ resource: "http://localhost:1/mcp", allowLocalhost: true }))
  })
})
