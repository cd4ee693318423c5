import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { AuditEvents, AuditLog, AuditMiddleware, CorrelationId } from "@keelson/audit"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import { eventually } from "@keelson/testing/eventually"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { createServer, request as httpRequest } from "node:http"
import { makeSink } from "./memorySink.ts"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** What stands in for `HttpSecurity`: it tells the observer of the request who calls, or why the caller is rejected. */
const security = (
  route: HttpRouter.PathInput,
  decide: (observer: RequestObserver, context: Context.Context<never>) => void,
  status: number
) =>
  HttpRouter.add(
    "GET",
    route,
    Effect.withFiber((fiber) => {
      const observer = fiber.getRef(RequestObserver)
      if (observer !== undefined) decide(observer, fiber.context)
      return Effect.succeed(HttpServerResponse.text("decided", { status }))
    })
  )

const serve = (
  more: Layer.Layer<never, never, AuditLog.AuditLog | HttpRouter.HttpRouter>,
  around: Layer.Layer<never, never, AuditLog.AuditLog> = Layer.empty
) =>
  Effect.gen(function*() {
    const memory = makeSink()
    const hanging = yield* Deferred.make<void>()
    const logs: Array<Record<string, unknown>> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      logs.push({ message: String(message), logLevel, ...fiber.getRef(References.CurrentLogAnnotations) })
    })
    const routes = Layer.mergeAll(
      HttpRouter.add("GET", "/hello", Effect.as(Effect.logInfo("inside"), HttpServerResponse.text("hello"))),
      HttpRouter.add("POST", "/hello", HttpServerResponse.text("posted", { status: 201 })),
      HttpRouter.add("GET", "/fails", Effect.die(new Error("broken"))),
      HttpRouter.add("GET", "/hangs", Effect.andThen(Deferred.succeed(hanging, undefined), Effect.never)),
      HttpRouter.add(
        "GET",
        "/stream",
        Effect.succeed(
          HttpServerResponse.stream(Stream.fromIterable(["abc", "defg"]).pipe(Stream.encodeText), {
            contentType: "text/x"
          })
        )
      ),
      HttpRouter.add(
        "GET",
        "/endless",
        Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.succeed(new Uint8Array(1_000)), Stream.never)))
      ),
      HttpRouter.add(
        "GET",
        "/objects/*",
        Effect.as(
          AuditMiddleware.annotate({ bucket: "products", objectKey: "a.png", cacheStatus: "hit" }),
          HttpServerResponse.empty({ status: 304 })
        )
      ),
      HttpRouter.add(
        "GET",
        "/id",
        Effect.map(CorrelationId.CorrelationId, (id) => HttpServerResponse.text(String(id)))
      ),
      security("/authenticated", (observer, context) => observer.authenticated("alice", context), 200),
      security("/rejected", (observer, context) => observer.rejected("TOKEN_EXPIRED", context), 401)
    )
    const log = yield* AuditLog.make({ sinks: [memory.sink] })
    const app = HttpRouter.serve(Layer.mergeAll(routes, more), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(around),
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" })),
      Layer.provide(Layer.succeed(AuditLog.AuditLog, log)),
      Layer.provide(Logger.layer([logger])),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Debug"))
    )
    const context = yield* Layer.build(app)
    const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
    if (address._tag === "UnixPathAddress") return yield* Effect.die("no port")
    const base = `http://127.0.0.1:${address.port}`
    const get = (path: string, init?: RequestInit) => Effect.promise(() => fetch(base + path, init))
    const text = (path: string, init?: RequestInit) =>
      Effect.flatMap(get(path, init), (response) => Effect.promise(() => response.text()))
    /** Waits for so many entries. */
    const entries = (count: number) =>
      Effect.andThen(
        eventually(() => memory.records.length >= count),
        Effect.sync(() => memory.lines)
      )
    return { base, entries, get, hanging, logs, text }
  })

const audited = (options: AuditMiddleware.Options = {}) => serve(Layer.orDie(AuditMiddleware.layer(options)))

