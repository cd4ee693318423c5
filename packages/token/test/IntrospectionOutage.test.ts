import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { keyOrigin, sending } from "@keelson/testing/keyOrigin"
import { quiet } from "@keelson/testing/observe"
import { issuer, reasonOf } from "@keelson/testing/tokens"
import { Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import type { Introspection } from "../src/index.ts"
import {
  active,
  answering,
  type Endpoint,
  endpoint,
  introspected,
  json,
  makeEndpoint,
  opaque,
  type Respond
} from "./introspectionSupport.ts"

const start = TestClock.adjust("20000 days")

const refusedConnection: Respond = () =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({
        request: HttpClientRequest.post(endpoint),
        cause: new Error("refused")
      })
    })
  )
const status = (code: number, headers: Readonly<Record<string, string>> = {}, body = ""): Respond => () =>
  Effect.succeed(new Response(code === 204 ? null : body, { status: code, headers }))
const html: Respond = () =>
  Effect.succeed(new Response("<html>down for maintenance</html>", { headers: { "content-type": "text/html" } }))
const hangs: Respond = () => Effect.never

const alone: Partial<Introspection.Options> = {
  resilience: { retry: { maxAttempts: 1 }, breaker: { enabled: false }, deadline: "1 hour" }
}

const failureOf = (respond: Respond, more = alone) =>
  Effect.gen(function*() {
    yield* start
    const server = makeEndpoint(respond)
    const tokens = yield* introspected(server, more)
    const error = yield* Effect.flip(tokens.validate(opaque("a")))
    return { error, server, tokens }
  })

