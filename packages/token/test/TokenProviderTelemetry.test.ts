import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { metric, recording } from "@keelson/testing/observe"
import { Duration, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { TokenEvent, TokenProvider } from "../src/index.ts"
import { down, inTurn, living, providerOf, slow } from "./tokenSupport.ts"

/** The events of a provider from now on. */
const eventsOf = Effect.fnUntraced(function*({ events }: TokenProvider.TokenProvider["Service"]) {
  const seen: Array<TokenEvent.TokenEvent> = []
  const listening = Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event)))
  yield* Effect.forkScoped(listening, { startImmediately: true })
  return seen
})

const retry = { maxAttempts: 2, strategy: "fixed", initialDelay: "3 seconds", jitter: "none" } as const
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** An event without members that differ from run to run. */
const plain = (event: TokenEvent.TokenEvent) =>
  Object.fromEntries(Object.entries(event).filter(([name]) => !["attemptId", "spanId", "traceId"].includes(name)))

/** Runs an effect while the test clock advances. */
const inTime = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(fiber)
  })

describe("TokenProvider telemetry", () => {
  describe("events", () => {
    it.effect("[S2-13] [S2-22] report a success with its retries, under one attempt id", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(down, living("300 seconds")), { resilience: { retry } })
        const events = yield* eventsOf(provider)
        yield* inTime(provider.get)
        const server = "billing"
        assert.deepStrictEqual(events.map(plain), [
          { _tag: "RefreshStarted", cause: "lookup", server, at: 0 },
          {
            _tag: "RefreshRetried",
            attempt: 1,
            delay: Duration.seconds(3),
            errorKind: "NETWORK_ERROR",
            server,
            at: 0
          },
          {
            _tag: "Refreshed",
            attempts: 2,
            issuedAt: 3000,
            expiresAt: 303_000,
            discarded: false,
            server,
            at: 3000
          },
          {
            _tag: "RefreshCompleted",
            success: true,
            attempts: 2,
            elapsed: Duration.nanos(3_000_000_000n),
            server,
            at: 3000
          }
        ])
        assert.strictEqual(new Set(events.map(({ attemptId }) => attemptId)).size, 1)
        assert.match(events[0]?.attemptId ?? "", uuid)
      }).pipe(Effect.scoped))

    it.effect("[S2-14] [S2-22] report failures, and the escalation once", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(down, { policy: { escalateAfter: 2 } })
        const events = yield* eventsOf(provider)
        for (let i = 0; i < 3; i++) yield* Effect.flip(provider.get)
        const tags = ["RefreshStarted", "RefreshFailed", "RefreshCompleted"]
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), [...tags, ...tags, "RefreshEscalated", ...tags])
        assert.deepInclude(plain(events[2]!), { _tag: "RefreshCompleted", success: false, attempts: 1 })
        assert.deepInclude(plain(events[4]!), {
          _tag: "RefreshFailed",
          attempts: 1,
          errorKind: "NETWORK_ERROR",
          consecutiveFailures: 2
        })
        assert.strictEqual(new Set(events.map(({ attemptId }) => attemptId)).size, 3)
      }).pipe(Effect.scoped))

    it.effect("[S2-22] report why a token was acquired, and whether it was discarded", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("300 seconds"))
        const events = yield* eventsOf(provider)
        const first = yield* provider.get
        yield* TestClock.adjust("240 seconds")
        yield* provider.get
        yield* provider.refresh
        server.answer = slow(living("300 seconds"), "1 second")
        yield* TestClock.adjust("31 seconds")
        yield* Effect.forkChild(provider.replace(yield* provider.get), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        const current = yield* provider.get
        yield* Effect.forkChild(provider.refresh, { startImmediately: true })
        yield* provider.invalidate(current)
        yield* TestClock.adjust("2 seconds")
        assert.isFalse(yield* provider.invalidate(first))
        const causes = events.flatMap((event) => event._tag === "RefreshStarted" ? [event.cause] : [])
        assert.deepStrictEqual(causes, ["lookup", "due", "forced", "refused", "forced", "refused"])
        const discarded = events.flatMap((event) => event._tag === "Refreshed" ? [event.discarded] : [])
        assert.deepStrictEqual(discarded, [false, false, false, false, true, false])
      }).pipe(Effect.scoped))

    it.effect("a lifetime that is limited logs a warning", () => {
      const { lines, record } = recording()
      return Effect.gen(function*() {
        const { provider } = yield* providerOf(living("30 days"))
        yield* provider.get
        const [warning, ...others] = lines.filter((line) => line.includes("\"WARN\""))
        assert.include(warning, "maxLifetime")
        assert.include(warning, "billing")
        assert.isEmpty(others)
      }).pipe(Effect.scoped, record)
    })

    it.effect("[S2-13] [S2-22] [S2-23] are logged under the names of the row, with the ids of trace and span", () => {
      const { lines, record, spans } = recording()
      return Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(living("300 seconds"), down), { policy: { escalateAfter: 1 } })
        yield* provider.get
        yield* Effect.flip(provider.refresh)
        const logged = lines.map((
          line
        ): { readonly message: string; readonly level: string; readonly annotations: unknown } => JSON.parse(line))
        assert.deepStrictEqual(logged.map(({ level, message }) => [message, level]), [
          ["refresh.start", "DEBUG"],
          ["refresh.success", "DEBUG"],
          ["retry.outcome", "DEBUG"],
          ["refresh.start", "DEBUG"],
          ["refresh.failure", "ERROR"],
          ["retry.outcome", "DEBUG"],
          ["refresh.escalated", "FATAL"]
        ])
        const [first, second] = spans.filter(({ name }) => name === "TokenProvider.acquire")
        assert.deepInclude(logged[0]?.annotations, {
          traceId: first?.traceId,
          spanId: first?.spanId,
          server: "billing"
        })
        assert.deepInclude(logged[3]?.annotations, {
          traceId: second?.traceId,
          spanId: second?.spanId,
          cause: "forced"
        })
        assert.strictEqual(first?.attributes.get("cause"), "lookup")
        assert.deepInclude(logged[1]?.annotations, { outcome: "Success", attempts: 1, expiresAt: 300_000 })
        assert.deepInclude(logged[2]?.annotations, {
          operation: "get_scoped_token",
          success: true,
          attempts: 1,
          elapsed: 0
        })
        assert.deepInclude(logged[4]?.annotations, { outcome: "Failed", errorKind: "NETWORK_ERROR" })
      }).pipe(Effect.scoped, record)
    })
  })

  it.effect("[S2-22] a retry is logged with its outcome, its delay and its error", () => {
    const { lines, record } = recording()
    return Effect.gen(function*() {
      const { provider } = yield* providerOf(inTurn(down, living("300 seconds")), { resilience: { retry } })
      yield* inTime(provider.get)
      const line: { readonly level: string; readonly annotations: unknown } = JSON.parse(
        lines.find((one) => one.includes("\"refresh.retry\"")) ?? "{}"
      )
      assert.strictEqual(line.level, "WARN")
      assert.deepInclude(line.annotations, { outcome: "Retrying", delay: 3000, errorKind: "NETWORK_ERROR" })
    }).pipe(Effect.scoped, record)
  })

  describe("metrics", () => {
    it.effect("[S3-28] [S3-34] the first lookup is a miss, the next ones hits, and the duration is observed", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(slow(living("300 seconds"), "2 seconds"))
        yield* inTime(provider.get)
        yield* provider.get
        yield* provider.get
        const server = "server=\"billing\""
        assert.strictEqual(yield* metric("cache_misses_total", server), 1)
        assert.strictEqual(yield* metric("cache_hits_total", server), 2)
        assert.strictEqual(yield* metric("token_acquisitions_total", `${server},status="success"`), 1)
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_count", server), 1)
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_sum", server), 2)
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.effect("[K-28 J20] [S3-33] failed acquisitions are counted, and those that the circuit rejected are not", () =>
      Effect.gen(function*() {
        const resilience = { breaker: { failureThreshold: 3 } } as const
        const { provider } = yield* providerOf(inTurn(living("300 seconds"), down), { resilience })
        yield* provider.get
        for (let i = 0; i < 5; i++) yield* Effect.flip(provider.refresh)
        const server = "server=\"billing\""
        assert.strictEqual(yield* metric("token_acquisitions_total", `${server},status="failure"`), 3)
        assert.strictEqual(yield* metric("token_acquisitions_total", `${server},status="success"`), 1)
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_count", server), 4)
        assert.strictEqual(yield* metric("circuit_breaker_rejections_total", server), 2)
        const { consecutiveFailures, counts } = yield* provider.status
        assert.deepStrictEqual([consecutiveFailures, counts.failures, counts.acquisitions], [3, 5, 1])
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.effect("[K-28 J20] [S3-34] durations are the time taken, not the clock", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(
          inTurn(
            slow(living("300 seconds"), "2 seconds"),
            slow(down, "3 seconds"),
            slow(living("300 seconds"), "4 seconds")
          )
        )
        const events = yield* eventsOf(provider)
        yield* TestClock.adjust("1 hour")
        yield* inTime(provider.get)
        yield* inTime(Effect.flip(provider.refresh))
        yield* inTime(provider.refresh)
        const server = "server=\"billing\""
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_count", server), 3)
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_sum", server), 9)
        const elapsed = events.flatMap((event) =>
          event._tag === "RefreshCompleted" ? [Duration.toSeconds(event.elapsed)] : []
        )
        assert.deepStrictEqual(elapsed, [2, 3, 4])
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

    it.effect("[S3-28] [S3-33] failures, retries and rejections are counted, each once", () =>
      Effect.gen(function*() {
        const resilience = { retry, breaker: { failureThreshold: 1 } } as const
        const { provider } = yield* providerOf(down, { resilience })
        yield* inTime(Effect.flip(provider.get))
        yield* Effect.flip(provider.get)
        const server = "server=\"billing\""
        assert.strictEqual(yield* metric("token_acquisitions_total", `${server},status="failure"`), 1)
        assert.strictEqual(yield* metric("token_acquisition_duration_seconds_count", server), 1)
        assert.strictEqual(yield* metric("retry_attempts_total", server), 1)
        assert.strictEqual(yield* metric("circuit_breaker_rejections_total", server), 1)
        assert.strictEqual(yield* metric("circuit_breaker_state", server), 1)
        assert.include(yield* PrometheusEndpoint.format, "error_code=\"NET-002\"")
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
  })
})