describe("AuditMiddleware", () => {
  it.live("[S4-41][A1] records one entry for every request, with its address, status, bytes and time", () =>
    Effect.gen(function*() {
      const { entries, text } = yield* audited()
      yield* text("/hello?token=abc", { headers: { "user-agent": "test/1", referer: "https://app.example/?code=1" } })
      yield* text("/hello", { method: "POST" })
      yield* text("/stream")
      yield* text("/stream", { method: "HEAD" })
      yield* text("/missing")
      yield* text("/fails")
      const lines = yield* entries(6)
      assert.deepStrictEqual(
        lines.map((
          { http_method, request_path, response_size_bytes, response_status }
        ) => [http_method, request_path, response_status, response_size_bytes]),
        [
          ["GET", "/hello?token=[REDACTED]", 200, 5],
          ["POST", "/hello", 201, 6],
          ["GET", "/stream", 200, 7],
          ["HEAD", "/stream", 200, 0],
          ["GET", "/missing", 404, 0],
          ["GET", "/fails", 500, 0]
        ]
      )
      const [first] = lines
      assert.deepStrictEqual(
        [first?.["client_ip"], first?.["user_agent"], first?.["referer"], first?.["user"]],
        ["127.0.0.1", "test/1", "https://app.example/?code=[REDACTED]", null]
      )
      assert.isTrue(lines.every(({ duration_ms }) => typeof duration_ms === "number"))
      assert.isTrue(lines.every((line) => line["details"] === undefined))
    }))

  it.live("[S4-41][A1] records requests whose client goes away, before and while they are answered", () =>
    Effect.gen(function*() {
      const { base, entries, hanging } = yield* audited()
      const first = httpRequest(`${base}/hangs`)
      first.on("error", () => {})
      first.end()
      yield* Deferred.await(hanging)
      first.destroy()
      assert.deepInclude((yield* entries(1))[0], {
        request_path: "/hangs",
        response_status: 499,
        details: { aborted: true }
      })
      yield* Effect.callback<void>((resume) => {
        const second = httpRequest(`${base}/endless`, (response) => {
          response.on("error", () => {})
          response.once("data", () => {
            second.destroy()
            resume(Effect.void)
          })
        })
        second.on("error", () => {})
        second.end()
      })
      assert.deepInclude((yield* entries(2))[1], {
        request_path: "/endless",
        response_status: 200,
        response_size_bytes: 1_000,
        details: { aborted: true }
      })
    }))

  it.live("[S4-45] reuses a safe X-Correlation-ID, or makes a UUID: in the response, the entry and the logs", () =>
    Effect.gen(function*() {
      const { entries, get, logs, text } = yield* audited()
      const own = yield* get("/hello", { headers: { "x-correlation-id": "order-4711" } })
      assert.strictEqual(own.headers.get("x-correlation-id"), "order-4711")
      const made = (yield* get("/hello")).headers.get("x-correlation-id")
      assert.match(made ?? "", uuid)
      assert.strictEqual(yield* text("/id", { headers: { "x-correlation-id": "a-b" } }), "a-b")
      for (const unsafe of ["a b", "<script>", "x".repeat(129), "a,b", "\u00e9", ""]) {
        const response = yield* get("/hello", { headers: { "x-correlation-id": unsafe } })
        assert.match(response.headers.get("x-correlation-id") ?? "", uuid, unsafe)
      }
      const failed = yield* get("/fails", { headers: { "x-correlation-id": "f-1" } })
      assert.strictEqual(failed.headers.get("x-correlation-id"), "f-1")
      const missing = yield* get("/missing", { headers: { "x-correlation-id": "m-1" } })
      assert.strictEqual(missing.headers.get("x-correlation-id"), "m-1")
      const lines = yield* entries(11)
      assert.deepStrictEqual(lines.slice(0, 3).map(({ correlation_id }) => correlation_id), ["order-4711", made, "a-b"])
      const of = (id: string) =>
        logs.filter(({ correlation_id }) => correlation_id === id).map(({ message }) => message)
      assert.deepStrictEqual(of("order-4711"), ["Request started", "inside", "Request completed"])
      assert.includeMembers(of("f-1"), ["Request started", "Request failed"])
    }))

  it.live("[S4-45][R35] takes the address from X-Forwarded-For of listed proxies alone, counted from the right", () =>
    Effect.gen(function*() {
      const headers = { "x-forwarded-for": "6.6.6.6, 198.51.100.7" }
      const without = yield* audited()
      yield* without.text("/hello", { headers })
      assert.strictEqual((yield* without.entries(1))[0]?.["client_ip"], "127.0.0.1")
      const proxied = yield* audited({ proxies: ["127.0.0.0/8"] })
      yield* proxied.text("/hello", { headers })
      assert.strictEqual((yield* proxied.entries(1))[0]?.["client_ip"], "198.51.100.7")
    }))

  it.live("[S4-41] takes what handlers and security know: user, object, cache; and why a caller is rejected", () =>
    Effect.gen(function*() {
      const { entries, text } = yield* audited()
      yield* text("/objects/a.png")
      yield* text("/authenticated")
      yield* text("/rejected")
      const [object, authenticated, rejected] = yield* entries(3)
      assert.deepInclude(object, { bucket: "products", object_key: "a.png", cache_status: "hit", response_status: 304 })
      assert.deepInclude(authenticated, { user: "alice", response_status: 200 })
      assert.deepInclude(rejected, { user: null, response_status: 401 })
      assert.strictEqual(Object(rejected?.["details"]).error_name, "TOKEN_EXPIRED")
    }))

  it.live("[S2-22] rejections are recorded without the middleware too, and once with it", () =>
    Effect.gen(function*() {
      const observing = AuditEvents.layer({ rejections: true })
      const alone = yield* serve(Layer.empty, observing)
      yield* alone.text("/rejected?access_token=abc")
      yield* alone.text("/hello")
      const [rejected, ...others] = yield* alone.entries(1)
      assert.lengthOf(others, 0)
      assert.deepInclude(rejected, {
        http_method: "GET",
        request_path: "/rejected?access_token=[REDACTED]",
        response_status: 401
      })
      assert.strictEqual(Object(rejected?.["details"]).error_name, "TOKEN_EXPIRED")
      const both = yield* serve(Layer.orDie(AuditMiddleware.layer()), observing)
      yield* both.text("/rejected")
      yield* both.text("/hello")
      assert.lengthOf(yield* both.entries(2), 2)
    }))

  it.effect("[S4-40] fails for proxies that are none", () =>
    Effect.gen(function*() {
      const build = Layer.build(
        Layer.provide(AuditMiddleware.layer({ proxies: ["10.0.0.1/8"] }), [AuditLog.layerDisabled, HttpRouter.layer])
      )
      const { message } = yield* Effect.flip(build)
      assert.match(message, /proxies\.0 must be an address, or a network in CIDR notation/)
    }))
})
