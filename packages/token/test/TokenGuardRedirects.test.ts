import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type Answer, httpOrigin } from "@keelson/testing/httpOrigin"
import { quiet } from "@keelson/testing/observe"
import { Effect, type Layer } from "effect"
import { FetchHttpClient, HttpBody, type HttpClient, HttpClientRequest } from "effect/http"
import { TokenGuard } from "../src/index.ts"
import { guardOver, makeSource, origin, type Reply, scripted, tokensOf } from "./guardSupport.ts"

const to = (location: string, status = 302): Answer => ({ status, headers: { location } })

/** Responds by URL, with 200 for any other. */
const byUrl = (table: Readonly<Record<string, readonly [status: number, location: string]>>): Reply => (request) =>
  Effect.sync(() => {
    const [status, location] = table[request.url] ?? [200, undefined]
    return new Response(null, { status, headers: location === undefined ? {} : { location } })
  })

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
]

const credentials = {
  cookie: "session=1",
  "proxy-authorization": "Basic eDp5",
  "x-api-key": "k",
  dpop: "proof",
  "x-amz-security-token": "t",
  "x-csrf-token": "c",
  "x-tenant": "one",
  signature: "sig1=:YQ==:",
  "x-request-id": "7",
  accept: "text/csv",
  "if-none-match": "\"1\""
}
const portable = { "x-request-id": "7", accept: "text/csv", "if-none-match": "\"1\"" }

