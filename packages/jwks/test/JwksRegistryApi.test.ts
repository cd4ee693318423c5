import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { down, hanging, header, ids, issuer, jwk, keysOf, url } from "@keelson/testing/scriptedProvider"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { FetchEgress } from "../src/index.ts"
import { controlPlane, problemOf, registration } from "./apiServer.ts"

/** A problem of a status and code. */
const assertProblem = (received: Parameters<typeof problemOf>[0], status: number, code: string) => {
  const problem = problemOf(received)
  assert.deepInclude(problem, { status, code, inBody: status })
  assert.match(problem.type ?? "", /^application\/problem\+json/)
  return problem
}

describe("JwksRegistryApi", () => {
  describe("PUT", () => {
    it.effect("[S1-37] registers a provider, without waiting for its keys: 202", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(hanging)
        const received = yield* call("PUT", "p", { body: { ...registration, ttl: "2 hours" } })
        assert.deepStrictEqual([received.status, received.text], [202, ""])
        assert.deepStrictEqual((yield* registry.statuses()).map((of) => [of.tenantId, of.providerId, of.issuer]), [
          ["t", "p", issuer]
        ])
      }))

    it.effect("[S1-37] accepts an equal registration without a fetch, and a changed one with a fetch: 202", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* controlPlane(keysOf("a"))
        for (const body of [registration, registration, { ...registration, ttl: "60 minutes" }]) {
          assert.strictEqual((yield* call("PUT", "p", { body })).status, 202)
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(provider.requests.length, 1)
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        assert.strictEqual((yield* call("PUT", "p", { body: { ...registration, ttl: "2 hours" } })).status, 202)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(provider.requests.length, 2)
        assert.strictEqual((yield* registry.resolve(ids("t", "p"), header("a")))[0]?.key, candidate?.key)
      }))

    it.effect("[S1-29] refuses ids and options that are invalid, naming the field: 400", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        const bad: ReadonlyArray<readonly [path: string, body: unknown, named: RegExp]> = [
          ["p.q", registration, /providerId/],
          ["p%2Fq", registration, /providerId/],
          ["/tenants/t_u/providers/p", registration, /tenantId/],
          ["p", { url }, /issuer/],
          ["p", { ...registration, ttl: "1 second" }, /ttl.*1 minute/],
          ["p", { ...registration, ttl: 60 }, /ttl/],
          ["p", { ...registration, minTtl: "2 hours", maxTtl: "1 hour" }, /minTtl/],
          ["p", { ...registration, headers: {} }, /headers/],
          ["p", `{"issuer":"i","url":"${url}","__proto__":{"pins":[]}}`, /__proto__/],
          ["p", [registration], /an object/],
          ["p", "null", /an object/],
          ["p", "{", /JSON/],
          ["p", undefined, /JSON/]
        ]
        for (const [path, body, named] of bad) {
          const received = yield* call("PUT", path, { body, as: "*" })
          assert.match(assertProblem(received, 400, "CFG-002").detail, named)
        }
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[K-28 G10] registers at most 100 providers of a tenant: 409 for any further, 202 for a replacement", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(hanging)
        const numbers = Array.from({ length: 130 }, (_, index) => index)
        const received = yield* Effect.forEach(
          numbers,
          (number) => call("PUT", `p${number}`, { body: registration }),
          { concurrency: 10 }
        )
        assert.lengthOf(received.filter(({ status }) => status === 202), 100)
        const refused = received.filter(({ status }) => status === 409)
        assert.lengthOf(refused, 30)
        assert.match(assertProblem(refused[0]!, 409, "JWK-007").detail, /100 providers/)
        const all = yield* registry.statuses("t")
        assert.lengthOf(all, 100)
        const { providerId } = all[0]!
        assert.strictEqual(
          (yield* call("PUT", providerId, { body: { ...registration, ttl: "2 hours" } })).status,
          202
        )
        assert.strictEqual((yield* call("PUT", "/tenants/u/providers/p", { body: registration, as: "*" })).status, 202)
        yield* call("DELETE", providerId)
        assert.strictEqual((yield* call("PUT", "another", { body: registration })).status, 202)
        assert.strictEqual((yield* call("PUT", "one-more", { body: registration })).status, 409)
        // Code of the operator is not bound by it.
        yield* registry.put(ids("t", "one-more"), registration)
        assert.lengthOf(yield* registry.statuses("t"), 101)
      }))

    it.effect("[S1-37] refuses a body of more than 16 KiB: 400", () =>
      Effect.gen(function*() {
        const { call } = yield* controlPlane(keysOf("a"))
        const received = yield* call("PUT", "p", { body: { ...registration, padding: "x".repeat(16_384) } })
        assert.match(assertProblem(received, 400, "CFG-002").detail, /16 KiB/)
      }))

    it.effect("[S1-37] refuses a URL that the rules of egress do not allow: 403", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(hanging, FetchEgress.layer({ allowedHosts: ["idp.example"] }))
        for (const to of ["http://idp.example/jwks", "https://elsewhere.example/", "https://127.0.0.1/"]) {
          assertProblem(yield* call("PUT", "p", { body: { issuer, url: to } }), 403, "NET-008")
        }
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[R19] refuses a body that sets rules of egress or pins, whatever their value: 403", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        for (const field of ["allowedHosts", "pins", "maxBytes", "maxRedirects"]) {
          for (const value of [["elsewhere.example"], [], null, 1, "x"]) {
            const received = yield* call("PUT", "p", { body: { ...registration, [field]: value } })
            assert.include(assertProblem(received, 403, "AUTH-002").detail, field)
          }
        }
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[R19] leaves the rules of egress of a provider that code registered", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* controlPlane(keysOf("a"))
        const pins = ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
        const rules = { allowedHosts: ["idp.example"], pins, maxBytes: 1000, maxRedirects: 0 }
        yield* registry.put(ids("t", "p"), { ...registration, ...rules }, { ifAbsent: true })
        assert.strictEqual((yield* call("PUT", "p", { body: { ...registration, ttl: "2 hours" } })).status, 202)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(provider.requests.at(-1)?.rules, rules)
      }))

    it.effect("[S1-37] rejects another issuer under the same ids, and an existing provider with `If-None-Match: *`: 409", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* controlPlane(keysOf("a"))
        const headers = { "if-none-match": "*" }
        assert.strictEqual((yield* call("PUT", "p", { body: registration, headers })).status, 202)
        yield* TestClock.adjust("1 second")
        assertProblem(yield* call("PUT", "p", { body: registration, headers }), 409, "JWK-007")
        const other = { ...registration, issuer: "https://other.example" }
        assertProblem(yield* call("PUT", "p", { body: other }), 409, "JWK-007")
        assert.strictEqual((yield* registry.statuses())[0]?.issuer, issuer)
        assert.strictEqual(provider.requests.length, 1)
      }))

    it.effect("[S1-37] accepts all of those that put the same at once, and lets one create it", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        const headers = { "if-none-match": "*" }
        const both = (each: object) =>
          Effect.map(
            Effect.all(Array.from({ length: 8 }, () => call("PUT", "p", { body: registration, ...each })), {
              concurrency: "unbounded"
            }),
            (all) => all.map(({ status }) => status).toSorted((a, b) => a - b)
          )
        assert.deepStrictEqual(yield* both({ headers }), [202, ...Array.from({ length: 7 }, () => 409)])
        assert.deepStrictEqual(new Set(yield* both({})), new Set([202]))
        assert.strictEqual((yield* registry.statuses()).length, 1)
      }))
  })

  describe("DELETE", () => {
    it.effect("[S1-37] removes a provider, whose keys stop verifying: 204, and then 404", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        yield* call("PUT", "p", { body: registration })
        yield* TestClock.adjust("1 second")
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        const removed = yield* call("DELETE", "p")
        assert.deepStrictEqual([removed.status, removed.text], [204, ""])
        assert.isFalse(candidate?.trust.holds(yield* Clock.Clock))
        assertProblem(yield* call("DELETE", "p"), 404, "JWK-005")
        assertProblem(yield* call("DELETE", "never"), 404, "JWK-005")
      }))

    it.effect("[R19] leaves a provider that has rules of egress from code, lest it come back without them: 403", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        yield* registry.put(ids("t", "p"), { ...registration, allowedHosts: ["idp.example"] }, { ifAbsent: true })
        assertProblem(yield* call("DELETE", "p"), 403, "AUTH-002")
        assert.strictEqual((yield* registry.statuses("t")).length, 1)
      }))
  })

  describe("POST refresh", () => {
    it.effect("[S1-37] has the keys fetched past all caches, without waiting for them: 202", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* controlPlane(keysOf("a"))
        yield* call("PUT", "p", { body: registration })
        yield* TestClock.adjust("1 second")
        provider.answer = hanging
        const received = yield* call("POST", "p/refresh")
        assert.deepStrictEqual([received.status, received.text], [202, ""])
        yield* eventually(() => provider.requests.length === 2)
        assert.strictEqual(provider.requests[1]?.headers?.["cache-control"], "no-cache")
        assertProblem(yield* call("POST", "never/refresh"), 404, "JWK-005")
      }))

    it.effect("[R19] forces a refresh of a provider at most once in 10 seconds, also across changes of it", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* controlPlane(keysOf("a"))
        yield* call("PUT", "p", { body: { ...registration, prefetch: false } })
        const forced = Effect.gen(function*() {
          for (let n = 0; n < 5; n++) assert.strictEqual((yield* call("POST", "p/refresh")).status, 202)
          yield* TestClock.adjust("1 millis")
          return provider.requests.length
        })
        assert.strictEqual(yield* forced, 1)
        yield* TestClock.adjust("9990 millis")
        assert.strictEqual(yield* forced, 1)
        yield* TestClock.adjust("9 millis")
        assert.strictEqual(yield* forced, 2)
        yield* call("DELETE", "p")
        yield* call("PUT", "p", { body: { ...registration, prefetch: false } })
        assert.strictEqual(yield* forced, 2)
      }))

    it.effect("[R19] limits each provider separately", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* controlPlane(keysOf("a"))
        for (const id of ["p", "q"]) {
          yield* call("PUT", id, { body: { ...registration, prefetch: false } })
          yield* call("POST", `${id}/refresh`)
        }
        yield* TestClock.adjust("1 second")
        assert.strictEqual(provider.requests.length, 2)
      }))
  })

  describe("GET status", () => {
    it.effect("[S1-37] returns the status of one of the tenant's providers: 200, or 404", () =>
      Effect.gen(function*() {
        const { call, provider } = yield* controlPlane(keysOf("key-a"))
        yield* call("PUT", "p", { body: { ...registration, refreshJitter: "0 millis" } })
        yield* TestClock.adjust("1 second")
        provider.answer = down
        yield* call("PUT", "q", { body: registration })
        yield* TestClock.adjust("1 minute")
        const status = yield* call("GET", "p/status")
        assert.strictEqual(status.status, 200)
        assert.deepInclude(Object(status.json), {
          state: "Ready",
          health: "ok",
          expiresAt: "1970-01-01T01:00:00.000Z",
          nextRefresh: "1970-01-01T00:59:30.000Z",
          errorCount: 0,
          keys: 1
        })
        const all = yield* call("GET", "")
        assert.match(all.text, /^\[\{"tenantId":"t","providerId":"p".*\{"tenantId":"t","providerId":"q"/)
        assert.notInclude(status.text + all.text, "key-a")
        assert.notInclude(all.text, jwk("key-a").x)
        assertProblem(yield* call("GET", "never/status"), 404, "JWK-005")
      }))
  })

  describe("JwksAdmin", () => {
    const operations = (tenant: string) => {
      const one = `/tenants/${tenant}/providers/p`
      return [
        ["GET", `/tenants/${tenant}/providers`],
        ["PUT", one],
        ["DELETE", one],
        ["GET", `${one}/jwks`],
        ["POST", `${one}/refresh`],
        ["GET", `${one}/status`]
      ] as const
    }

    const bodyOf = (method: string) => method === "PUT" ? registration : undefined

    it.effect("[R19] refuses every operation on a tenant that is not the caller's: 403", () =>
      Effect.gen(function*() {
        const { call, provider, registry } = yield* controlPlane(keysOf("a"))
        yield* registry.put(ids("u", "p"), { ...registration, prefetch: false }, { ifAbsent: true })
        for (const as of ["t", "U", "u-", "", "u,t", "*u"]) {
          for (const [method, path] of operations("u")) {
            assertProblem(yield* call(method, path, { body: bodyOf(method), as }), 403, "AUTH-002")
          }
        }
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([provider.requests.length, (yield* registry.statuses("u")).length], [0, 1])
      }))

    it.effect("[R19] rejects unauthenticated callers with the error of the middleware: 401", () =>
      Effect.gen(function*() {
        const { call, registry } = yield* controlPlane(keysOf("a"))
        for (const [method, path] of operations("t")) {
          assertProblem(yield* call(method, path, { body: bodyOf(method), as: undefined }), 401, "AUTH-001")
        }
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[R19] allows an administrator of all tenants every operation in each", () =>
      Effect.gen(function*() {
        const { call } = yield* controlPlane(keysOf("a"))
        for (const tenant of ["t", "u"]) {
          const statuses: Array<number> = []
          for (const [method, path] of operations(tenant)) {
            const received = yield* call(method, path, { body: bodyOf(method), as: "*" })
            statuses.push(received.status)
            yield* TestClock.adjust("1 second")
          }
          assert.deepStrictEqual(statuses, [200, 202, 204, 410, 404, 404])
        }
      }))
  })
})
