import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@keelson/core"
import { Egress } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { ResourceDiscovery } from "../src/index.ts"
import { mutations } from "./resource/hostile.ts"
import {
  challenge,
  egressOf,
  honest,
  issuer,
  json,
  metadataUrl,
  resource,
  resourceDocument,
  rootUrl,
  serverDocument,
  serverUrl,
  tokenEndpoint,
  type World
} from "./resource/world.ts"

const options = { resource, issuers: [issuer] }

const discoverIn = Effect.fnUntraced(function*(world: World, more: Partial<ResourceDiscovery.Options> = {}) {
  const { layer, requests } = egressOf(() => world)
  const discovery = yield* Effect.provide(ResourceDiscovery.make({ ...options, ...more }), layer)
  return { result: yield* Effect.result(discovery.discover), requests }
})

/** Where a client may send requests: to the resource's origin, and to the issuer at which it is registered. */
const allowed = [new URL(resource).origin, new URL(issuer).origin]

describe("ResourceDiscovery", () => {
  it.effect("[K-37] finds metadata and server by the challenge, and begins with the challenge's scopes", () =>
    Effect.gen(function*() {
      const named = "https://api.example/meta"
      const { requests, result } = yield* discoverIn({
        ...honest,
        [resource]: challenge(`Basic realm="x", Bearer scope="files:read mcp", resource_metadata="${named}"`),
        [named]: json(resourceDocument)
      })
      assert.deepStrictEqual(result._tag === "Success" ? result.success : result.failure, {
        resource,
        issuer,
        tokenEndpoint,
        scopes: ["files:read", "mcp"],
        metadata: resourceDocument,
        server: serverDocument
      })
      assert.deepStrictEqual(requests, [resource, named, serverUrl])
    }))

  it.effect("[K-37] asks the well-known places in their order where there is no challenge", () =>
    Effect.gen(function*() {
      const appended = "https://idp.example/tenant/.well-known/openid-configuration"
      const { requests, result } = yield* discoverIn({
        [rootUrl]: json(resourceDocument),
        [appended]: json(serverDocument)
      })
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(requests, [
        resource,
        metadataUrl,
        rootUrl,
        serverUrl,
        "https://idp.example/.well-known/openid-configuration/tenant",
        appended
      ])
    }))

  it.effect("[K-37] asks two places each for a resource and an issuer without a path", () =>
    Effect.gen(function*() {
      const { requests, result } = yield* discoverIn({
        [rootUrl]: json({
          ...resourceDocument,
          resource: "https://api.example",
          authorization_servers: ["https://idp.example"]
        }),
        "https://idp.example/.well-known/openid-configuration": json({
          ...serverDocument,
          issuer: "https://idp.example"
        })
      }, { resource: "https://api.example/", issuers: ["https://idp.example"] })
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(requests, [
        "https://api.example/",
        rootUrl,
        "https://idp.example/.well-known/oauth-authorization-server",
        "https://idp.example/.well-known/openid-configuration"
      ])
    }))

  it.effect("[K-37] uses the first server of the metadata at which the client is registered", () =>
    Effect.gen(function*() {
      const second = "https://second.example"
      const { result } = yield* discoverIn({
        ...honest,
        [metadataUrl]: json({ ...resourceDocument, authorization_servers: ["https://evil.example", second, issuer] }),
        [`${second}/.well-known/oauth-authorization-server`]: json({
          issuer: second,
          token_endpoint: `${second}/token`
        })
      }, { issuers: [issuer, second] })
      assert.strictEqual(result._tag === "Success" ? result.success.tokenEndpoint : "", `${second}/token`)
    }))

  describe("with hostile answers", () => {
    it.effect("[K-37] [R21] follows nothing wrong, with the whole reason, and errors repeat nothing that a server sent", () =>
      Effect.gen(function*() {
        for (const { expected, name, world } of mutations) {
          const { requests, result } = yield* discoverIn(world)
          const seen: object = result._tag === "Success"
            ? { scopes: result.success.scopes }
            : { code: result.failure.code, reason: result.failure.details["reason"] ?? "" }
          assert.deepStrictEqual(seen, { ...expected }, name)
          assert.isAtMost(requests.length, 6, name)
          for (const url of requests) assert.include(allowed, new URL(url).origin, name)
          if (result._tag === "Success") {
            assert.deepStrictEqual([result.success.issuer, result.success.tokenEndpoint], [issuer, tokenEndpoint], name)
          } else {
            assert.notMatch(JSON.stringify(Problem.encode(result.failure)), /evil|password|169\.254/, name)
          }
        }
      }))

    it("[K-37] has at least 150 mutations, each with a name of its own", () => {
      console.log(`${mutations.length} mutations of challenges and metadata`)
      assert.isAtLeast(mutations.length, 150)
      assert.strictEqual(new Set(mutations.map(({ name }) => name)).size, mutations.length)
    })
  })

  it.effect("[K-37] shares one lookup between concurrent callers, and repeats it after its lifetime and after a failure", () =>
    Effect.gen(function*() {
      let world: World = {}
      const { layer, requests } = egressOf(() => world)
      const { discover, expire } = yield* Effect.provide(
        ResourceDiscovery.make({ ...options, lifetime: "10 minutes" }),
        layer
      )
      assert.strictEqual((yield* Effect.flip(discover)).code, "RESOURCE_METADATA_INVALID")
      world = honest
      requests.length = 0
      yield* Effect.all(Array.from({ length: 20 }, () => discover), { concurrency: "unbounded" })
      assert.strictEqual(requests.length, 3)
      yield* TestClock.adjust("9 minutes")
      yield* discover
      assert.strictEqual(requests.length, 3)
      yield* TestClock.adjust("1 minute")
      yield* discover
      assert.strictEqual(requests.length, 6)
      expire()
      yield* discover
      assert.strictEqual(requests.length, 9)
    }))

  it.effect("[K-37] a caller that is interrupted leaves the lookup to the next one", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const { layer } = egressOf(() => honest)
      const inner = yield* Effect.provide(Egress.Egress, layer)
      let calls = 0
      const hanging = Layer.succeed(Egress.Egress, {
        check: inner.check,
        get: (request) =>
          ++calls === 1 ? Effect.andThen(Deferred.succeed(asked, undefined), Effect.never) : inner.get(request)
      })
      const { discover } = yield* Effect.provide(ResourceDiscovery.make(options), hanging)
      const first = yield* Effect.forkChild(discover)
      yield* Deferred.await(asked)
      const second = yield* Effect.forkChild(discover)
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* Fiber.join(second)).issuer, issuer)
    }))

  it.effect("[K-37] gives up on a server that does not answer", () =>
    Effect.gen(function*() {
      const silent = Layer.succeed(Egress.Egress, {
        check: (url) => Effect.succeed(new URL(url)),
        get: () => Effect.never
      })
      const { discover } = yield* Effect.provide(
        ResourceDiscovery.make({ ...options, requestTimeout: "2 seconds" }),
        silent
      )
      const running = yield* Effect.forkChild(Effect.flip(discover))
      yield* TestClock.adjust("2 seconds")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(running)).code, "TIMEOUT")
    }))

  it.live("[K-37] [R17] does not request the metadata of a resource at a private address", () =>
    Effect.gen(function*() {
      const { discover } = yield* ResourceDiscovery.make({ ...options, resource: "https://10.0.0.1/mcp" })
      const error = yield* Effect.flip(discover)
      assert.deepStrictEqual([error.code, error.details["reason"]], ["EGRESS_REFUSED", "address"])
    }).pipe(Effect.provide(NodeEgress.layer())))

  it.live("[K-37] follows no redirect of a real server, also to its own origin", () =>
    Effect.gen(function*() {
      const redirect = { status: 302, headers: { location: "/elsewhere" } }
      const origin = yield* httpOrigin(401, redirect, 200)
      const { discover } = yield* ResourceDiscovery.make({
        resource: `${origin.url}/mcp`,
        issuers: [issuer],
        allowLocalhost: true
      })
      const error = yield* Effect.flip(discover)
      assert.deepStrictEqual([error.code, error.details["reason"]], ["EGRESS_REFUSED", "redirect"])
      assert.strictEqual(origin.received.length, 2)
    }).pipe(Effect.provide(NodeEgress.layer({ allowLocalhost: true }))))

  it.effect("[K-37] names each option that is out of its bounds", () =>
    Effect.gen(function*() {
      const { layer } = egressOf(() => honest)
      const messageOf = (change: object) =>
        Effect.provide(ResourceDiscovery.make({ ...options, ...change }), layer).pipe(
          Effect.match({ onFailure: ({ message }) => message, onSuccess: () => undefined })
        )
      assert.isUndefined(yield* messageOf({}))
      assert.include(yield* messageOf({ resource: "http://api.example/mcp" }), "resource must be an https URL")
      assert.include(yield* messageOf({ resource: "https://api.example/mcp#" }), "resource must be an https URL")
      assert.include(yield* messageOf({ issuers: [] }), "issuers must be a list of 1 to 16 issuers")
      assert.include(yield* messageOf({ issuers: ["https://idp.example?x"] }), "issuers.0 must be an https URL")
      assert.include(yield* messageOf({ maxBytes: 1 }), "maxBytes must be a whole number")
    }))
})
