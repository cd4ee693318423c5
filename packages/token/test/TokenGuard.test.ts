import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { Context, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { ClientAuth, OAuthClient, TokenGuard, TokenSource } from "../src/index.ts"
import { makeGrants } from "../src/internal/guard/grants.ts"
import { guardOver, makeSource, origin, type Reply, scripted, statuses, tokensOf } from "./guardSupport.ts"

const plain: Reply = statuses()

describe("TokenGuard", () => {
  describe("attaching", () => {
    it.effect("[S2-01] [S2-03] obtains a valid token before every request, with one acquisition", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(plain)
        const guard = yield* guardOver(api, { source })
        assert.strictEqual(asked(), 0)
        yield* guard.get("/a")
        yield* guard.post(`${origin}/b`, { body: HttpBody.text("x") })
        yield* guard.execute(HttpClientRequest.put("c?d=e"))
        assert.deepStrictEqual(api.received.map(({ method, url }) => `${method} ${url}`), [
          "GET https://api.example/a",
          "POST https://api.example/b",
          "PUT https://api.example/c?d=e"
        ])
        assert.deepStrictEqual(tokensOf(api.received), ["token-1", "token-1", "token-1"])
        assert.strictEqual(asked(), 1)
      }))

    it.effect("[S2-09] concurrent requests without a token share one acquisition", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(plain)
        const guard = yield* guardOver(api, { source: Effect.delay(source, "1 second") })
        const fiber = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 100 }, () => guard.get("/")), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        assert.strictEqual(asked(), 1)
        assert.deepStrictEqual(new Set(tokensOf(api.received)), new Set(["token-1"]))
      }))

    it.effect("[R12] sends nothing to another origin, and gives the reason", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(plain)
        const guard = yield* guardOver(api, { source, origins: [`${origin}/v1`, "https://upload.example"] })
        for (
          const [url, reason] of [
            ["https://api.example/v1/../v2", "origin"],
            ["https://api.example/v10", "origin"],
            ["https://api.example/v1/..%2fv2", "origin"],
            ["https://api.example.evil/v1", "origin"],
            ["https://api.example:444/v1", "origin"],
            ["https://api.example@evil.example/v1", "credentials"],
            ["http://api.example/v1", "scheme"],
            ["file:///etc/passwd", "scheme"],
            ["https://", "url"]
          ] as const
        ) {
          const error = yield* Effect.flip(guard.get(url))
          const message = `The guard did not send the request because of its ${reason}`
          const expected = {
            _tag: "NetworkError",
            code: "EGRESS_REFUSED",
            message,
            details: { reason, hop: 0 }
          } as const
          assert.deepInclude(error, expected, url)
        }
        assert.deepStrictEqual(api.received, [])
        assert.strictEqual(asked(), 0)
        yield* guard.get("https://upload.example/v2/x")
        yield* guard.get("//evil.example/x")
        assert.deepStrictEqual(api.received.map(({ url }) => url), [
          "https://upload.example/v2/x",
          "https://api.example/v1//evil.example/x"
        ])
      }))

    it.effect("[R12] checks the URL after the application's client has changed it", () =>
      Effect.gen(function*() {
        const { source } = makeSource()
        const api = scripted(plain)
        const mapped = HttpClient.mapRequest(api.client, HttpClientRequest.prependUrl("https://proxy.example/to"))
        const guard = yield* guardOver({ ...api, client: mapped }, { source })
        const error = yield* Effect.flip(guard.get("/x"))
        assert.deepInclude(error, { code: "EGRESS_REFUSED" })
        assert.deepStrictEqual(api.received, [])
      }))

    it.effect("replaces an Authorization header of the caller", () =>
      Effect.gen(function*() {
        const api = scripted(plain)
        const guard = yield* guardOver(api, { source: makeSource().source })
        yield* guard.get("/", { headers: { authorization: "Basic b3duOm93bg==" } })
        assert.deepStrictEqual(tokensOf(api.received), ["token-1"])
      }))

    it.effect("works with the combinators of HttpClient", () =>
      Effect.gen(function*() {
        const api = scripted(statuses(404))
        const guard = yield* guardOver(api, { source: makeSource().source })
        const client = guard.pipe(
          HttpClient.mapRequest(HttpClientRequest.prependUrl("/items")),
          HttpClient.filterStatusOk
        )
        const error = yield* Effect.flip(client.get("1"))
        assert.strictEqual(error._tag, "HttpClientError")
        assert.strictEqual(api.received[0]?.url, "https://api.example/items/1")
      }))
  })

  describe("a 401", () => {
    it.effect("[S2-18] [K-10] replaces the token and sends the request again, once", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(statuses(401, 200))
        const guard = yield* guardOver(api, { source })
        const response = yield* guard.post("/", { body: HttpBody.text("body") })
        assert.strictEqual(response.status, 200)
        assert.deepStrictEqual(tokensOf(api.received), ["token-1", "token-2"])
        assert.strictEqual(asked(), 2)
      }))

    it.effect("[S2-18] [R13] is returned if the new token is rejected too; the next replacement is at least 30 seconds later", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(() => Effect.sync(() => new Response(null, { status: 401 })))
        const guard = yield* guardOver(api, { source })
        const statusOf = Effect.map(guard.get("/"), ({ status }) => status)
        assert.strictEqual(yield* statusOf, 401)
        assert.deepStrictEqual([asked(), api.received.length], [2, 2])
        for (let i = 0; i < 20; i++) assert.strictEqual(yield* statusOf, 401)
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual(yield* statusOf, 401)
        assert.deepStrictEqual([asked(), api.received.length], [2, 23])
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* statusOf, 401)
        assert.deepStrictEqual([asked(), api.received.length], [3, 25])
      }))

    it.effect("[S2-18] [R13] of many concurrent requests with one old token causes one acquisition, and all are sent again with the new one", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted((request) =>
          Effect.delay(
            Effect.sync(() =>
              new Response(null, { status: request.headers["authorization"] === "Bearer token-1" ? 401 : 200 })
            ),
            "100 millis"
          )
        )
        const guard = yield* guardOver(api, { source: Effect.delay(source, "1 second") })
        const fiber = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 50 }, () => guard.get("/")), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("10 seconds")
        const responses = yield* Fiber.join(fiber)
        assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
        assert.strictEqual(asked(), 2)
        assert.strictEqual(api.received.length, 100)
      }))

    it.effect("[S2-18] [R13] of a request with a stream body is returned: it cannot be sent again, and the next request has a new token", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted(statuses(401, 200, 401, 401))
        const guard = yield* guardOver(api, { source })
        const upload = Effect.suspend(() => guard.post("/", { body: HttpBody.raw(new ReadableStream()) }))
        assert.strictEqual((yield* upload).status, 401)
        assert.deepStrictEqual([asked(), api.received.length], [2, 1])
        assert.strictEqual((yield* upload).status, 200)
        assert.deepStrictEqual(tokensOf(api.received), ["token-1", "token-2"])
        yield* Effect.repeat(upload, { times: 1 })
        assert.strictEqual(asked(), 2)
      }))

    it.effect("[K-10] [K-28 G5] fails with the acquisition's error if no new token can be acquired, and keeps the token for other calls", () =>
      Effect.gen(function*() {
        const source = makeSource()
        const healthy = "https://healthy.example"
        const api = scripted(({ url }, number) =>
          Effect.sync(() => new Response(null, { status: number > 1 && url.startsWith(origin) ? 401 : 200 }))
        )
        const guard = yield* guardOver(api, { source: source.source, origins: [origin, healthy] })
        yield* guard.get("/")
        source.isDown = true
        assert.deepInclude(yield* Effect.flip(guard.get("/")), { _tag: "NetworkError", code: "NETWORK_ERROR" })
        assert.strictEqual(api.received.length, 2)
        for (let i = 0; i < 10; i++) assert.strictEqual((yield* guard.get(`${healthy}/`)).status, 200)
        // No more than one replacement in 30 seconds, so the caller gets the 401.
        assert.strictEqual((yield* guard.get("/")).status, 401)
        assert.deepStrictEqual(new Set(tokensOf(api.received)), new Set(["token-1"]))
        yield* TestClock.adjust("10 seconds")
        source.isDown = false
        yield* guard.get(`${healthy}/`)
        yield* TestClock.adjust("1 millis")
        yield* guard.get(`${healthy}/`)
        assert.notStrictEqual(tokensOf(api.received).at(-1), "token-1")
      }))

    it.effect("[K-10] its body is released if no new token can be acquired", () =>
      Effect.gen(function*() {
        let cancelled = 0
        const source = makeSource()
        const api = scripted(() =>
          Effect.sync(() => {
            source.isDown = true
            return new Response(new ReadableStream({ cancel: () => void cancelled++ }), { status: 401 })
          })
        )
        const guard = yield* guardOver(api, { source: source.source })
        yield* Effect.flip(guard.get("/"))
        yield* Effect.yieldNow
        assert.strictEqual(cancelled, 1)
      }))

    it.effect("interrupting a caller while a token is replaced does not affect other callers", () =>
      Effect.gen(function*() {
        const { asked, source } = makeSource()
        const api = scripted((request) =>
          Effect.sync(() =>
            new Response(null, { status: request.headers["authorization"] === "Bearer token-1" ? 401 : 200 })
          )
        )
        const guard = yield* guardOver(api, { source: Effect.delay(source, "1 second") })
        const first = yield* Effect.forkChild(guard.get("/first"))
        const second = yield* Effect.forkChild(guard.get("/second"))
        yield* TestClock.adjust("1500 millis")
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(second)).status, 200)
        assert.strictEqual(asked(), 2)
      }))
  })

  describe("scoped", () => {
    it.effect("keeps tokens separate by scope and audience, and shares them between equal grants", () =>
      Effect.gen(function*() {
        const sources = new Map<string, ReturnType<typeof makeSource>>()
        const grants: Array<TokenSource.Grant> = []
        const api = scripted(plain)
        const guard = yield* guardOver(api, {
          source: (grant) => {
            const { audience, scope } = grant
            grants.push(grant)
            const made = makeSource(`${scope ?? "all"}@${audience ?? "any"}`.replaceAll(" ", "+"))
            sources.set(`${scope} ${audience}`, made)
            return made.source
          }
        })
        const read = yield* guard.scoped({ scope: "read" })
        const both = yield* guard.scoped({ scope: "write read" })
        const same = yield* guard.scoped({ scope: "read  write read" })
        const other = yield* guard.scoped({ scope: "read", audience: "https://other.example" })
        for (const client of [guard, read, both, same, other]) yield* client.get("/")
        assert.deepStrictEqual(tokensOf(api.received), [
          "all@any-1",
          "read@any-1",
          "read+write@any-1",
          "read+write@any-1",
          "read@https://other.example-1"
        ])
        assert.strictEqual(sources.size, 4)
        assert.deepStrictEqual<unknown>(grants, [
          {},
          { scope: "read" },
          { scope: "read write" },
          { scope: "read", audience: "https://other.example" }
        ])
        yield* read.provider.invalidate(yield* read.provider.get)
        yield* Effect.all([read.get("/"), both.get("/")])
        assert.deepStrictEqual(tokensOf(api.received.slice(5)), ["read@any-2", "read+write@any-1"])
      }))

    it.effect("a grant with an audience alone has no scope, and one with neither has the guard's own tokens", () =>
      Effect.gen(function*() {
        const grants: Array<TokenSource.Grant> = []
        const guard = yield* guardOver(scripted(plain), {
          source: (grant) => {
            grants.push(grant)
            return makeSource().source
          }
        })
        assert.strictEqual(yield* guard.scoped({}), guard)
        assert.strictEqual(yield* guard.scoped({ scope: " " }), guard)
        yield* guard.scoped({ audience: "https://other.example" })
        yield* guard.scoped({ scope: " ", audience: "https://other.example" })
        assert.deepStrictEqual<unknown>(grants, [{}, { audience: "https://other.example" }])
      }))

    it.effect("[S2-18] tokens of a grant are refreshed, replaced after a 401, and have events", () =>
      Effect.gen(function*() {
        const api = scripted(statuses(401, 200))
        const sources = [makeSource("all"), makeSource("read")] as const
        const guard = yield* guardOver(api, { source: ({ scope }) => sources[scope === undefined ? 0 : 1].source })
        const read = yield* guard.scoped({ scope: "read" })
        const events = yield* Effect.forkChild(Stream.runCollect(Stream.take(read.provider.events, 4)), {
          startImmediately: true
        })
        yield* read.get("/")
        assert.deepStrictEqual(tokensOf(api.received), ["read-1", "read-2"])
        assert.strictEqual(Redacted.value((yield* read.provider.refresh).value), "read-3")
        yield* read.get("/")
        assert.deepStrictEqual(tokensOf(api.received.slice(2)), ["read-3"])
        assert.strictEqual(sources[0].asked(), 0)
        assert.deepStrictEqual((yield* Fiber.join(events)).map(({ _tag }) => _tag), [
          "RefreshStarted",
          "Refreshed",
          "RefreshCompleted",
          "RefreshStarted"
        ])
      }))

    it.effect("fails if the source is not a function, or throws", () =>
      Effect.gen(function*() {
        const api = scripted(plain)
        const fixed = yield* guardOver(api, { source: makeSource().source })
        const refusal = {
          code: "INVALID_CONFIG",
          message: "This source cannot narrow scopes; pass `(grant) => source`",
          details: { path: "source", expected: "a function of the scope and audience" }
        } as const
        assert.deepInclude(yield* Effect.flip(fixed.scoped({ scope: "read" })), refusal)
        // Sources that are an object, and an effect that is a function, are no functions of the grant.
        class Answer extends Context.Service<Answer, TokenSource.TokenResponse>()("test/Answer") {}
        const answering = scripted(plain)
        const given = yield* guardOver(answering, { source: TokenSource.fromEffect(makeSource().source) })
        const answered = yield* TokenGuard.make({ name: "api", origins: [origin], source: Answer }).pipe(
          Effect.provideService(HttpClient.HttpClient, answering.client),
          Effect.provideService(Answer, { accessToken: Redacted.make("token-of-the-service") })
        )
        for (const guard of [given, answered]) {
          assert.deepInclude(yield* Effect.flip(guard.scoped({ scope: "read" })), refusal)
          yield* guard.get("/")
        }
        assert.deepStrictEqual(tokensOf(answering.received), ["token-1", "token-of-the-service"])
        const picky = yield* guardOver(api, {
          source: ({ scope = "read" }) =>
            OAuthClient.clientCredentials({
              issuer: "https://idp.example",
              clientId: "app",
              auth: ClientAuth.secretBasic(Redacted.make("secret")),
              scope
            })
        })
        const error = yield* Effect.flip(picky.scoped({ scope: "x".repeat(5000) }))
        assert.deepInclude(error.details, { path: "scope" })
      }))

    it.effect("[K-28 G7] the grant that was not used for the longest time leaves for a new one, and works again when it is used", () =>
      Effect.gen(function*() {
        const made: Array<string> = []
        const api = scripted(plain)
        const guard = yield* guardOver(api, {
          source: ({ scope = "all" }) => {
            made.push(scope)
            return makeSource(scope).source
          }
        })
        yield* guard.get("/")
        const first = yield* guard.scoped({ scope: "s0" })
        const second = yield* guard.scoped({ scope: "s1" })
        yield* Effect.all([first.get("/"), second.get("/")])
        for (let i = 2; i < 100; i++) yield* (yield* guard.scoped({ scope: `s${i}` })).get("/")
        // Now `s1` is the one that was not used for the longest time.
        yield* first.get("/")
        for (let i = 100; i < 150; i++) yield* (yield* guard.scoped({ scope: `s${i}` })).get("/")
        yield* first.get("/")
        yield* guard.get("/")
        assert.deepStrictEqual(tokensOf(api.received.slice(-2)), ["s0-1", "all-1"])
        assert.strictEqual(made.length, 151)
        assert.isFalse(yield* second.provider.invalidate(yield* first.provider.get))
        yield* second.get("/")
        assert.deepStrictEqual(tokensOf(api.received.slice(-1)), ["s1-1"])
        assert.deepStrictEqual([made.length, made.at(-1)], [152, "s1"])
        assert.strictEqual((yield* second.provider.status).counts.acquisitions, 1)
      }))

    it.effect("[K-28 G7] of grants that were never used, the oldest leaves", () =>
      Effect.gen(function*() {
        const made: Array<string | undefined> = []
        const guard = yield* guardOver(scripted(plain), {
          source: ({ scope }) => {
            made.push(scope)
            return makeSource(scope).source
          }
        })
        const clients = yield* Effect.forEach(Array.from({ length: 101 }), (_, i) => guard.scoped({ scope: `s${i}` }))
        assert.strictEqual(made.length, 102)
        yield* Effect.forEach(clients.slice(1), (client) => client.get("/"))
        assert.strictEqual(made.length, 102)
        yield* clients[0]?.get("/") ?? Effect.die("no grant")
        assert.deepStrictEqual([made.length, made.at(-1)], [103, "s0"])
      }))

    it.effect("[K-28 G7] what a grant acquired is released if its provider cannot be made", () =>
      Effect.gen(function*() {
        const released: Array<string | undefined> = []
        const held = yield* makeGrants(({ scope }) =>
          Effect.andThen(
            Effect.addFinalizer(() => Effect.sync(() => released.push(scope))),
            Effect.fail(new KeelsonError.ConfigurationError({ code: "INVALID_CONFIG" }))
          )
        )
        assert.strictEqual((yield* Effect.flip(held({ scope: "read" }))).code, "INVALID_CONFIG")
        assert.deepStrictEqual(released, ["read"])
      }))

    it.effect("[K-28 G7] a grant that acquires a token is not closed; with 100 of them a further one fails", () =>
      Effect.gen(function*() {
        const api = scripted(plain)
        const source = makeSource()
        let made = 0
        const guard = yield* guardOver(api, {
          source: () => {
            made++
            return Effect.delay(source.source, "1 second")
          }
        })
        const calls = Array.from(
          { length: 100 },
          (_, i) => Effect.flatMap(guard.scoped({ scope: `s${i}` }), (client) => client.get("/"))
        )
        const running = yield* Effect.forkChild(Effect.all(calls, { concurrency: "unbounded" }))
        yield* TestClock.adjust("500 millis")
        assert.deepInclude(yield* Effect.flip(guard.scoped({ scope: "one-more" })), {
          code: "INVALID_CONFIG",
          message: "A guard acquires tokens for at most 100 scopes and audiences at once",
          details: { path: "scope", expected: "at most 100 of them at once" }
        })
        for (let i = 0; i < 100; i++) yield* guard.scoped({ scope: `s${i}` })
        assert.strictEqual(made, 101)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual((yield* Fiber.join(running)).length, 100)
        yield* guard.scoped({ scope: "one-more" })
      }))

    it.effect("[K-28 G7] [R28] a grant does not come back after its guard was closed", () =>
      Effect.gen(function*() {
        const source = makeSource()
        const writer = yield* Effect.scoped(Effect.gen(function*() {
          const guard = yield* guardOver(scripted(plain), { source: () => source.source })
          const writer = yield* guard.scoped({ scope: "write" })
          yield* writer.get("/")
          for (let i = 0; i < 100; i++) yield* guard.scoped({ scope: `s${i}` })
          return writer
        }))
        assert.deepInclude(yield* Effect.flip(writer.get("/")), { code: "SHUTTING_DOWN" })
        assert.strictEqual(source.asked(), 1)
      }))

    it.effect("[K-26] several guards in one application have separate tokens, and none replaces the HttpClient", () => {
      class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
      class Orders extends TokenGuard.Service<Orders>()("app/Orders") {}
      const guards = Layer.merge(
        Billing.layer({ origins: ["https://billing.example"], source: makeSource("billing").source }),
        Orders.layer(Effect.succeed({ origins: ["https://orders.example"], source: makeSource("orders").source }))
      )
      const api = scripted(plain)
      const client = Layer.succeed(HttpClient.HttpClient, api.client)
      return Effect.gen(function*() {
        const billing = yield* Billing
        yield* billing.get("/invoices")
        yield* (yield* Orders).get("/orders")
        assert.deepStrictEqual(tokensOf(api.received), ["billing-1", "orders-1"])
        assert.strictEqual(billing.server, "app/Billing")
        yield* HttpClient.get("https://billing.example/plain")
        assert.strictEqual(api.received.at(-1)?.authorization, undefined)
      }).pipe(Effect.provide(Layer.provideMerge(guards, client)))
    })
  })

  describe("options", () => {
    it.effect("[R12] origins are required, https, and consist of origin and path only", () =>
      Effect.gen(function*() {
        const api = scripted(plain)
        const refusal = (options: Partial<TokenGuard.Options>) =>
          Effect.flip(guardOver(api, { source: makeSource().source, ...options }))
        for (
          const origins of [
            [],
            [""],
            ["http://api.example"],
            ["https://api.example", "https://user@api.example"],
            ["https://api.example?x"],
            ["http://localhost:1"]
          ]
        ) {
          const error = yield* refusal({ origins })
          assert.strictEqual(error.code, "INVALID_CONFIG", origins.join())
          assert.match(JSON.stringify(error), /"path":"origins/, origins.join())
          assert.notInclude(JSON.stringify(error), "user@")
        }
        yield* guardOver(api, { source: makeSource().source, origins: ["http://localhost:1"], allowLocalhost: true })
        assert.deepInclude((yield* refusal({ maxRedirects: 11 })).details, { path: "maxRedirects" })
      }))
  })
})