describe("Introspection while the authorization server is down", () => {
  const outages: ReadonlyArray<readonly [string, Respond, Readonly<Record<string, unknown>>]> = [
    ["refuses connections", refusedConnection, { problem: "network" }],
    ["responds 500", status(500), { problem: "status" }],
    ["responds 502 with HTML", status(502, { "content-type": "text/html" }, "<html>"), { problem: "status" }],
    ["responds 429", status(429), { problem: "status" }],
    ["responds with a page", html, { problem: "answer", detail: "contentType" }],
    ["responds 204", status(204), { problem: "answer", detail: "status" }],
    ["responds 404", status(404), { problem: "endpoint" }],
    ["responds 401", status(401), { problem: "refused" }],
    ["responds 403", status(403), { problem: "refused" }],
    ["responds 400", status(400, {}, "{\"error\":\"invalid_request\"}"), { problem: "refused" }],
    ["redirects", status(307, { location: "https://elsewhere.example" }), { problem: "endpoint" }]
  ]
  for (const [name, respond, expected] of outages) {
    it.effect(`[K-23] [R9] a server that ${name} is a 503 and never a 401`, () =>
      Effect.gen(function*() {
        const { error, server } = yield* failureOf(respond)
        const reason: unknown = { _tag: "IntrospectionUnavailable", ...expected, retryAfter: Duration.zero }
        assert.deepStrictEqual<unknown>(error.reason, reason)
        assert.deepStrictEqual([error.status, error.code, error.isRejection], [503, "INTROSPECTION_UNAVAILABLE", false])
        assert.strictEqual(server.asked.length, 1)
      }).pipe(quiet))
  }

  it.effect("[K-23] [R9] a server that hangs is a 503 after the time limit", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(hangs)
      const tokens = yield* introspected(server, alone)
      const failing = yield* Effect.forkChild(Effect.flip(tokens.validate(opaque("a"))), { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(failing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include((yield* Fiber.join(failing)).reason, { problem: "timeout" })
    }))

  it.effect("[K-23] [R9] passes Retry-After on, in whole seconds and at most an hour", () =>
    Effect.gen(function*() {
      for (const [header, seconds] of [["7", 7], ["86400", 3600], ["nonsense", 0]] as const) {
        const { error } = yield* failureOf(status(503, { "retry-after": header }))
        assert.strictEqual(Duration.toSeconds(error.retryAfter), seconds)
      }
    }))

  it.effect("[K-23] [R9] an outage is never cached: the next call asks again, and one token has one answer", () =>
    Effect.gen(function*() {
      const { server, tokens } = yield* failureOf(status(503))
      server.respond = answering()
      assert.strictEqual((yield* tokens.validate(opaque("a"))).claims.sub, "ada")
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("[K-23] [R9] cached tokens stay valid during an outage until their answer is a minute old", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(answering())
      const tokens = yield* introspected(server, alone)
      const validate = tokens.validate(opaque("a"))
      yield* validate
      server.respond = status(503, { "retry-after": "3" })
      yield* TestClock.adjust("59999 millis")
      yield* validate
      yield* TestClock.adjust("1 millis")
      assert.include(yield* reasonOf(validate), { problem: "status" })
    }))

  it.effect("[K-23] a failed connection is tried again, with newly prepared authentication", () =>
    Effect.gen(function*() {
      yield* start
      const server: Endpoint = makeEndpoint((asked, number) =>
        number === 1 ? refusedConnection(asked, number) : answering()(asked, number)
      )
      const tokens = yield* introspected(server)
      const validating = yield* Effect.forkChild(tokens.validate(opaque("a")), { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* Effect.raceFirst(
        Fiber.join(validating),
        Effect.forever(Effect.andThen(TestClock.adjust("100 millis"), Effect.promise(() => new Promise(setImmediate))))
      )
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("[K-23] [R9] the circuit opens after 5 failures: no more requests, and the time until it may close again", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(status(500))
      const tokens = yield* introspected(server, {
        resilience: { retry: { maxAttempts: 1 }, breaker: { openDuration: "5 seconds" } }
      })
      for (let number = 0; number < 5; number++) yield* reasonOf(tokens.validate(opaque(`t${number}`)))
      const { error } = { error: yield* Effect.flip(tokens.validate(opaque("next"))) }
      assert.include(error.reason, { problem: "circuit" })
      assert.strictEqual(Duration.toSeconds(error.retryAfter), 5)
      assert.strictEqual(server.asked.length, 5)
      server.respond = answering()
      yield* TestClock.adjust("5 seconds")
      yield* tokens.validate(opaque("next"))
    }))

  it.effect("[K-23] [R9] an open circuit stays open for as long as the server asked to wait", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(status(503, { "retry-after": "30" }))
      const tokens = yield* introspected(server, { resilience: { retry: { maxAttempts: 1 } } })
      for (let number = 0; number < 5; number++) yield* reasonOf(tokens.validate(opaque(`t${number}`)))
      const error = yield* Effect.flip(tokens.validate(opaque("next")))
      assert.include(error.reason, { problem: "circuit" })
      assert.isAtLeast(Duration.toSeconds(error.retryAfter), 30)
    }))

  it.effect("[K-23] an endpoint that is gone is discovered again", () =>
    Effect.gen(function*() {
      yield* start
      let path = "old"
      const server: Endpoint = makeEndpoint(({ url, ...asked }, number) => {
        if (url.endsWith("/openid-configuration")) {
          return Effect.succeed(json({ issuer, introspection_endpoint: `${issuer}/${path}` }))
        }
        return url.endsWith(`/${path}`) ? answering()({ url, ...asked }, number) : Effect.succeed(json({}, 404))
      })
      const tokens = yield* introspected(server, { endpoint: undefined, ...alone })
      yield* tokens.validate(opaque("a"))
      path = "new"
      assert.include(yield* reasonOf(tokens.validate(opaque("b"))), { problem: "endpoint" })
      yield* tokens.validate(opaque("b"))
      assert.deepStrictEqual(server.asked.map(({ url }) => url.slice(url.lastIndexOf("/") + 1)), [
        "openid-configuration",
        "old",
        "old",
        "openid-configuration",
        "new"
      ])
    }).pipe(quiet))

  it.effect("[K-23] metadata without an introspection endpoint, or of another issuer, are a 503", () =>
    Effect.gen(function*() {
      yield* start
      for (const metadata of [{ issuer }, { issuer: "https://evil.example", introspection_endpoint: endpoint }]) {
        const server = makeEndpoint(() => Effect.succeed(json(metadata)))
        const tokens = yield* introspected(server, { endpoint: undefined, ...alone })
        assert.include(yield* reasonOf(tokens.validate(opaque("a"))), { problem: "endpoint" })
        assert.strictEqual(server.asked.length, 1)
      }
    }).pipe(quiet))

  it.effect("[K-23] [R9] what a hostile token may cause does not open the circuit for other tokens", () =>
    Effect.gen(function*() {
      yield* start
      const hostile: ReadonlyArray<Respond> = [
        status(400, {}, "{\"error\":\"invalid_request\"}"),
        () => Effect.succeed(json("{\"active\":true,\"active\":true}")),
        () => Effect.succeed(json({ active: true, deep: [[[[[[[[[[[]]]]]]]]]]] })),
        () => Effect.succeed(json({ active: true, long: "x".repeat(100_000) })),
        answering({ exp: "soon" })
      ]
      for (const respond of hostile) {
        const server = makeEndpoint(respond)
        const tokens = yield* introspected(server, { resilience: { retry: { maxAttempts: 1 }, breaker: {} } })
        for (let number = 0; number < 20; number++) yield* reasonOf(tokens.validate(opaque(`t${number}`)))
        assert.strictEqual(server.asked.length, 20)
        server.respond = answering()
        yield* tokens.validate(opaque("good"))
      }
    }).pipe(quiet))

  it.live("[K-23] [R11] a redirect is not followed: neither the token nor the secret reaches another server", () =>
    Effect.gen(function*() {
      const elsewhere = yield* keyOrigin(
        sending(JSON.stringify({ active: true }), { "content-type": "application/json" })
      )
      for (const code of [301, 302, 303, 307, 308]) {
        const origin = yield* keyOrigin((_, response) => {
          response.writeHead(code, { location: `http://127.0.0.1:${elsewhere.port}/introspect` }).end()
        })
        const { client: _, ...server } = makeEndpoint(answering())
        const tokens = yield* introspected({ ...server, client: Layer.empty }, {
          endpoint: `http://127.0.0.1:${origin.port}/introspect`,
          allowLocalhost: true
        })
        assert.include(yield* reasonOf(tokens.validate(opaque("a"))), { problem: "endpoint" })
      }
      assert.strictEqual(elsewhere.connections(), 0)
    }).pipe(Effect.scoped, quiet))

  it.effect("[R28] closing the scope fails waiting callers at once with a 503, and later ones", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(hangs)
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(introspected(server), scope)
      const waiting = yield* Effect.forkChild(Effect.flip(tokens.validate(opaque("a"))), { startImmediately: true })
      yield* eventually(() => server.asked.length === 1)
      yield* Scope.close(scope, Exit.void)
      assert.include((yield* Fiber.join(waiting)).reason, { problem: "closed" })
      assert.include(yield* reasonOf(tokens.validate(opaque("b"))), { problem: "closed" })
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("[K-23] [R9] at most 32 requests run at once, and at most 256 wait; the others get a 503", () =>
    Effect.gen(function*() {
      yield* start
      const server = makeEndpoint(() => Effect.map(Effect.delay(active(), "1 second"), (answer) => json(answer)))
      const tokens = yield* introspected(server)
      const all = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, number) => opaque(`t${number}`)),
        (token) => Effect.forkChild(Effect.exit(tokens.validate(token)), { startImmediately: true })
      )
      yield* eventually(() => server.asked.length === 32)
      const busy = all.filter((fiber) => fiber.pollUnsafe() !== undefined)
      assert.strictEqual(busy.length, 300 - 32 - 256)
      for (const fiber of busy) {
        const reason = yield* reasonOf(Effect.flatten(Fiber.join(fiber)))
        assert.include(reason, { _tag: "IntrospectionUnavailable", problem: "busy" })
      }
      yield* Fiber.interruptAll(all)
    }))
})
