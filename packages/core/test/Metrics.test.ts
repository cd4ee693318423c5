import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit, Metric, Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Breaker, BreakerStore, KeelsonError, Metrics, Resilience } from "../src/index.ts"
import * as MetricSeries from "../src/unstable/MetricSeries.ts"

type Snapshot = Metric.Metric.Snapshot

/** The series of one metric in the registry in context. */
const series = (name: string) => Effect.map(Metric.snapshot, (all) => all.filter(({ id }) => id === name))

const valueOf = ({ state, type }: Snapshot): number | bigint | undefined =>
  type === "Counter" ? state.count : type === "Gauge" ? state.value : undefined

/** The values of one metric by their labels. */
const values = (name: string) =>
  Effect.map(series(name), (all) => all.map((one) => [one.attributes, valueOf(one)] as const))

const registered = (labels: { readonly server: string }, read: () => number) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Scope.provide(MetricSeries.register("cacheHits", labels, read), scope)
    return { leave: Scope.close(scope, Exit.void) }
  })

const a = { server: "a" }
const keySet = { tenant: "t", provider: "p" }
const hits = values("keelson_cache_hits_total")

/** What S3-28, S3-29 and S1-32 ask for: names and labels. */
const families = [
  ["[S3-28]", "token_acquisitions_total", "Counter", ["server", "status"]],
  ["[S3-28]", "token_acquisition_duration_seconds", "Histogram", ["server"]],
  ["[S3-28]", "cache_hits_total", "Counter", ["server"]],
  ["[S3-28]", "cache_misses_total", "Counter", ["server"]],
  ["[S3-28]", "circuit_breaker_state", "Gauge", ["server"]],
  ["[S3-28]", "circuit_breaker_rejections_total", "Counter", ["server"]],
  ["[S3-28]", "retry_attempts_total", "Counter", ["server"]],
  ["[S3-29]", "http_requests_total", "Counter", ["method", "endpoint", "status"]],
  ["[S3-29]", "http_request_duration_seconds", "Histogram", ["method", "endpoint"]],
  ["[S3-29]", "errors_total", "Counter", ["server", "error_code", "category"]],
  ["[S1-32]", "jwks_cache_requests_total", "Counter", ["tenant", "provider"]],
  ["[S1-32]", "jwks_cache_hits_total", "Counter", ["tenant", "provider"]],
  ["[S1-32]", "jwks_cache_misses_total", "Counter", ["tenant", "provider"]],
  ["[S1-32]", "jwks_cache_stale_total", "Counter", ["tenant", "provider"]],
  ["[S1-32]", "jwks_cache_refresh_total", "Counter", ["tenant", "provider", "status"]],
  ["[S1-32]", "jwks_cache_refresh_errors_total", "Counter", ["tenant", "provider"]],
  ["[S1-32]", "jwks_cache_refresh_duration_seconds", "Histogram", ["tenant", "provider"]]
] as const

/** Updates every metric once. */
const updateAll = Effect.gen(function*() {
  yield* MetricSeries.increment("tokenAcquisitions", { server: "a", status: "success" })
  yield* MetricSeries.observe("tokenAcquisitionDuration", a, Duration.millis(20))
  yield* MetricSeries.register("cacheHits", a, () => 1)
  yield* MetricSeries.register("cacheMisses", a, () => 1)
  yield* MetricSeries.register("circuitBreakerState", a, () => 1)
  yield* MetricSeries.register("circuitBreakerRejections", a, () => 1)
  yield* MetricSeries.increment("retryAttempts", a)
  yield* MetricSeries.increment("httpRequests", { method: "GET", endpoint: "token", status: "200" })
  yield* MetricSeries.observe("httpRequestDuration", { method: "GET", endpoint: "token" }, Duration.millis(20))
  yield* MetricSeries.increment("errors", { server: "a", error_code: "NET-001", category: "NETWORK" })
  yield* MetricSeries.register("jwksRequests", keySet, () => 1)
  yield* MetricSeries.register("jwksHits", keySet, () => 1)
  yield* MetricSeries.register("jwksMisses", keySet, () => 1)
  yield* MetricSeries.register("jwksStale", keySet, () => 1)
  yield* MetricSeries.increment("jwksRefresh", { ...keySet, status: "success" })
  yield* MetricSeries.increment("jwksRefreshErrors", keySet)
  yield* MetricSeries.observe("jwksRefreshDuration", keySet, Duration.millis(20))
})

