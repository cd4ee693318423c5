import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import {
  type Answer,
  documentOf,
  down,
  hanging,
  makeProvider,
  revalidating,
  statusOf
} from "@keelson/testing/scriptedProvider"
import { Context, Duration, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as Discovery from "../src/Discovery.ts"
import { Egress, type Rules } from "../src/Egress.ts"
import * as FetchEgress from "../src/FetchEgress.ts"

const issuer = "https://idp.example"
const jwksUri = "https://idp.example/keys"
const metadataOf = (members: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ issuer, jwks_uri: jwksUri, ...members })

interface Settings {
  readonly kind?: Discovery.Kind
  readonly endpoint?: Discovery.Endpoint
  readonly issuer?: string
  readonly rules?: Rules
  readonly ttl?: Duration.Duration
}

/** Discovery over a scripted provider, with its URLs checked by the rules of a real egress. */
const discoveryOf = Effect.fnUntraced(function*(answer: Answer, settings: Settings = {}) {
  const scripted = makeProvider(answer)
  const real = FetchEgress.layer({ unverifiedAddresses: true })
  const { get } = Context.get(yield* Layer.build(scripted.egress), Egress)
  const { check } = Context.get(yield* Layer.build(real), Egress)
  const discovery = Discovery.make({
    issuer,
    kind: "oidc",
    rules: {},
    ttl: Duration.hours(1),
    minTtl: Duration.seconds(30),
    maxTtl: Duration.hours(24),
    ...settings,
    egress: { check, get }
  })
  return { discovery, provider: scripted.provider, requests: scripted.provider.requests }
})

/** The result of a provider's first response. */
const failureOf = (answer: Answer, settings?: Settings) =>
  Effect.flatMap(discoveryOf(answer, settings), ({ discovery }) => Effect.flip(discovery.metadata))

