// @effect-diagnostics missingLayerContext:off -- tests that some layers do not compile
import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import { documentOf, down, hanging, header, ids, issuer, jwk, keysOf } from "@keelson/testing/scriptedProvider"
import { Effect, Exit, Layer } from "effect"
import { type HttpRouter, HttpServer } from "effect/http"
import { HttpApiClient, type HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import { JwksRegistry, KeySet } from "../src/index.ts"
import * as JwksRegistryApi from "../src/JwksRegistryApi.ts"
import { admin, controlPlane, problemOf, registration } from "./apiServer.ts"

const registry = Layer.mock(JwksRegistry.JwksRegistry, {
  wasRemoved: () => false,
  hasOperatorOptions: () => false,
  keySource: () => ({ find: () => Effect.succeed([]) })
})

/** A control plane with a provider `p` whose keys are there. */
const loaded = Effect.fnUntraced(function*(answer: Parameters<typeof controlPlane>[0]) {
  const plane = yield* controlPlane(answer)
  yield* plane.call("PUT", "p", { body: { ...registration, refreshJitter: "0 millis" } })
  yield* TestClock.adjust("1 second")
  return plane
})

describe("JwksRegistryApi", () => {
  describe("GET jwks", () => {
    it.effect("[S1-37] responds with the public keys, a strong entity tag and the remaining lifetime: 200", () =>
      Effect.gen(function*() {
        const { call } = yield* loaded(keysOf("a", "b"))
        yield* TestClock.adjust("14 minutes")
        const received = yield* call("GET", "p/jwks")
        assert.strictEqual(received.status, 200)
        assert.deepStrictEqual(received.json, { keys: [jwk("a"), jwk("b")] })
        assert.strictEqual(received.headers["content-type"], "application/jwk-set+json")
        assert.strictEqual(received.headers["cache-control"], `private, max-age=${3600 - 14 * 60 - 1}`)
        assert.match(received.headers["etag"] ?? "", /^"[A-Za-z0-9_-]{43}"$/)
        assert.strictEqual((yield* call("GET", "p/jwks")).headers["etag"], received.headers["etag"])
      }))

    it.effect("[S1-37] responds with 304 to a matching tag, also weak or in a list, and with 200 after a rotation", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* loaded(keysOf("a"))
        const { headers } = yield* call("GET", "p/jwks")
        const etag = headers["etag"] ?? ""
        const asked = (tag: string) => call("GET", "p/jwks", { headers: { "if-none-match": tag } })
        for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, `"x",${etag} , "y"`, "*"]) {
          const received = yield* asked(tag)
          assert.deepStrictEqual([received.status, received.text], [304, ""])
          assert.deepStrictEqual([received.headers["etag"], received.headers["cache-control"]], [
            etag,
            "private, max-age=3599"
          ])
        }
        for (const tag of ["\"x\"", etag.replaceAll("\"", ""), "", "\"*\""]) {
          assert.strictEqual((yield* asked(tag)).status, 200)
        }
        provider.answer = keysOf("b")
        yield* registry.refresh(ids("t", "p"))
        const rotated = yield* asked(etag)
        assert.deepStrictEqual([rotated.status, rotated.json], [200, { keys: [jwk("b")] }])
        assert.notStrictEqual(rotated.headers["etag"], etag)
      }))

    it.effect("[S1-37] has no member of a key or document that is not public, and no key that was skipped", () =>
      Effect.gen(function*() {
        const odd = { ...jwk("a"), x5c: ["zzz"], custom: "zzz", ext: true }
        const secret = { ...jwk("s"), d: "zzz" }
        const shared = { kty: "oct", k: "zzz", kid: "k" }
        const { call } = yield* loaded(documentOf(JSON.stringify({ keys: [odd, secret, shared], extra: "zzz" })))
        const received = yield* call("GET", "p/jwks")
        assert.deepStrictEqual(received.json, { keys: [jwk("a")] })
        assert.notInclude(received.text, "zzz")
      }))

    it.effect("[S1-37] serves stale keys, which must not be cached: 200 with max-age=0", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* loaded(keysOf("a"))
        provider.answer = down
        yield* TestClock.adjust("3629 seconds")
        const received = yield* call("GET", "p/jwks")
        assert.deepStrictEqual([received.status, received.headers["cache-control"]], [200, "private, max-age=0"])
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* call("GET", "p/jwks")).status, 502)
      }))

    it.effect("[S1-37] is a 425 during the first fetch, without waiting for it", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* loaded(hanging)
        for (let n = 0; n < 5; n++) {
          assert.deepInclude(problemOf(yield* call("GET", "p/jwks")), { status: 425, code: "JWK-008", inBody: 425 })
        }
        const { metrics } = yield* registry.status(ids("t", "p"))
        assert.deepStrictEqual([provider.requests.length, metrics.requests], [1, 0])
      }))

    it.effect("[S1-37] starts the first fetch of the keys: 425, and then 200", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* controlPlane(keysOf("a"))
        yield* call("PUT", "p", { body: { ...registration, prefetch: false } })
        assert.strictEqual((yield* call("GET", "p/jwks")).status, 425)
        yield* eventually(() => provider.requests.length === 1)
        assert.strictEqual((yield* call("GET", "p/jwks")).status, 200)
      }))

    it.effect("[S1-37] is a 502 with Retry-After if the fetch failed and there are no keys", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* loaded(down)
        yield* TestClock.adjust("1 minute")
        const { length } = provider.requests
        const received = yield* call("GET", "p/jwks")
        assert.deepInclude(problemOf(received), { status: 502, code: "JWK-002", inBody: 502 })
        assert.match(received.headers["retry-after"] ?? "", /^[1-9]\d?$/)
        assert.notInclude(received.text, issuer)
        assert.strictEqual(provider.requests.length, length)
      }))

    it.effect("[S1-37] is a 404 for a provider that was never registered, and a 410 for a removed one", () =>
      Effect.gen(function*() {
        const { call } = yield* loaded(keysOf("a"))
        assert.deepInclude(problemOf(yield* call("GET", "q/jwks")), { status: 404, code: "JWK-005", inBody: 404 })
        yield* call("DELETE", "p")
        assert.deepInclude(problemOf(yield* call("GET", "p/jwks")), { status: 410, code: "JWK-006", inBody: 410 })
        yield* call("PUT", "p", { body: registration })
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* call("GET", "p/jwks")).status, 200)
      }))
  })

  describe("openApi", () => {
    it("[S1-37] has every path, method and status", () => {
      const { paths } = JwksRegistryApi.openApi
      const told = Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) =>
          `${method} ${path} ${Object.keys(Object(operation).responses).toSorted().join(" ")}`
        )
      )
      const one = "/tenants/{tenantId}/providers/{providerId}"
      assert.deepStrictEqual(
        told.toSorted(),
        [
          `delete ${one} 204 401 403 404`,
          `get ${one}/jwks 200 304 401 403 404 410 425 502`,
          `get ${one}/status 200 401 403 404`,
          "get /tenants/{tenantId}/providers 200 401 403",
          `post ${one}/refresh 202 401 403 404`,
          `put ${one} 202 400 401 403 409`
        ].toSorted()
      )
    })

    it("[R19] a request can set the location and lifetimes of keys, but no egress rules, limits or retries", () => {
      const { Registration } = JwksRegistryApi.openApi.components.schemas
      const set = Object.keys(Object(Registration).properties)
      const times = ["ttl", "minTtl", "maxTtl", "refreshEarly", "refreshJitter", "staleWindow"]
      assert.sameMembers(set, ["issuer", "url", "discovery", ...times, "prefetch"])
      assert.isFalse(Object(Registration).additionalProperties)
      assert.deepStrictEqual(Object(Registration).required, ["issuer"])
    })

    it.effect("[S1-37] is served if requested, and a client derived from the API can call it", () =>
      Effect.gen(function*() {
        const { call, client, registry } = yield* controlPlane(keysOf("a"))
        const served = yield* call("GET", "/openapi.json")
        assert.deepStrictEqual(served.json, JSON.parse(JSON.stringify(JwksRegistryApi.openApi)))
        const { providers } = yield* HttpApiClient.makeWith(JwksRegistryApi.Api, { httpClient: client })
        const error = yield* Effect.flip(providers.status({ params: { tenantId: "t", providerId: "p" } }))
        assert.instanceOf(error, KeelsonError.AuthorizationError)
        assert.strictEqual((yield* registry.statuses()).length, 0)
      }))
  })

  describe("layer", () => {
    it("[R19] does not compile without authentication of the administrators", () => {
      const served = JwksRegistryApi.layer().pipe(Layer.provide(registry), Layer.provide(HttpServer.layerServices))
      const complete: Layer.Layer<never, never, HttpRouter.HttpRouter> = Layer.provide(served, admin)
      // @ts-expect-error there is no `JwksAdmin`
      const open: Layer.Layer<never, never, HttpRouter.HttpRouter> = served
      assert.notStrictEqual(complete, open)
    })

    it.effect("[R19] does not serve without it even if the type error is suppressed", () =>
      Effect.gen(function*() {
        const handlers = Layer.provide(JwksRegistryApi.handlers, registry)
        // @ts-expect-error there is no `JwksAdmin`
        const open: Layer.Layer<HttpApiGroup.Service<"keelson-jwks", "providers">> = handlers
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Layer.build(open))))
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(Layer.build(Layer.provide(handlers, admin)))))
      }))
  })
})

describe("KeySet", () => {
  it.effect("[S1-37] returns public members only", () =>
    Effect.gen(function*() {
      const { registry } = yield* loaded(keysOf("a"))
      yield* registry.resolve(ids("t", "p"), header("a"))
      const set = yield* registry.keySet(ids("t", "p"))
      assert.deepStrictEqual(KeySet.toJson(set), { keys: [jwk("a")] })
      assert.deepStrictEqual(KeySet.toJson({ ...set, all: [] }), { keys: [] })
    }))
})