describe("Metrics", () => {
  describe("families", () => {
    it.effect.each(families)(
      "%s there is %s, a %s with its labels",
      ([, name, type, labels]) =>
        Effect.gen(function*() {
          yield* updateAll
          const [found, ...others] = yield* series(`keelson_${name}`)
          assert.isEmpty(others)
          assert.strictEqual(found?.type, type)
          assert.deepStrictEqual(Object.keys(found?.attributes ?? {}).toSorted(), [...labels].toSorted())
          assert.isNotEmpty(found?.description)
        }).pipe(Effect.provide(Metrics.layerIsolated))
    )
  })

  describe("families of object caches", () => {
    const tier = { layer: "memory", bucket: "shop" }
    it.effect.each(
      [
        ["cache_hits_total", "Counter", MetricSeries.register("tierHits", tier, () => 3)],
        ["cache_misses_total", "Counter", MetricSeries.register("tierMisses", tier, () => 3)],
        ["cache_evictions_total", "Counter", MetricSeries.register("tierEvictions", tier, () => 3)],
        ["cache_size_bytes", "Gauge", MetricSeries.register("tierSize", tier, () => 3)],
        ["cache_items", "Gauge", MetricSeries.register("tierItems", tier, () => 3)]
      ] as const
    )("[S4-33] %s is a %s by layer and bucket", ([name, type, update]) =>
      Effect.gen(function*() {
        yield* update
        const [found, ...others] = yield* series(`keelson_${name}`)
        assert.isEmpty(others)
        assert.deepStrictEqual([found?.type, found?.attributes, found && valueOf(found)], [type, tier, 3])
        assert.isNotEmpty(found?.description)
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect.each(
      [["cache_get_duration_seconds", "tierGetDuration"], ["cache_set_duration_seconds", "tierSetDuration"]] as const
    )("[S4-33] %s is a histogram of seconds by layer", ([name, metric]) =>
      Effect.gen(function*() {
        yield* MetricSeries.observe(metric, { layer: "disk" }, Duration.millis(20))
        yield* MetricSeries.observe(metric, { layer: "disk" }, Duration.millis(30))
        const [found, ...others] = yield* series(`keelson_${name}`)
        assert.isEmpty(others)
        assert.deepStrictEqual(found?.attributes, { layer: "disk" })
        assert.isTrue(found?.type === "Histogram" && found.state.count === 2 && Math.abs(found.state.sum - 0.05) < 1e-9)
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("[S4-33] the cache of tokens and one of objects share a family, by other labels", () =>
      Effect.gen(function*() {
        yield* MetricSeries.register("cacheHits", a, () => 1)
        yield* MetricSeries.register("tierHits", tier, () => 2)
        assert.deepStrictEqual(yield* hits, [[a, 1], [tier, 2]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))
  })

  describe("register", () => {
    it.effect("adds up the sources of one series, read when metrics are read", () =>
      Effect.gen(function*() {
        let first = 1
        yield* MetricSeries.register("cacheHits", a, () => first)
        yield* MetricSeries.register("cacheHits", a, () => 10)
        yield* MetricSeries.register("cacheHits", { server: "b" }, () => 100)
        assert.deepStrictEqual(yield* hits, [[a, 11], [{ server: "b" }, 100]])
        first = 5
        assert.deepStrictEqual(yield* hits, [[a, 15], [{ server: "b" }, 100]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("adds up sources that name their labels in another order", () =>
      Effect.gen(function*() {
        const read = () => 2
        yield* MetricSeries.register("tokenAcquisitions", { server: "a", status: "success" }, read)
        yield* MetricSeries.register("tokenAcquisitions", { status: "success", server: "a" }, read)
        const [found, ...others] = yield* series("keelson_token_acquisitions_total")
        assert.isEmpty(others)
        assert.strictEqual(found && valueOf(found), 4)
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("registers the same function twice as two sources", () =>
      Effect.gen(function*() {
        const read = () => 3
        const first = yield* registered(a, read)
        yield* registered(a, read)
        assert.deepStrictEqual(yield* hits, [[a, 6]])
        yield* first.leave
        assert.deepStrictEqual(yield* hits, [[a, 6]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("lets no counter fall when a source leaves; the series goes with the last", () =>
      Effect.gen(function*() {
        let count = 4
        const first = yield* registered(a, () => count)
        const second = yield* registered(a, () => 10)
        yield* first.leave
        count = 400
        assert.deepStrictEqual(yield* hits, [[a, 14]])
        const third = yield* registered(a, () => 1)
        assert.deepStrictEqual(yield* hits, [[a, 15]])
        yield* Effect.all([second.leave, third.leave])
        assert.deepStrictEqual(yield* hits, [])
        yield* registered(a, () => 2)
        assert.deepStrictEqual(yield* hits, [[a, 2]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("shows the worst state of a circuit's sources, and forgets one that left", () =>
      Effect.gen(function*() {
        const leaves = yield* Effect.forEach([0, 2, 1], (state) =>
          Effect.gen(function*() {
            const scope = yield* Scope.make()
            yield* Scope.provide(MetricSeries.register("circuitBreakerState", a, () => state), scope)
            return Scope.close(scope, Exit.void)
          }))
        const state = values("keelson_circuit_breaker_state")
        assert.deepStrictEqual(yield* state, [[a, 2]])
        yield* leaves[1]!
        assert.deepStrictEqual(yield* state, [[a, 1]])
        yield* leaves[2]!
        assert.deepStrictEqual(yield* state, [[a, 0]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("lets a source leave that fails, and goes on with the others", () =>
      Effect.gen(function*() {
        const fail = (): number => {
          throw new Error("broken")
        }
        const broken = yield* registered(a, fail)
        const alone = yield* registered({ server: "b" }, fail)
        yield* registered(a, () => 2)
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.all([broken.leave, alone.leave]))))
        assert.deepStrictEqual(yield* hits, [[a, 2]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("attaches one source to many series without a scope, each of them once", () =>
      Effect.gen(function*() {
        const context = yield* Effect.context()
        const source: MetricSeries.Source = {
          read: (name, labels) => name === "cacheHits" ? 3 : labels["server"] === "a" ? 5 : 0
        }
        for (let turn = 0; turn < 2; turn++) {
          MetricSeries.attach(context, "cacheHits", a, source)
          MetricSeries.attach(context, "cacheMisses", a, source)
        }
        const misses = values("keelson_cache_misses_total")
        assert.deepStrictEqual([yield* hits, yield* misses], [[[a, 3]], [[a, 5]]])
        MetricSeries.detach(context, "cacheHits", a, source)
        MetricSeries.detach(context, "cacheHits", a, source)
        assert.deepStrictEqual([yield* hits, yield* misses], [[], [[a, 5]]])
        MetricSeries.detach(context, "cacheMisses", a, source)
        assert.isEmpty(yield* Metric.snapshot)
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("shows attached durations as Effect's own histogram does, and keeps those of a source that left", () =>
      Effect.gen(function*() {
        const context = yield* Effect.context()
        const durations = new MetricSeries.Durations()
        const source = { read: () => durations }
        MetricSeries.attach(context, "jwksRefreshDuration", keySet, source)
        const shown = Effect.map(series("keelson_jwks_cache_refresh_duration_seconds"), ([one]) => one)
        const own = series("keelson_http_request_duration_seconds")
        for (const seconds of [0.02, 0.001, 0.3, 20, 10]) {
          durations.add(seconds)
          yield* MetricSeries.observe(
            "httpRequestDuration",
            { method: "GET", endpoint: "e" },
            Duration.seconds(seconds)
          )
          assert.deepStrictEqual((yield* shown)?.state, (yield* own)[0]?.state)
        }
        const second = { read: () => new MetricSeries.Durations() }
        MetricSeries.attach(context, "jwksRefreshDuration", keySet, second)
        MetricSeries.detach(context, "jwksRefreshDuration", keySet, source)
        assert.deepStrictEqual((yield* shown)?.state, (yield* own)[0]?.state)
        assert.deepStrictEqual(
          Object.keys((yield* shown) ?? {}).toSorted(),
          Object.keys((yield* own)[0] ?? {}).toSorted()
        )
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("keeps sources apart that were registered under different attributes of the context", () =>
      Effect.gen(function*() {
        const tenant = (name: string) => Effect.provideService(Metric.CurrentMetricAttributes, { tenant: name })
        yield* MetricSeries.register("cacheHits", a, () => 1).pipe(tenant("x"))
        yield* MetricSeries.register("cacheHits", a, () => 2).pipe(tenant("y"))
        assert.deepStrictEqual((yield* hits).map(([labels, value]) => [labels?.["tenant"], value]), [["x", 1], [
          "y",
          2
        ]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))
  })

  describe("registry and prefix", () => {
    it.effect("[S3-30] counts of one process meet in one registry, whoever counts", () =>
      Effect.gen(function*() {
        yield* Effect.forkChild(MetricSeries.increment("retryAttempts", a), { startImmediately: true })
        yield* MetricSeries.increment("retryAttempts", a, 2)
        assert.deepStrictEqual(yield* values("keelson_retry_attempts_total"), [[a, 3]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("[S3-30] an isolated registry starts from zero and disturbs no other, one inside the other too", () =>
      Effect.gen(function*() {
        const attempts = values("keelson_retry_attempts_total")
        const count = Effect.andThen(MetricSeries.increment("retryAttempts", a), attempts)
        yield* count
        assert.deepStrictEqual(yield* Effect.provide(count, Metrics.layerIsolated), [[a, 1]])
        assert.deepStrictEqual(yield* Effect.provide(count, Metrics.layerIsolated), [[a, 1]])
        assert.deepStrictEqual(yield* attempts, [[a, 1]])
      }).pipe(Effect.provide(Metrics.layerIsolated)))

    it.effect("[S3-29] every name has the prefix in context", () =>
      Effect.gen(function*() {
        yield* updateAll
        const names = (yield* Metric.snapshot).map(({ id }) => id)
        assert.lengthOf(names, families.length)
        assert.isTrue(names.every((name) => name.startsWith("shop_") && !name.includes("keelson")))
      }).pipe(Effect.provideService(Metrics.Prefix, "shop_"), Effect.provide(Metrics.layerIsolated)))
  })

  describe("errors", () => {
    class Other extends Data.TaggedError("Other") {}
    const counted = (error: unknown) =>
      Effect.gen(function*() {
        yield* Effect.exit(Metrics.countErrors("a")(Effect.fail(error)))
        return (yield* values("keelson_errors_total")).map(([labels]) => [labels?.["error_code"], labels?.["category"]])
      }).pipe(Effect.provide(Metrics.layerIsolated))

    it.effect("[S3-29] counts errors by the id and category of their code, and by INT-001 where they have none", () =>
      Effect.gen(function*() {
        const expired = KeelsonError.make({ code: "TOKEN_EXPIRED" })
        assert.deepStrictEqual(yield* counted(expired), [["TOK-002", "AUTHENTICATION"]])
        const reset = Object.assign(new Error("read"), { code: "ECONNRESET" })
        assert.deepStrictEqual(yield* counted(reset), [["NET-002", "NETWORK"]])
        assert.deepStrictEqual(yield* counted(new Other()), [["INT-001", "INTERNAL"]])
        assert.deepStrictEqual(yield* counted("text"), [["INT-001", "INTERNAL"]])
      }))

    it.effect("passes the error and the value on, and counts neither a value nor a defect", () =>
      Effect.gen(function*() {
        const count = Metrics.countErrors("a")
        const error = new Other()
        assert.deepStrictEqual(yield* Effect.exit(count(Effect.fail(error))), Exit.fail(error))
        assert.strictEqual(yield* count(Effect.succeed(1)), 1)
        yield* Effect.exit(count(Effect.die("defect")))
        const [one] = yield* values("keelson_errors_total")
        assert.strictEqual(one?.[1], 1)
      }).pipe(Effect.provide(Metrics.layerIsolated)))
  })

  describe("as they come from the modules that count", () => {
    const unwell = HttpClient.make((request) =>
      Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 503 })))
    )

    it.effect("[S3-28] a Resilience counts its retries, its breaker's rejections and state, and [S3-29] its errors", () =>
      Effect.gen(function*() {
        const resilience = yield* Resilience.make("a", {
          retry: { maxAttempts: 2, initialDelay: "0 millis" },
          breaker: { failureThreshold: 1 }
        })
        const call = Effect.exit(resilience.http(unwell).get("http://origin.test/"))
        yield* Effect.all([call, call, call])
        assert.deepStrictEqual(yield* values("keelson_retry_attempts_total"), [[a, 1]])
        assert.deepStrictEqual(yield* values("keelson_circuit_breaker_state"), [[a, 1]])
        assert.deepStrictEqual(yield* values("keelson_circuit_breaker_rejections_total"), [[a, 2]])
        assert.deepStrictEqual(yield* values("keelson_circuit_breaker_calls_total"), [[a, 3]])
        const errors = (yield* values("keelson_errors_total")).map(([labels, n]) => [labels?.["error_code"], n])
        assert.deepStrictEqual(errors, [["NET-005", 1], ["NET-007", 2]])
      }).pipe(Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))

    it.effect("[S3-28] the state gauge is 0 closed, 1 open, 2 half-open", () =>
      Effect.gen(function*() {
        const breaker = yield* Breaker.make("a", { failureThreshold: 1, openDuration: "0 millis" })
        const state = Effect.map(values("keelson_circuit_breaker_state"), ([one]) => one?.[1])
        assert.strictEqual(yield* state, 0)
        yield* Effect.exit(breaker.execute(Effect.fail("down")))
        assert.strictEqual(yield* state, 1)
        yield* breaker.execute(Effect.flatMap(state, (now) => Effect.sync(() => assert.strictEqual(now, 2))))
        assert.strictEqual(yield* state, 0)
      }).pipe(Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))

    it.effect("names everything that a breaker counts with the prefix around the program", () =>
      Effect.gen(function*() {
        const breaker = yield* Breaker.make("a", { failureThreshold: 1 })
        yield* Effect.exit(breaker.execute(Effect.fail("down")))
        const names = (yield* Metric.snapshot).map(({ id }) => id)
        assert.include(names, "shop_circuit_breaker_transitions_total")
        assert.isTrue(names.every((name) => name.startsWith("shop_")))
      }).pipe(
        Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated]),
        Effect.provideService(Metrics.Prefix, "shop_")
      ))
  })
})
