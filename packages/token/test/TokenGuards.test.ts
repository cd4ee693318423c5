import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { metric } from "@keelson/testing/observe"
import { runOut } from "@keelson/testing/virtualTime"
import { Context, Effect, Fiber, Layer, Metric } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { TokenGuards } from "../src/index.ts"
import { guardOver, makeSource, scripted, statuses, tokensOf } from "./guardSupport.ts"

const guards = Effect.fnUntraced(function*() {
  const api = scripted(statuses())
  const client = Layer.succeed(HttpClient.HttpClient, api.client)
  const context = yield* Layer.build(Layer.provide(TokenGuards.layer(), client))
  return { api, guards: Context.get(context, TokenGuards.TokenGuards) }
})

describe("TokenGuards", () => {
  it.effect("[S3-08] registers one provider for each server, and finds it by name and by URL", () =>
    Effect.gen(function*() {
      const { api, guards: { find, get, register, servers } } = yield* guards()
      const billing = makeSource("billing")
      const orders = makeSource("orders")
      const guard = yield* register("billing", { url: "https://api.example/billing", source: billing.source })
      yield* register("orders", { url: "https://api.example/orders/", source: orders.source })
      assert.strictEqual(get("billing"), guard)
      assert.strictEqual(get("nobody"), undefined)
      for (const url of ["https://api.example/billing/1", new URL("https://api.example/orders?x=1")]) {
        yield* find(url)?.guard.get(url) ?? Effect.die("not found")
      }
      yield* guard.get("/2")
      assert.deepStrictEqual(tokensOf(api.received), ["billing-1", "orders-1", "billing-1"])
      assert.deepStrictEqual(api.received.map(({ url }) => url), [
        "https://api.example/billing/1",
        "https://api.example/orders?x=1",
        "https://api.example/billing/2"
      ])
      assert.deepStrictEqual(servers().map(({ server, url }) => [server, url]), [
        ["billing", "https://api.example/billing"],
        ["orders", "https://api.example/orders/"]
      ])
    }))

  it.effect("[S3-08] a URL belongs to the server with the longest matching path of whole segments", () =>
    Effect.gen(function*() {
      const { guards: { find, register } } = yield* guards()
      const { source } = makeSource()
      yield* register("all", { url: "https://host", source })
      yield* register("a", { url: "https://host/a", source })
      yield* register("a-b", { url: "https://host/a/b", source, origins: ["https://cdn.example"] })
      yield* register("port", { url: "https://host:8443", source })
      yield* register("local", { url: "http://localhost:3000", source, allowLocalhost: true })
      for (
        const [url, server] of [
          ["https://host", "all"],
          ["https://host/ab", "all"],
          ["https://host/a", "a"],
          ["https://HOST:443/a/c", "a"],
          ["https://host./a/bc", "a"],
          ["https://host/a/b?c", "a-b"],
          ["https://cdn.example/x", "a-b"],
          ["https://host:8443/a/b", "port"],
          ["http://localhost:3000/x", "local"],
          ["https://host.evil/a", undefined],
          ["https://hostevil", undefined],
          ["https://host@evil.example/a", undefined],
          ["https://user@host/a", undefined],
          ["http://host/a", undefined],
          ["https://localhost:3000/x", undefined],
          ["https://host:8444", undefined],
          ["/a", undefined],
          ["", undefined]
        ] as const
      ) assert.strictEqual(find(url)?.server, server, url)
      // In no scope with a path, since servers may read it as a path outside; but in the scope of the whole origin.
      assert.strictEqual(find("https://host/a/..%2fc")?.server, "all")
    }))

  it.effect("[S3-08] the list is a copy", () =>
    Effect.gen(function*() {
      const { guards: { find, register, servers } } = yield* guards()
      yield* register("a", { url: "https://a.example", source: makeSource().source })
      const list = servers()
      Reflect.deleteProperty(list, 0)
      Object.assign(list[0] ?? {}, { server: "b" })
      assert.deepStrictEqual(servers().map(({ server }) => server), ["a"])
      assert.strictEqual(find("https://a.example")?.server, "a")
    }))

  it.effect("[S3-08] rejects a name or URL that is taken or invalid", () =>
    Effect.gen(function*() {
      const { guards: { register, servers } } = yield* guards()
      const { source } = makeSource()
      yield* register("a", { url: "https://a.example/x", source, origins: ["https://b.example"] })
      const cases: ReadonlyArray<readonly [string, TokenGuards.Options, string]> = [
        ["a", { url: "https://c.example", source }, "server"],
        ["b", { url: "https://A.example:443/x/", source }, "url"],
        ["b", { url: "https://c.example", source, origins: ["https://b.example"] }, "url"],
        ["", { url: "https://c.example", source }, "server"],
        ["a b", { url: "https://c.example", source }, "server"],
        ["b", { url: "http://c.example", source }, "url"],
        ["b", { url: "https://c.example", source, origins: ["x"] }, "origins.0"]
      ]
      for (const [server, options, path] of cases) {
        const error = yield* Effect.flip(register(server, options))
        assert.deepInclude(error, { code: "INVALID_CONFIG" })
        assert.strictEqual(error.details["path"], path, server)
      }
      assert.deepInclude(yield* Effect.flip(register("a", { url: "https://c.example", source })), {
        message: "Invalid server: server must be a name that no other server has",
        details: { path: "server", expected: "a name that no other server has" }
      })
      assert.deepInclude(yield* Effect.flip(register("b", { url: "https://a.example/x", source })), {
        message: "Invalid server: url must be a URL that no other server has",
        details: { path: "url", expected: "a URL that no other server has" }
      })
      assert.strictEqual(servers().length, 1)
    }))

  it.effect("a removed server is no longer found, and callers waiting for its token fail", () =>
    Effect.gen(function*() {
      const { guards: { find, register, unregister } } = yield* guards()
      const guard = yield* register("a", {
        url: "https://a.example",
        source: Effect.delay(makeSource().source, "1 second")
      })
      const waiting = yield* Effect.forkChild(Effect.flip(guard.get("/")))
      yield* TestClock.adjust("500 millis")
      assert.isTrue(yield* unregister("a"))
      assert.deepInclude(yield* Fiber.join(waiting), { code: "SHUTTING_DOWN" })
      assert.isFalse(yield* unregister("a"))
      assert.strictEqual(find("https://a.example"), undefined)
      yield* register("a", { url: "https://a.example", source: makeSource().source })
    }))

  const retry = { maxAttempts: 2, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } as const

  it.effect("[K-28 C10] the metric series of a removed server are removed with it", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) =>
        Effect.sync(() => new Response(null, { status: number % 3 === 0 ? 503 : 200 }))
      )
      const client = Layer.succeed(HttpClient.HttpClient, api.client)
      const context = yield* Layer.build(Layer.provide(TokenGuards.layer(), client))
      const { register, unregister } = Context.get(context, TokenGuards.TokenGuards)
      const registry = yield* Metric.MetricRegistry
      const names = Array.from({ length: 20 }, (_, index) => `server-${index}`)
      for (const name of names) {
        const source = makeSource(name)
        const deviations = [{ member: "scope", received: "a list" }] as const
        const guard = yield* register(name, {
          url: `https://${name}.example`,
          origins: [`https://${name}.example:8443`],
          source: () => Effect.map(source.source, (response) => ({ ...response, deviations })),
          acquisition: { retry, breaker: {} },
          resilience: { retry, breaker: {} }
        })
        for (const path of ["/", "/", "/", "/", `https://${name}.example:8443/`]) {
          yield* runOut(Effect.exit(guard.get(path)))
        }
        yield* (yield* guard.scoped({ scope: "read" })).get("/")
        source.isDown = true
        yield* runOut(Effect.exit(guard.provider.refresh))
      }
      const seriesOf = (name: string) =>
        [...registry.values()].filter(({ attributes }) => JSON.stringify(attributes).includes(name))
      const labelled = [...registry.values()].map(({ attributes, id }) => `${id} ${attributes?.["server"]}`)
      for (
        const id of [
          "token_acquisitions_total server-0",
          "token_acquisition_duration_seconds server-0",
          "token_response_deviations_total server-0",
          "retry_attempts_total server-0",
          "errors_total server-0",
          "retry_attempts_total server-0/requests"
        ]
      ) assert.include(labelled, `keelson_${id}`)
      assert.isAbove(labelled.length, 300)
      for (const name of names.slice(1)) yield* unregister(name)
      assert.isEmpty(names.slice(1).filter((name) => name !== "server-1").flatMap(seriesOf))
      assert.isNotEmpty(seriesOf("server-0"))
      yield* unregister("server-0")
      assert.deepStrictEqual([...registry.values()], [])
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-28 C10] callers of a removed server bring no series back, and a server that is registered again has new ones", () =>
    Effect.gen(function*() {
      const { guards: { register, unregister } } = yield* guards()
      const registry = yield* Metric.MetricRegistry
      const options = { url: "https://a.example", resilience: { retry, breaker: {} }, acquisition: { retry } }
      const guard = yield* register("a", { ...options, source: Effect.delay(makeSource().source, "1 second") })
      const waiting = yield* Effect.forkChild(Effect.flip(guard.get("/")), { startImmediately: true })
      assert.isTrue(yield* unregister("a"))
      assert.deepInclude(yield* Fiber.join(waiting), { code: "SHUTTING_DOWN" })
      assert.deepInclude(yield* Effect.flip(guard.get("/")), { code: "SHUTTING_DOWN" })
      assert.deepStrictEqual([...registry.keys()], [])
      const again = yield* register("a", { ...options, source: makeSource().source })
      yield* again.get("/")
      assert.strictEqual(yield* metric("token_acquisitions_total", "server=\"a\",status=\"success\""), 1)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-28 C10] the series of a removed server stay until its running calls have ended, and then leave too", () =>
    Effect.gen(function*() {
      const api = scripted(() => Effect.delay(Effect.sync(() => new Response(null, { status: 503 })), "1 second"))
      const client = Layer.succeed(HttpClient.HttpClient, api.client)
      const context = yield* Layer.build(Layer.provide(TokenGuards.layer(), client))
      const { register, unregister } = Context.get(context, TokenGuards.TokenGuards)
      const registry = yield* Metric.MetricRegistry
      const guard = yield* register("a", {
        url: "https://a.example",
        source: makeSource().source,
        resilience: { retry: { ...retry, maxAttempts: 1 } }
      })
      const calls = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.flip(guard.get("/"))))
      yield* TestClock.adjust("500 millis")
      yield* unregister("a")
      yield* TestClock.adjust("500 millis")
      for (const call of calls) assert.deepInclude(yield* Fiber.join(call), { _tag: "RetryExhausted" })
      assert.strictEqual(api.received.length, 2)
      assert.deepStrictEqual([...registry.keys()], [])
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-28 C10] series that another guard of the same name still uses stay", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const counted = metric("token_acquisitions_total", "server=\"api\",status=\"success\"")
      const guard = yield* guardOver(api, { source: () => makeSource().source })
      yield* guard.get("/")
      yield* Effect.scoped(Effect.flatMap(guardOver(api, { source: makeSource().source }), (other) => other.get("/")))
      // Grants that leave for others share the name with their guard.
      for (let i = 0; i < 110; i++) yield* (yield* guard.scoped({ scope: `s${i}` })).get("/")
      assert.strictEqual(yield* counted, 112)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("of two concurrent registrations with one name, one fails", () =>
    Effect.gen(function*() {
      const { guards: { register, servers } } = yield* guards()
      const one = Effect.exit(register("a", { url: "https://a.example", source: makeSource().source }))
      const ended = yield* Effect.all([one, one, one], { concurrency: "unbounded" })
      assert.deepStrictEqual(ended.map(({ _tag }) => _tag).toSorted(), ["Failure", "Failure", "Success"])
      assert.strictEqual(servers().length, 1)
    }))
})