describe("TokenGuard redirects", () => {
  for (const [name, layer] of clients) {
    it.live(`[R12] [K-28 G9] over ${name}, a redirect carries the token to a guarded origin and to no other, and few headers to another origin`, () =>
      Effect.gen(function*() {
        const foreign = yield* httpOrigin({ status: 200, body: "from elsewhere" })
        const second = yield* httpOrigin(to(`${foreign.url}file?signature=s`))
        const first = yield* httpOrigin(to("/next", 307), to(`${second.url}there`, 308))
        const guard = yield* TokenGuard.make({
          name: "api",
          origins: [first.url, second.url],
          allowLocalhost: true,
          source: makeSource().source
        })
        const response = yield* guard.get("/start", { headers: credentials })
        assert.strictEqual(yield* response.text, "from elsewhere")
        const tokens = [...first.received, ...second.received, ...foreign.received].map((one) =>
          one.headers.authorization
        )
        assert.deepStrictEqual(tokens, ["Bearer token-1", "Bearer token-1", "Bearer token-1", undefined])
        assert.deepInclude(first.received[1]?.headers, credentials)
        for (const { received } of [second, foreign]) {
          assert.deepInclude(received[0]?.headers, portable)
          for (const header of Object.keys(credentials).filter((header) => !Object.hasOwn(portable, header))) {
            assert.notProperty(received[0]?.headers, header)
          }
          assert.notStrictEqual(received[0]?.headers.host, first.url.slice("http://".length, -1))
        }
      }).pipe(Effect.provide(layer), quiet))
  }

  it.live("[R12] none is followed with maxRedirects 0, even if the fetch would follow it", () =>
    Effect.gen(function*() {
      const foreign = yield* httpOrigin()
      const first = yield* httpOrigin(to(foreign.url))
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [first.url],
        allowLocalhost: true,
        maxRedirects: 0,
        source: makeSource().source
      })
      assert.strictEqual((yield* guard.get("/")).status, 302)
      assert.deepStrictEqual(foreign.received, [])
    }).pipe(Effect.provide(FetchHttpClient.layer), quiet))

  it.effect("[R12] after a 401 to a redirected request only that request is sent again", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) =>
        Effect.sync(() =>
          number === 1
            ? new Response(null, { status: 303, headers: { location: "/result" } })
            : new Response(null, { status: number === 2 ? 401 : 200 })
        )
      )
      const guard = yield* guardOver(api, { source: makeSource().source })
      const response = yield* guard.post("/order", { body: HttpBody.text("one") })
      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual(api.received.map(({ method, url }) => `${method} ${url}`), [
        "POST https://api.example/order",
        "GET https://api.example/result",
        "GET https://api.example/result"
      ])
      assert.deepStrictEqual(tokensOf(api.received), ["token-1", "token-1", "token-2"])
    }))

  it.effect("[K-28 G9] a redirect out of the scope of the same origin keeps few headers too", () =>
    Effect.gen(function*() {
      const api = scripted(byUrl({ [`${origin}/v1/up`]: [302, "/v2/x"], [`${origin}/v1/same`]: [302, "/v1/x"] }))
      const guard = yield* guardOver(api, { source: makeSource().source, origins: [`${origin}/v1`] })
      const headers = { ...credentials, host: "internal.example" }
      yield* guard.get("up", { headers })
      yield* guard.get("same", { headers })
      // The client itself adds the headers of the trace to each request.
      const sent = (index: number) => {
        const { b3: _, traceparent: __, ...others } = { ...api.received[index]?.headers }
        return others
      }
      assert.deepStrictEqual(sent(1), portable)
      assert.deepStrictEqual(sent(3), { ...headers, authorization: "Bearer token-1" })
    }))

  it.effect("[K-28 J8] [S2-18] after a 401 was replayed, a 401 of the redirect's target is returned", () =>
    Effect.gen(function*() {
      const source = makeSource()
      const api = scripted((_, number) =>
        Effect.sync(() =>
          number === 2
            ? new Response(null, { status: 307, headers: { location: "/b" } })
            : new Response(null, { status: 401 })
        )
      )
      const guard = yield* guardOver(api, { source: source.source, policy: { refusalCooldown: "0 millis" } })
      assert.strictEqual((yield* guard.get("/a")).status, 401)
      assert.deepStrictEqual(api.received.map(({ url }) => url), [`${origin}/a`, `${origin}/a`, `${origin}/b`])
      assert.deepStrictEqual([tokensOf(api.received), source.asked()], [["token-1", "token-2", "token-2"], 2])
    }))

  it.effect("[K-28 J8] [S2-18] a 401 to a replayed request is returned, also if a new token could be had", () =>
    Effect.gen(function*() {
      const source = makeSource()
      const api = scripted(() => Effect.sync(() => new Response(null, { status: 401 })))
      const guard = yield* guardOver(api, { source: source.source, policy: { refusalCooldown: "0 millis" } })
      for (let call = 1; call < 4; call++) {
        assert.strictEqual((yield* guard.get("/a")).status, 401)
        assert.deepStrictEqual([api.received.length, source.asked()], [2 * call, call + 1])
      }
    }))

  it.effect("[K-28 D6] QUERY keeps its method and body, and becomes a GET after 303", () =>
    Effect.gen(function*() {
      const api = scripted(byUrl({
        [`${origin}/v1/moved`]: [301, "/v1/x"],
        [`${origin}/v1/found`]: [302, "/v1/x"],
        [`${origin}/v1/same`]: [307, "/v1/x"],
        [`${origin}/v1/other`]: [303, "/v1/x"],
        [`${origin}/v1/result`]: [303, "https://elsewhere.example/x"],
        [`${origin}/v1/away`]: [307, "https://elsewhere.example/x"]
      }))
      const guard = yield* guardOver(api, { source: makeSource().source, origins: [`${origin}/v1`] })
      const query = HttpClientRequest.make("QUERY")
      const withBody = (path: string) => HttpClientRequest.setBody(query(path), HttpBody.text("q", "text/plain"))
      for (const path of ["moved", "found", "same", "other", "result"]) yield* guard.execute(withBody(path))
      yield* guard.execute(query("away"))
      assert.deepStrictEqual(api.received.filter((_, index) => index % 2 === 1).map(({ method }) => method), [
        "QUERY",
        "QUERY",
        "QUERY",
        "GET",
        "GET",
        "QUERY"
      ])
      // A body that is meant for the API is not sent elsewhere, whatever the method.
      for (
        const request of [
          withBody("away"),
          HttpClientRequest.setBody(HttpClientRequest.get("away"), HttpBody.text("q"))
        ]
      ) {
        assert.deepInclude(yield* Effect.flip(guard.execute(request)), {
          code: "EGRESS_REFUSED",
          details: { reason: "redirect", hop: 1 }
        })
      }
    }))

  it.effect("the method changes as RFC 9110 requires", () =>
    Effect.gen(function*() {
      for (
        const [status, method, expected] of [
          [301, "POST", "GET"],
          [302, "POST", "GET"],
          [303, "PUT", "GET"],
          [303, "HEAD", "HEAD"],
          [301, "PUT", "PUT"],
          [307, "POST", "POST"],
          [308, "PATCH", "PATCH"]
        ] as const
      ) {
        const bodies: Array<string> = []
        const api = scripted((request, number) =>
          Effect.sync(() => {
            bodies.push(request.body._tag)
            return number === 1
              ? new Response(null, { status, headers: { location: "/b" } })
              : new Response(null, { status: 200 })
          })
        )
        const guard = yield* guardOver(api, { source: makeSource().source })
        const body = method === "HEAD" ? HttpBody.empty : HttpBody.text("x", "text/plain")
        yield* guard.execute(HttpClientRequest.setBody(HttpClientRequest.make(method)("/a"), body))
        assert.strictEqual(api.received[1]?.method, expected, `${status} ${method}`)
        assert.strictEqual(bodies[1], expected === "GET" || expected === "HEAD" ? "Empty" : bodies[0])
      }
    }))

  it.effect("a request that becomes a GET loses the headers of its body; one that is a GET already keeps all", () =>
    Effect.gen(function*() {
      const headers = { "content-encoding": "gzip", "content-language": "de", "content-location": "/x", "x-own": "1" }
      for (const method of ["POST", "GET", "HEAD"] as const) {
        const api = scripted(byUrl({ [`${origin}/a`]: [303, "/b"] }))
        const guard = yield* guardOver(api, { source: makeSource().source })
        yield* guard.execute(HttpClientRequest.make(method)("/a", { headers }))
        const kept = Object.keys(headers).filter((name) => Object.hasOwn(api.received[1]?.headers ?? {}, name))
        assert.deepStrictEqual(kept, method === "POST" ? ["x-own"] : Object.keys(headers), method)
      }
    }))

  it.effect("a response with a redirect's status and no Location is returned", () =>
    Effect.gen(function*() {
      const api = scripted(() => Effect.sync(() => new Response(null, { status: 302 })))
      const guard = yield* guardOver(api, { source: makeSource().source })
      assert.strictEqual((yield* guard.get("/")).status, 302)
      assert.lengthOf(api.received, 1)
    }))

  it.effect("[R12] one that must not be followed fails with the reason", () =>
    Effect.gen(function*() {
      const api = scripted(byUrl({
        [`${origin}/http`]: [302, "http://api.example/x"],
        [`${origin}/user`]: [302, "https://me@api.example/x"],
        [`${origin}/machine`]: [302, "https://127.0.0.1/x"],
        [`${origin}/file`]: [302, "file:///etc/passwd"],
        [`${origin}/none`]: [302, "https://"],
        [`${origin}/loop`]: [302, "/loop"]
      }))
      const guard = yield* guardOver(api, { source: makeSource().source, allowLocalhost: true })
      for (
        const [path, reason, hop] of [
          ["http", "scheme", 1],
          ["user", "credentials", 1],
          ["machine", "address", 1],
          ["file", "scheme", 1],
          ["none", "redirect", 1],
          ["loop", "redirect", 4]
        ] as const
      ) {
        const error = yield* Effect.flip(guard.get(path))
        assert.deepInclude(error, { code: "EGRESS_REFUSED", details: { reason, hop } }, path)
      }
    }))

  it.effect("[R12] only GET and HEAD are redirected to another origin, and no stream is sent twice", () =>
    Effect.gen(function*() {
      const api = scripted(byUrl({
        [`${origin}/v1/away`]: [307, "https://elsewhere.example/x"],
        [`${origin}/v1/up`]: [307, "/v2/x"],
        [`${origin}/v1/same`]: [307, "/v1/x"]
      }))
      const guard = yield* guardOver(api, { source: makeSource().source, origins: [`${origin}/v1`] })
      const refusedOf = (path: string, body: HttpBody.HttpBody) => Effect.flip(guard.post(path, { body }))
      const refused = { code: "EGRESS_REFUSED" as const, details: { reason: "redirect", hop: 1 } }
      assert.deepInclude(yield* refusedOf("away", HttpBody.text("x")), refused)
      assert.deepInclude(yield* refusedOf("up", HttpBody.text("x")), refused)
      assert.deepInclude(yield* refusedOf("same", HttpBody.raw(new ReadableStream())), refused)
      assert.strictEqual(api.received.length, 3)
      yield* guard.get("away")
      yield* guard.get("up")
      assert.deepStrictEqual(api.received.slice(3).map(({ authorization, url }) => [url, authorization]), [
        [`${origin}/v1/away`, "Bearer token-1"],
        ["https://elsewhere.example/x", undefined],
        [`${origin}/v1/up`, "Bearer token-1"],
        [`${origin}/v2/x`, undefined]
      ])
    }))
})
