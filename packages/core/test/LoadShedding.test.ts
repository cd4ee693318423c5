import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { HttpClient, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { AdaptiveLimit, LoadShedding } from "../src/index.ts"

const small = { minLimit: 1, initialLimit: 1 } as const

/** The response of an application to a request for a path. */
const request = <E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest>,
  path: string
) =>
  Effect.provideService(
    app,
    HttpServerRequest.HttpServerRequest,
    HttpServerRequest.fromWeb(new Request(`https://shop.example${path}`))
  )

const ok = HttpServerResponse.empty({ status: 200 })
const status = ({ status }: HttpServerResponse.HttpServerResponse) => status

/** A priority by the first segment of the path. */
const priority = ({ url }: HttpServerRequest.HttpServerRequest): AdaptiveLimit.Priority =>
  url.startsWith("/orders") ? "high" : url.startsWith("/reports") ? "low" : "normal"

describe("LoadShedding", () => {
  it.effect("[K-31] answers a request over the limit with 503 and Retry-After, without running the handler", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("shop", { ...small, retryAfter: "2500 millis" })
      const app = LoadShedding.middleware(limit)(Effect.succeed(ok))
      assert.strictEqual(status(yield* request(app, "/")), 200)
      const dies = LoadShedding.middleware(limit)(Effect.die("called"))
      const [shed, again] = yield* limit.execute(
        Effect.all([Effect.orDie(request(dies, "/")), Effect.orDie(request(dies, "/"))])
      )
      // A refusal under load costs no new response.
      assert.strictEqual(again, shed)
      assert.deepStrictEqual([shed.status, shed.headers["retry-after"]], [503, "3"])
      assert.strictEqual(shed.headers["content-type"], "application/problem+json")
    }))

  it.effect("[K-31] sheds the lowest priority first", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("shop", { ...small, maxQueued: 2 })
      const gate = yield* Deferred.make<void>()
      const served: Array<string> = []
      const handler = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) =>
        Effect.as(Effect.andThen(Deferred.await(gate), Effect.sync(() => served.push(url))), ok))
      const app = LoadShedding.middleware(limit, { priority })(handler)
      const send = (path: string) =>
        Effect.forkChild(Effect.map(request(app, path), status), { startImmediately: true })
      const first = yield* send("/carts/1")
      const reports = yield* send("/reports/1")
      const carts = yield* send("/carts/2")
      const orders = yield* send("/orders/1")
      assert.strictEqual(yield* Fiber.join(reports), 503)
      assert.strictEqual(yield* Fiber.join(yield* send("/reports/2")), 503)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Effect.forEach([first, carts, orders], Fiber.join), [200, 200, 200])
      assert.deepStrictEqual(served, ["/carts/1", "/orders/1", "/carts/2"])
    }))

  it.effect("[K-31] health checks and other exempt requests are served over the limit, and not counted", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("shop", small)
      const handler = Effect.map(limit.snapshot, ({ inFlight }) => HttpServerResponse.text(String(inFlight)))
      const full = (path: string, options?: LoadShedding.Options) =>
        limit.execute(Effect.map(request(LoadShedding.middleware(limit, options)(handler), path), status))
      for (const path of ["/health", "/healthz", "/livez", "/readyz?verbose", "/metrics"]) {
        assert.strictEqual(yield* full(path), 200)
      }
      for (const path of ["/healthy", "/api/health", "/"]) assert.strictEqual(yield* full(path), 503)
      const exempt = ({ url }: HttpServerRequest.HttpServerRequest) => url === "/events"
      assert.strictEqual(yield* full("/events", { exempt }), 200)
      assert.strictEqual(yield* full("/health", { exempt }), 503)
    }))

  it.effect("[K-31] the failure of a handler passes unchanged, also the rejection of another limit", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("shop", small)
      const other = yield* AdaptiveLimit.make("stock", small)
      const app = LoadShedding.middleware(limit)(Effect.as(other.execute(Effect.void), ok))
      const error = yield* other.execute(Effect.flip(request(app, "/")))
      assert.deepInclude(error, { _tag: "LimitExceeded", server: "stock" })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(request(LoadShedding.middleware(limit)(Effect.die("no")), "/"))))
      assert.deepInclude(yield* limit.snapshot, { inFlight: 0, rejected: 0 })
    }))

  it.effect("[K-31] responses of 503 and 504 shrink the limit; a 429 or a 500 does not, nor is its latency measured", () =>
    Effect.gen(function*() {
      for (const [code, expected] of [[200, 4], [404, 4], [429, 4], [500, 4], [503, 2], [504, 2]] as const) {
        const limit = yield* AdaptiveLimit.make("shop", {
          minLimit: 2,
          initialLimit: 4,
          minSamples: 5,
          window: "10 millis"
        })
        const handler = Effect.as(Effect.sleep("10 millis"), HttpServerResponse.empty({ status: code }))
        const app = LoadShedding.middleware(limit)(handler)
        for (let call = 0; call < 7; call++) {
          const fiber = yield* Effect.forkChild(request(app, "/"), { startImmediately: true })
          yield* TestClock.adjust("10 millis")
          yield* Fiber.join(fiber)
        }
        const { baseline, limit: found } = yield* limit.snapshot
        assert.strictEqual(found, expected, `status ${code}`)
        // A fast rejection or error is no latency of the service.
        assert.strictEqual(baseline !== undefined, code < 429, `baseline of status ${code}`)
      }
    }))

  it.live("[K-31] sheds over a real server, and serves again when the limit has room", () =>
    Effect.gen(function*() {
      const limit = yield* AdaptiveLimit.make("shop", { ...small, retryAfter: "1 second" })
      const gate = yield* Deferred.make<void>()
      const busy = yield* Deferred.make<void>()
      const handler = Effect.andThen(Deferred.succeed(busy, undefined), Effect.as(Deferred.await(gate), ok))
      yield* HttpServer.serveEffect(handler, LoadShedding.middleware(limit))
      const client = yield* HttpClient.HttpClient
      const first = yield* Effect.forkChild(client.get("/"), { startImmediately: true })
      yield* Deferred.await(busy)
      const shed = yield* client.get("/")
      assert.deepStrictEqual([shed.status, shed.headers["retry-after"]], [503, "1"])
      assert.include(yield* shed.text, "NET-014")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
      assert.strictEqual((yield* client.get("/")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)))
})