describe("Discovery", () => {
  describe("wellKnownUrl", () => {
    const oidc = "/.well-known/openid-configuration"
    const oauth = "/.well-known/oauth-authorization-server"
    const table: ReadonlyArray<readonly [issuer: string, oidc: string, oauth2: string]> = [
      // OpenID Connect Discovery 1.0, 4.1 and RFC 8414, 3.1.
      ["https://example.com", `https://example.com${oidc}`, `https://example.com${oauth}`],
      ["https://example.com/issuer1", `https://example.com/issuer1${oidc}`, `https://example.com${oauth}/issuer1`],
      ["https://example.com/", `https://example.com${oidc}`, `https://example.com${oauth}`],
      ["https://example.com/issuer1/", `https://example.com/issuer1${oidc}`, `https://example.com${oauth}/issuer1`],
      ["https://a.test/x/y/z", `https://a.test/x/y/z${oidc}`, `https://a.test${oauth}/x/y/z`],
      ["https://a.test/x//", `https://a.test/x/${oidc}`, `https://a.test${oauth}/x/`],
      ["https://a.test:8443", `https://a.test:8443${oidc}`, `https://a.test:8443${oauth}`],
      ["https://a.test:8443/x/", `https://a.test:8443/x${oidc}`, `https://a.test:8443${oauth}/x`],
      ["https://a.test:443/x", `https://a.test/x${oidc}`, `https://a.test${oauth}/x`],
      ["https://a.test/a%2Fb%20c", `https://a.test/a%2Fb%20c${oidc}`, `https://a.test${oauth}/a%2Fb%20c`],
      ["https://[2001:db8::1]/x", `https://[2001:db8::1]/x${oidc}`, `https://[2001:db8::1]${oauth}/x`],
      ["https://a.test/v2.0", `https://a.test/v2.0${oidc}`, `https://a.test${oauth}/v2.0`]
    ]
    for (const [from, forOidc, forOauth2] of table) {
      it(`of ${from} are ${forOidc} and ${forOauth2}`, () => {
        assert.deepStrictEqual(Discovery.wellKnownUrl(from, "oidc"), Result.succeed(forOidc))
        assert.deepStrictEqual(Discovery.wellKnownUrl(from, "oauth2"), Result.succeed(forOauth2))
      })
    }

    const invalid = [
      "",
      "idp",
      "idp.example/x",
      "https://",
      "https://a b",
      "https://a.test?",
      "https://a.test/x?tenant=1"
    ]
    for (const from of [...invalid, "https://a.test#", "https://a.test/x#y", "https://a.test/#?"]) {
      it(`of "${from}" is DISCOVERY_INVALID, without a word of it`, () => {
        for (const kind of ["oidc", "oauth2"] as const) {
          const error = Result.getOrThrow(Result.flip(Discovery.wellKnownUrl(from, kind)))
          assert.instanceOf(error, KeelsonError.NetworkError)
          assert.strictEqual(error.code, "DISCOVERY_INVALID")
          const kindOf = URL.canParse(from) ? "a URL with a query or fragment" : "not a URL"
          assert.strictEqual(error.message, `The issuer must be a URL without query and fragment, but is ${kindOf}`)
          assert.deepEqual(error.details, {})
        }
      })
    }
  })

  describe("metadata", () => {
    it.effect("are fetched from the well-known URL and returned whole", () =>
      Effect.gen(function*() {
        for (
          const [kind, url] of [["oidc", "openid-configuration"], ["oauth2", "oauth-authorization-server"]] as const
        ) {
          const rules = { maxBytes: 7, allowedHosts: ["idp.example"] }
          const { discovery, requests } = yield* discoveryOf(documentOf(metadataOf({ more: [1] })), { kind, rules })
          assert.strictEqual(requests.length, 0)
          const metadata = yield* discovery.metadata
          assert.deepStrictEqual(metadata, {
            issuer,
            endpoint: jwksUri,
            document: { issuer, jwks_uri: jwksUri, more: [1] }
          })
          assert.deepEqual(requests, [
            { url: `${issuer}/.well-known/${url}`, headers: { accept: "application/json" }, rules }
          ])
        }
      }))

    it.effect("return another endpoint on request, and then need no jwks_uri", () =>
      Effect.gen(function*() {
        const tokenEndpoint = "https://idp.example/token"
        const document = JSON.stringify({ issuer, token_endpoint: tokenEndpoint })
        const { discovery } = yield* discoveryOf(documentOf(document), { endpoint: "token_endpoint" })
        assert.strictEqual((yield* discovery.metadata).endpoint, tokenEndpoint)
        const other = yield* failureOf(documentOf(metadataOf()), { endpoint: "token_endpoint" })
        assert.deepStrictEqual([other.code, other.message], [
          "DISCOVERY_INVALID",
          "The metadata have no `token_endpoint`: expected a URL, but it is missing"
        ])
      }))

    it.effect("[K-28 G4] of more than 20,000 values, or with a URL of a megabyte, are refused", () =>
      Effect.gen(function*() {
        const many = yield* failureOf(documentOf(metadataOf({ more: Array.from({ length: 20_000 }, () => ({})) })))
        assert.deepStrictEqual([many.code, many.message], [
          "DISCOVERY_INVALID",
          "The metadata have more than 20000 values"
        ])
        const long = yield* failureOf(documentOf(metadataOf({ jwks_uri: `${jwksUri}/${"a/../".repeat(200_000)}` })))
        assert.deepStrictEqual([long.code, long.message], [
          "DISCOVERY_INVALID",
          "The metadata have a `jwks_uri` of more than 8192 characters"
        ])
        const { discovery, requests } = yield* discoveryOf(documentOf("{".repeat(30_000)))
        assert.strictEqual((yield* Effect.flip(discovery.metadata)).code, "DISCOVERY_INVALID")
        assert.strictEqual(requests.length, 1)
      }))

    it.effect("of an issuer that is not a URL are never fetched", () =>
      Effect.gen(function*() {
        const { discovery, requests } = yield* discoveryOf(documentOf(metadataOf()), { issuer: "idp" })
        assert.strictEqual((yield* Effect.flip(discovery.metadata)).code, "DISCOVERY_INVALID")
        assert.strictEqual(requests.length, 0)
      }))

    const pairs: ReadonlyArray<readonly [configured: string, published: unknown]> = [
      ["https://idp.example", "https://idp.example/"],
      ["https://idp.example/", "https://idp.example"],
      ["https://idp.example", "https://IDP.example"],
      ["https://idp.example", "HTTPS://idp.example"],
      ["https://idp.example", "https://idp.example:443"],
      ["https://idp.example:443", "https://idp.example"],
      ["https://idp.example/a", "https://idp.example/%61"],
      ["https://idp.example/%7e", "https://idp.example/%7E"],
      ["https://idp.example/a", "https://idp.example/A"],
      ["https://idp.example/a", "https://idp.example/x/../a"],
      ["https://idp.example", "http://idp.example"],
      ["https://idp.example", " https://idp.example"],
      ["https://idp.example", "https://idp.example\n"],
      ["https://idp.example", "https://idp.example.evil.example"],
      ["https://idp.example/{tenantid}", "https://idp.example/1"],
      ["https://idp.example", ["https://idp.example"]],
      ["https://idp.example", null],
      ["https://idp.example", undefined],
      ["https://idp.example", ""]
    ]
    for (const [configured, published] of pairs) {
      it.effect(`of ${JSON.stringify(published)} are not those of ${configured}`, () =>
        Effect.gen(function*() {
          const error = yield* failureOf(documentOf(metadataOf({ issuer: published })), { issuer: configured })
          assert.strictEqual(error.code, "DISCOVERY_INVALID")
          const expected = `The metadata belong to another issuer: expected ${configured}, but \`issuer\` is `
          assert.isTrue(error.message.startsWith(expected), error.message)
          const own = yield* discoveryOf(documentOf(metadataOf({ issuer: configured })), { issuer: configured })
          assert.strictEqual((yield* own.discovery.metadata).issuer, configured)
        }))
    }

    const missing = `The metadata belong to another issuer: expected ${issuer}, but \`issuer\` is missing`
    const noUri = (kind: string) => `The metadata have no \`jwks_uri\`: expected a URL, but it is ${kind}`
    const bodies: ReadonlyArray<readonly [name: string, body: string, message: string]> = [
      ["HTML", "<!doctype html>", "The metadata are not JSON: expected an object, but the body is HTML or XML"],
      ["nothing", "", "The metadata are not JSON: expected an object, but the body is empty"],
      ["words", "not found", "The metadata are not JSON: expected an object, but the body is other text"],
      ["a list", `[${metadataOf()}]`, "The metadata are not an object: the JSON is a list"],
      ["null", "null", "The metadata are not an object: the JSON is null"],
      ["text", JSON.stringify(issuer), "The metadata are not an object: the JSON is of type string"],
      ["an empty object", "{}", missing],
      ["an issuer by __proto__", `{"__proto__":${metadataOf()}}`, missing],
      ["no jwks_uri", JSON.stringify({ issuer }), noUri("missing")],
      ["jwks_uri null", metadataOf({ jwks_uri: null }), noUri("null")],
      ["jwks_uri in a list", metadataOf({ jwks_uri: [jwksUri] }), noUri("a list")]
    ]
    for (const [name, body, message] of bodies) {
      it.effect(`with ${name} are DISCOVERY_INVALID`, () =>
        Effect.gen(function*() {
          const error = yield* failureOf(documentOf(body))
          assert.instanceOf(error, KeelsonError.NetworkError)
          assert.deepStrictEqual([error.code, error.message, error.details], ["DISCOVERY_INVALID", message, {}])
        }))
    }

    const uris: ReadonlyArray<readonly [uri: string, reason: string]> = [
      ["http://idp.example/keys", "scheme"],
      ["file:///etc/passwd", "scheme"],
      ["https://evil.example/keys", "host"],
      ["https://idp.example.evil.example/keys", "host"],
      ["https://user:secret@idp.example/keys", "credentials"],
      ["/keys", "url"],
      ["", "url"]
    ]
    for (const [uri, reason] of uris) {
      it.effect(`[S1-19] [S1-20] with the jwks_uri "${uri}" are refused by the egress: ${reason}`, () =>
        Effect.gen(function*() {
          const rules = { allowedHosts: ["idp.example"] }
          const error = yield* failureOf(documentOf(metadataOf({ jwks_uri: uri })), { rules })
          assert.deepStrictEqual([error.code, error.details["reason"]], ["EGRESS_REFUSED", reason])
          const isNamed = error.message === "The metadata have a `jwks_uri` that is not an absolute URL"
          assert.strictEqual(isNamed, reason === "url", error.message)
        }))
    }

    it.effect("[S1-20] may have a jwks_uri on another host if no hosts are listed", () =>
      Effect.gen(function*() {
        const { discovery } = yield* discoveryOf(documentOf(metadataOf({ jwks_uri: "https://keys.example/" })))
        assert.strictEqual((yield* discovery.metadata).endpoint, "https://keys.example/")
      }))

    const answers: ReadonlyArray<readonly [name: string, answer: Answer, code: string]> = [
      ["404", statusOf(404), "UPSTREAM_REJECTED"],
      ["429", statusOf(429), "RATE_LIMITED"],
      ["500", statusOf(500), "UPSTREAM_UNAVAILABLE"],
      ["204", statusOf(204), "DISCOVERY_INVALID"],
      ["302 without a target", statusOf(302), "DISCOVERY_INVALID"],
      ["[S1-08] 304 to nothing held", statusOf(304), "DISCOVERY_INVALID"],
      ["no connection", down, "NETWORK_ERROR"]
    ]
    for (const [name, answer, code] of answers) {
      it.effect(`after ${name} fail with ${code}, and are fetched again`, () =>
        Effect.gen(function*() {
          const { discovery, provider } = yield* discoveryOf(answer)
          const error = yield* Effect.flip(discovery.metadata)
          assert.strictEqual(error.code, code)
          provider.answer = documentOf(metadataOf())
          assert.strictEqual((yield* discovery.metadata).endpoint, jwksUri)
          assert.strictEqual(provider.requests.length, 2)
        }))
    }

    it.effect("that are not UTF-8 are DISCOVERY_INVALID", () =>
      Effect.gen(function*() {
        const { check } = Context.get(yield* Layer.build(makeProvider(down).egress), Egress)
        const get = () =>
          Effect.succeed({ status: 200, headers: {}, body: Uint8Array.of(0x22, 0xff, 0x22), url: new URL(issuer) })
        const bounds = { ttl: Duration.hours(1), minTtl: Duration.seconds(30), maxTtl: Duration.hours(24) }
        const discovery = Discovery.make({ issuer, kind: "oidc", rules: {}, ...bounds, egress: { check, get } })
        const error = yield* Effect.flip(discovery.metadata)
        assert.deepStrictEqual([error.code, error.message], ["DISCOVERY_INVALID", "Document is not UTF-8"])
      }))

    it.effect("[K-28 H2 E] [R21] errors name both issuers and the host, and nothing else of the response", () =>
      Effect.gen(function*() {
        const shown: ReadonlyArray<readonly [issuer: string, shown: string]> = [
          ["https://other.example/realms/a", "https://other.example/realms/a"],
          [
            `${issuer}/`,
            `${issuer}/. They differ in the slash at the end: configure the issuer as the metadata have it`
          ],
          ["https://secret:secret@other.example/a?secret#secret", "https://other.example/a"],
          ["secret", "text that is not a URL"],
          [`https://other.example/${"a".repeat(300)}`, `https://other.example/${"a".repeat(234)}`]
        ]
        for (const [published, part] of shown) {
          const { message } = yield* failureOf(documentOf(metadataOf({ issuer: published, token: "secret" })))
          const start = `The metadata belong to another issuer: expected ${issuer}, but \`issuer\` is `
          assert.strictEqual(message, `${start}${part}`)
        }
        const error = yield* failureOf(documentOf(metadataOf({ jwks_uri: "http://other.example/secret?secret" })))
        assert.notInclude(inspect(error, { depth: 9 }), "secret")
        assert.include(error.message, "to request other.example over http, name it in insecureHosts")
      }))
  })

  describe("caching", () => {
    const etag = "\"1\""

    it.effect("[S1-07] keeps metadata as long as their response says, within the bounds", () =>
      Effect.gen(function*() {
        const table = [
          [{ "cache-control": "max-age=600" }, 600],
          [{ "cache-control": "max-age=600", age: "100" }, 500],
          [{ "cache-control": "max-age=1" }, 30],
          [{ "cache-control": "no-store" }, 30],
          [{ "cache-control": "max-age=864000" }, 86_400],
          [{}, 3600]
        ] as const
        for (const [headers, seconds] of table) {
          const { discovery, requests } = yield* discoveryOf(documentOf(metadataOf(), headers))
          const first = yield* discovery.metadata
          yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
          assert.strictEqual(yield* discovery.metadata, first)
          assert.strictEqual(requests.length, 1)
          yield* TestClock.adjust("1 millis")
          yield* discovery.metadata
          assert.strictEqual(requests.length, 2)
        }
      }))

    it.effect("[S1-08] sends the stored validator; a 304 keeps the metadata for another lifetime", () =>
      Effect.gen(function*() {
        const answer = revalidating(metadataOf(), etag, { "cache-control": "max-age=60" })
        const { discovery, requests } = yield* discoveryOf(answer)
        const first = yield* discovery.metadata
        assert.isUndefined(requests[0]?.headers?.["if-none-match"])
        for (const round of [1, 2, 3]) {
          yield* TestClock.adjust("59999 millis")
          assert.strictEqual(yield* discovery.metadata, first)
          assert.strictEqual(requests.length, round)
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(yield* discovery.metadata, first)
          assert.strictEqual(requests.length, round + 1)
          assert.deepStrictEqual(requests[round]?.headers, { accept: "application/json", "if-none-match": etag })
        }
      }))

    it.effect("[S1-08] a 304 with another lifetime has it apply from then on", () =>
      Effect.gen(function*() {
        const { discovery, provider, requests } = yield* discoveryOf(
          documentOf(metadataOf(), { etag, "cache-control": "max-age=60" })
        )
        yield* discovery.metadata
        provider.answer = statusOf(304, { "cache-control": "max-age=300" })
        yield* TestClock.adjust("1 minute")
        yield* discovery.metadata
        yield* TestClock.adjust("299 seconds")
        yield* discovery.metadata
        assert.strictEqual(requests.length, 2)
        yield* TestClock.adjust("1 second")
        yield* discovery.metadata
        assert.strictEqual(requests.length, 3)
        assert.strictEqual(requests[2]?.headers?.["if-none-match"], etag)
      }))

    const outages: Readonly<Record<string, Answer>> = {
      "no connection": down,
      "status 500": statusOf(500),
      HTML: documentOf("<html>"),
      "another issuer": documentOf(metadataOf({ issuer: "https://evil.example" })),
      "a jwks_uri that is refused": documentOf(metadataOf({ jwks_uri: "http://idp.example/keys" })),
      "no jwks_uri": documentOf(JSON.stringify({ issuer }))
    }
    for (const [name, outage] of Object.entries(outages)) {
      it.effect(`[S4-38] with ${name} past the lifetime the metadata stay, and are fetched every 30 seconds`, () =>
        Effect.gen(function*() {
          const { discovery, provider, requests } = yield* discoveryOf(documentOf(metadataOf(), { etag }))
          const first = yield* discovery.metadata
          yield* TestClock.adjust("1 hour")
          provider.answer = outage
          for (const asked of [2, 3, 4]) {
            assert.strictEqual(yield* discovery.metadata, first)
            yield* TestClock.adjust("29999 millis")
            assert.strictEqual(yield* discovery.metadata, first)
            assert.strictEqual(requests.length, asked)
            yield* TestClock.adjust("1 millis")
          }
          // The rejected response changed nothing: the validator is still that of the cached metadata.
          assert.strictEqual(requests[3]?.headers?.["if-none-match"], etag)
          provider.answer = documentOf(metadataOf({ jwks_uri: "https://idp.example/new" }))
          assert.strictEqual((yield* discovery.metadata).endpoint, "https://idp.example/new")
        }))
    }

    it.effect("a fetch that succeeds again ends that, however short the lifetime is", () =>
      Effect.gen(function*() {
        const ttl = Duration.seconds(10)
        const { discovery, provider, requests } = yield* discoveryOf(documentOf(metadataOf()), { ttl })
        for (
          const [answer, seconds] of [[documentOf(metadataOf()), 10], [down, 30], [
            documentOf(metadataOf()),
            10
          ]] as const
        ) {
          provider.answer = answer
          yield* discovery.metadata
          yield* TestClock.adjust(Duration.seconds(seconds))
        }
        yield* discovery.metadata
        assert.strictEqual(requests.length, 4)
      }))

    it.effect("[S4-38] after a request that hung, the next call gets the cached metadata", () =>
      Effect.gen(function*() {
        const { discovery, provider, requests } = yield* discoveryOf(documentOf(metadataOf()))
        const first = yield* discovery.metadata
        yield* TestClock.adjust("1 hour")
        provider.answer = hanging
        const fiber = yield* Effect.forkChild(discovery.metadata, { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* discovery.metadata, first)
        assert.strictEqual(requests.length, 2)
        discovery.expire()
        provider.answer = documentOf(metadataOf({ jwks_uri: "https://idp.example/new" }))
        assert.strictEqual((yield* discovery.metadata).endpoint, "https://idp.example/new")
      }))

    it.effect("`expire` makes the next fetches bypass all caches, until one succeeds", () =>
      Effect.gen(function*() {
        const { discovery, provider, requests } = yield* discoveryOf(revalidating(metadataOf(), etag))
        const first = yield* discovery.metadata
        discovery.expire()
        assert.strictEqual(requests.length, 1)
        provider.answer = down
        assert.strictEqual(yield* discovery.metadata, first)
        provider.answer = revalidating(metadataOf(), etag)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* discovery.metadata, first)
        const headers = { accept: "application/json", "if-none-match": etag, "cache-control": "no-cache" }
        assert.deepStrictEqual(requests.slice(1).map((request) => request.headers), [headers, headers])
        assert.strictEqual(yield* discovery.metadata, first)
        assert.strictEqual(requests.length, 3)
      }))

    it.effect("`expire` before anything is cached changes only the request", () =>
      Effect.gen(function*() {
        const { discovery, requests } = yield* discoveryOf(documentOf(metadataOf()))
        discovery.expire()
        yield* discovery.metadata
        yield* discovery.metadata
        assert.deepStrictEqual(requests.map((request) => request.headers), [
          { accept: "application/json", "cache-control": "no-cache" }
        ])
      }))
  })
})
