import { assert, describe, it } from "@effect/vitest"
import { BreakerStore, KeelsonError, Metrics, SingleFlight } from "@keelson/core"
import { metric } from "@keelson/testing/observe"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Context, Data, type Duration, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { TokenProvider, TokenProviderError } from "../src/index.ts"
import { detailsOf, down, failure, hanging, inTurn, living, providerOf, slow, textOf } from "./tokenSupport.ts"

class HsmUnreachable extends Data.TaggedError("HsmUnreachable")<{ readonly message: string }> {}

const begin = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 second", jitter: "none" } as const

/** Runs an effect while the test clock advances. */
const inTime = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* begin(self)
    yield* TestClock.adjust("2 minutes")
    return yield* Fiber.join(fiber)
  })

describe("TokenProvider failures", () => {
  describe("escalation", () => {
    it.effect("[S2-14] the third failure in a row escalates, once, until an acquisition succeeds", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(down)
        const codes: Array<string> = []
        for (let i = 0; i < 5; i++) codes.push((yield* Effect.flip(provider.get)).code)
        assert.deepStrictEqual(codes, [
          "NETWORK_ERROR",
          "NETWORK_ERROR",
          "TOKEN_REFRESH_FAILED",
          "TOKEN_REFRESH_FAILED",
          "TOKEN_REFRESH_FAILED"
        ])
        assert.strictEqual((yield* provider.status).counts.escalations, 1)
        server.answer = living("60 seconds")
        yield* provider.get
        const status = yield* provider.status
        assert.deepStrictEqual([status.consecutiveFailures, status.escalated, status.lastFailure], [
          0,
          false,
          undefined
        ])
        server.answer = down
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "NETWORK_ERROR")
      }).pipe(Effect.scoped))

    it.effect("[S2-14] its error is typed and has the code of the last failure", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(down, { policy: { escalateAfter: 1 } })
        const error = yield* Effect.flip(provider.get)
        assert.instanceOf(error, TokenProviderError.TokenRefreshFailed)
        assert.strictEqual(error.severity, "CRITICAL")
        assert.strictEqual(error.lastFailure, "NETWORK_ERROR")
        assert.deepStrictEqual(detailsOf(error), {
          server: "billing",
          attempts: 1,
          consecutive_failures: 1,
          last_failure: "NET-002"
        })
      }).pipe(Effect.scoped))

    it.effect("[S2-23] is counted", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(down, { policy: { escalateAfter: 1 } })
        yield* Effect.flip(provider.get)
        yield* Effect.flip(provider.get)
        assert.strictEqual(yield* metric("token_refresh_escalations_total", "server=\"billing\""), 1)
      }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
  })

  describe("errors", () => {
    it.effect("[S3-33] timeouts are NET-001, connection failures NET-002, others TOK-001, with server, attempts and error", () =>
      Effect.gen(function*() {
        const cases = [
          [() => Effect.fail(failure("TIMEOUT")), "TIMEOUT", { server: "billing", attempts: 1 }],
          [down, "NETWORK_ERROR", { server: "billing", attempts: 1 }],
          [
            () => Effect.fail(new HsmUnreachable({ message: "pin 1234" })),
            "TOKEN_ACQUISITION_FAILED",
            { error: "HsmUnreachable", server: "billing", attempts: 1 }
          ],
          [() => Effect.fail("no"), "TOKEN_ACQUISITION_FAILED", { server: "billing", attempts: 1 }]
        ] as const
        for (const [answer, code, details] of cases) {
          const { provider } = yield* providerOf(answer)
          const error = yield* Effect.flip(provider.get)
          assert.strictEqual(error.code, code)
          assert.deepStrictEqual(detailsOf(error), details)
        }
      }).pipe(Effect.scoped))

    it.effect("a defect of the source stays a defect, and the next caller acquires again", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(inTurn(() => Effect.die("broken"), living("300 seconds")))
        const exit = yield* Effect.exit(provider.get)
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual(textOf(yield* provider.get), "token-2")
      }).pipe(Effect.scoped))

    for (const [what, broken] of [["dies", Effect.die("broken")], ["interrupts itself", Effect.interrupt]] as const) {
      it.effect(`[K-10] a source that ${what} runs at growing intervals while the cached token is valid`, () =>
        Effect.gen(function*() {
          const { provider, server } = yield* providerOf(inTurn(living("300 seconds"), () => broken))
          yield* provider.get
          yield* TestClock.adjust("240 seconds")
          for (let i = 0; i < 10; i++) yield* provider.get
          assert.strictEqual(server.times.length, 2)
          yield* TestClock.adjust("1 second")
          for (let i = 0; i < 10; i++) yield* provider.get
          assert.strictEqual(server.times.length, 3)
        }).pipe(Effect.scoped))
    }

    it.effect("[K-28 E] a source's token that is no text of a header is refused, as a JSON without it gives", () =>
      Effect.gen(function*() {
        const values: ReadonlyArray<any> = [undefined, null, 7, "", "a b", "a\n"]
        for (const value of values) {
          const { provider } = yield* providerOf(() => Effect.succeed({ accessToken: Redacted.make(value) }))
          const error = yield* Effect.flip(provider.get)
          assert.deepStrictEqual([error.code, detailsOf(error)["reason"]], ["TOKEN_RESPONSE_INVALID", "access_token"])
        }
      }).pipe(Effect.scoped))

    it.effect("[S3-35] a token is validated before it is used", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(living("300 seconds"), {
          validate: (token) => textOf(token) === "token-1" ? Effect.fail("unknown signer") : Effect.void
        })
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "VALIDATION_FAILED")
        assert.strictEqual((yield* provider.status).token, undefined)
        assert.strictEqual(textOf(yield* provider.get), "token-2")
      }).pipe(Effect.scoped))

    it.effect("a token that is already expired on arrival is rejected", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(slow(living("60 seconds"), "54 seconds"))
        assert.strictEqual((yield* inTime(Effect.flip(provider.get))).code, "TOKEN_EXPIRED")
      }).pipe(Effect.scoped))

    it.effect("an empty or too long name fails", () =>
      Effect.gen(function*() {
        for (const name of ["", "x".repeat(201)]) {
          const error = yield* Effect.flip(TokenProvider.make({ name, source: Effect.never }))
          assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "name"])
        }
      }).pipe(Effect.scoped))
  })

  describe("status", () => {
    it.effect("[S2-05] counts lookups and acquisitions, and has the time of the last attempt", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(living("300 seconds"))
        assert.deepStrictEqual((yield* provider.status).counts, {
          hits: 0,
          misses: 0,
          acquisitions: 0,
          failures: 0,
          escalations: 0
        })
        const first = yield* provider.get
        yield* provider.get
        yield* TestClock.adjust("240 seconds")
        yield* provider.get
        yield* provider.replace(first)
        server.answer = down
        yield* Effect.flip(provider.refresh)
        const { counts, lastAttemptAt, lastFailure, state } = yield* provider.status
        assert.deepStrictEqual(counts, { hits: 3, misses: 1, acquisitions: 2, failures: 1, escalations: 0 })
        assert.deepStrictEqual([state, lastAttemptAt, lastFailure], ["Active", 240_000, "NETWORK_ERROR"])
      }).pipe(Effect.scoped))
  })

  describe("retry and breaker", () => {
    it.effect("a configured attempt timeout or deadline replaces the default of one minute", () =>
      Effect.gen(function*() {
        for (const resilience of [{ deadline: "90 seconds" }, { attemptTimeout: "90 seconds" }] as const) {
          const { provider } = yield* providerOf(hanging, { resilience })
          const fiber = yield* begin(Effect.flip(provider.get))
          yield* TestClock.adjust("89 seconds")
          assert.strictEqual(fiber.pollUnsafe(), undefined)
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* Fiber.join(fiber)).code, "TIMEOUT")
        }
      }).pipe(Effect.scoped))

    it.effect("[S3-26] [S3-33] with retries the third attempt succeeds; failed attempts are not counted", () =>
      Effect.gen(function*() {
        const { provider, server } = yield* providerOf(inTurn(down, down, living("300 seconds")), {
          resilience: { retry }
        })
        assert.strictEqual(textOf(yield* inTime(provider.get)), "token-3")
        assert.deepStrictEqual(server.times, [0, 1000, 2000])
        assert.strictEqual((yield* provider.status).consecutiveFailures, 0)
      }).pipe(Effect.scoped))

    it.effect("[S3-27] [R15] retries timeouts and connection errors only", () =>
      Effect.gen(function*() {
        const cases = [
          [() => Effect.fail(failure("TIMEOUT")), 3],
          [down, 3],
          [() => Effect.fail(failure("RATE_LIMITED", { status: 429 })), 3],
          [() => Effect.fail(failure("UPSTREAM_UNAVAILABLE", { status: 503 })), 3],
          [() => Effect.fail(failure("UPSTREAM_UNAVAILABLE", { status: 500 })), 1],
          [() => Effect.fail(failure("TLS_FAILED")), 1],
          [() => Effect.fail("no"), 1]
        ] as const
        for (const [answer, attempts] of cases) {
          const { provider, server } = yield* providerOf(answer, { resilience: { retry } })
          yield* inTime(Effect.flip(provider.get))
          assert.strictEqual(server.times.length, attempts)
        }
      }).pipe(Effect.scoped))

    it.effect("[S3-26] two failed acquisitions open the circuit; the third fails at once", () =>
      Effect.gen(function*() {
        const resilience = { retry, breaker: { failureThreshold: 2, openDuration: "10 minutes" } } as const
        const { provider, server } = yield* providerOf(down, { resilience })
        yield* inTime(Effect.flip(provider.get))
        yield* inTime(Effect.flip(provider.get))
        assert.strictEqual(server.times.length, 6)
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "CIRCUIT_OPEN")
        assert.strictEqual(server.times.length, 6)
        // It sent no request.
        assert.strictEqual((yield* provider.status).consecutiveFailures, 2)
        server.answer = living("300 seconds")
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(textOf(yield* provider.get), "token-7")
      }).pipe(Effect.scoped))

    it.effect("[S3-26] the circuit is kept in the store in context, so that providers of one name share it", () =>
      Effect.gen(function*() {
        const resilience = { breaker: { failureThreshold: 1 } } as const
        const one = yield* providerOf(down, { resilience })
        const other = yield* providerOf(living("300 seconds"), { resilience })
        yield* Effect.flip(one.provider.get)
        assert.strictEqual((yield* Effect.flip(other.provider.get)).code, "CIRCUIT_OPEN")
      }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory)))

    it.effect("a valid token is returned while the circuit is open", () =>
      Effect.gen(function*() {
        const resilience = { breaker: { failureThreshold: 1 } } as const
        const { provider } = yield* providerOf(inTurn(living("300 seconds"), down), { resilience })
        const first = yield* provider.get
        assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "NETWORK_ERROR")
        assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "CIRCUIT_OPEN")
        assert.strictEqual(yield* provider.get, first)
      }).pipe(Effect.scoped))

    it.effect("Retry-After is the minimum delay between attempts", () =>
      Effect.gen(function*() {
        const busy = () => Effect.fail(failure("RATE_LIMITED", { status: 429, retry_after_ms: 20_000 }))
        const { provider, server } = yield* providerOf(inTurn(busy, living("300 seconds")), { resilience: { retry } })
        yield* inTime(provider.get)
        assert.isAtLeast(server.times[1] ?? 0, 20_000)
        assert.isAtMost(server.times[1] ?? 0, 22_000)
      }).pipe(Effect.scoped))

    it.effect("policy options out of range fail", () =>
      Effect.gen(function*() {
        const make = (resilience: TokenProvider.Options["resilience"]) =>
          Effect.flip(TokenProvider.make({ name: "x", source: Effect.never, resilience }))
        assert.strictEqual((yield* make({ retry: { maxAttempts: 0 } })).code, "INVALID_CONFIG")
        const error = yield* Effect.flip(TokenProvider.make({ name: "x", source: Effect.never, policy: { jitter: 1 } }))
        assert.strictEqual(error.details["path"], "jitter")
      }).pipe(Effect.scoped))
  })

  describe("clocks", () => {
    it.effect("[R23] a wall clock that moves ahead by more than 30 s causes a refresh, and no failure", () =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        yield* Effect.gen(function*() {
          const { provider, server } = yield* providerOf(inTurn(living("1 hour"), slow(living("1 hour"), "1 second")))
          const first = yield* provider.get
          skew.millis += 30_000
          assert.strictEqual(yield* provider.get, first)
          assert.strictEqual(server.times.length, 1)
          skew.millis += 1
          assert.strictEqual(yield* provider.get, first)
          assert.strictEqual(server.times.length, 2)
          yield* TestClock.adjust("1 second")
          const second = yield* provider.get
          assert.strictEqual(textOf(second), "token-2")
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* provider.get, second)
          assert.strictEqual(server.times.length, 2)
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }).pipe(Effect.scoped))

    it.effect("[R23] after the machine was suspended, a token that expired meanwhile is not returned", () =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        yield* Effect.gen(function*() {
          const { provider } = yield* providerOf(living("1 hour"))
          yield* provider.get
          skew.millis += 3_600_000
          assert.strictEqual((yield* provider.status).state, "Invalid")
          assert.strictEqual(textOf(yield* provider.get), "token-2")
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }).pipe(Effect.scoped))

    it.effect("[R23] a wall clock that is set back has no effect", () =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        yield* Effect.gen(function*() {
          const { provider, server } = yield* providerOf(living("300 seconds"))
          const first = yield* provider.get
          skew.millis -= 86_400_000
          assert.strictEqual(yield* provider.get, first)
          yield* TestClock.adjust("270 seconds")
          assert.strictEqual(textOf(yield* provider.get), "token-2")
          assert.strictEqual(server.times.length, 2)
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }).pipe(Effect.scoped))

    it.effect("[R23] a token that a clock change made expired on arrival is requested again", () =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        yield* Effect.gen(function*() {
          const { provider, server } = yield* providerOf(
            inTurn(slow(living("60 seconds"), "1 second"), living("60 seconds"))
          )
          const fiber = yield* begin(provider.get)
          skew.millis += 600_000
          yield* TestClock.adjust("1 second")
          assert.strictEqual(textOf(yield* Fiber.join(fiber)), "token-2")
          assert.strictEqual(server.times.length, 2)
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }).pipe(Effect.scoped))
  })

  describe("a refresh that fails", () => {
    const refusals: ReadonlyArray<readonly [what: string, error: unknown]> = [
      ["an upstream refusal", new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED" })],
      ["an invalid response", new KeelsonError.AuthenticationError({ code: "TOKEN_RESPONSE_INVALID" })],
      ["a spent refresh token", new KeelsonError.AuthenticationError({ code: "TOKEN_REFRESH_FAILED" })],
      ["an unusable key", new KeelsonError.ConfigurationError({ code: "KEY_INVALID" })],
      ["a rate limit", failure("RATE_LIMITED", { status: 429, retry_after_ms: 5_000 })],
      ["an outage", failure("UPSTREAM_UNAVAILABLE", { status: 503 })],
      ["a refused redirect", failure("EGRESS_REFUSED")],
      ["any other error", "no"]
    ]
    for (const [what, error] of refusals) {
      it.effect(`[K-28 J9] [K-28 G5] [S2-10] after ${what} the held token stays, for a forced, a due and a refused one`, () =>
        Effect.gen(function*() {
          const { provider } = yield* providerOf(inTurn(living("300 seconds"), () => Effect.fail(error)))
          const first = yield* provider.get
          yield* Effect.flip(provider.refresh)
          assert.strictEqual(yield* provider.get, first)
          yield* Effect.flip(provider.replace(first))
          assert.strictEqual(yield* provider.get, first)
          yield* TestClock.adjust("250 seconds")
          yield* provider.get
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* provider.get, first)
          assert.strictEqual((yield* provider.status).token, first)
        }).pipe(Effect.scoped))
    }

    it.effect("[K-28 J9] [S3-35] a new token that its check rejects leaves the held one", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerOf(living("300 seconds"), {
          validate: (token) => textOf(token) === "token-1" ? Effect.void : Effect.fail("unknown signer")
        })
        const first = yield* provider.get
        assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "VALIDATION_FAILED")
        assert.strictEqual(yield* provider.get, first)
      }).pipe(Effect.scoped))
  })

  describe("due refreshes", () => {
    /** The causes of the acquisitions that start in the background. */
    const startedBy = (monotonic: Duration.Input, wall: number) =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        return yield* Effect.gen(function*() {
          const { provider, server } = yield* providerOf(living("300 seconds"))
          const causes: Array<string> = []
          const listening = Stream.runForEach(provider.events, (event) =>
            Effect.sync(() => {
              if (event._tag === "RefreshStarted") causes.push(event.cause)
            }))
          yield* Effect.forkScoped(listening, { startImmediately: true })
          const first = yield* provider.get
          yield* TestClock.adjust(monotonic)
          skew.millis += wall
          assert.strictEqual(yield* provider.get, first)
          yield* TestClock.adjust(1)
          return [server.times.length, ...causes]
        }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
      })

    for (
      const [monotonic, wall, expected] of [
        ["239 seconds", 0, [1, "lookup"]],
        ["240 seconds", 0, [2, "lookup", "due"]],
        // The wall clock alone says that it is due, and has not diverged.
        ["220 seconds", 19_999, [1, "lookup"]],
        ["220 seconds", 20_000, [2, "lookup", "due"]],
        ["220 seconds", 29_000, [2, "lookup", "due"]],
        // The monotonic clock alone says so.
        ["240 seconds", -100_000, [2, "lookup", "due"]],
        ["100 seconds", 31_000, [2, "lookup", "clock"]]
      ] as const
    ) {
      it.effect(`[K-28 J7] [R23] after ${monotonic} and a wall clock ${wall} ms ahead: ${expected.join(", ")}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* startedBy(monotonic, wall), [...expected])
        }))
    }

    it.effect("[K-28 J7] [R23] the delay after a failed refresh ends by either clock", () =>
      Effect.gen(function*() {
        const { clock, skew } = yield* skewedClock
        yield* Effect.gen(function*() {
          const { provider, server } = yield* providerOf(inTurn(living("1 hour"), down), {
            policy: { failureDelay: "20 seconds" }
          })
          yield* provider.get
          yield* Effect.flip(provider.refresh)
          yield* TestClock.adjust("3480 seconds")
          yield* provider.get
          yield* TestClock.adjust(1)
          assert.strictEqual(server.times.length, 3)
          yield* provider.get
          yield* TestClock.adjust(1)
          assert.strictEqual(server.times.length, 3)
          skew.millis += 25_000
          yield* provider.get
          yield* TestClock.adjust(1)
          assert.strictEqual(server.times.length, 3)
          skew.millis += 15_000
          yield* provider.get
          yield* TestClock.adjust(1)
          assert.strictEqual(server.times.length, 4)
        }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
      }))
  })

  describe("the end of the scope", () => {
    it.effect("[R28] fails waiting and later callers at once with a typed error", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { provider, server } = yield* Scope.provide(providerOf(inTurn(living("1 hour"), hanging)), scope)
        const first = yield* provider.get
        const waiting = yield* begin(Effect.flip(provider.refresh))
        yield* Scope.close(scope, Exit.void)
        assert.instanceOf(yield* Fiber.join(waiting), SingleFlight.Closed)
        for (const call of [provider.get, provider.refresh, provider.replace(first)]) {
          assert.strictEqual((yield* Effect.flip(call)).code, "SHUTTING_DOWN")
        }
        assert.isFalse(yield* provider.invalidate(first))
        assert.strictEqual((yield* provider.status).state, "Invalid")
        assert.strictEqual(server.underWay(), 0)
      }))

    it.effect("a provider from the layer lives as long as the layer", () =>
      Effect.gen(function*() {
        const source = Effect.succeed({ accessToken: Redacted.make("of-the-layer") })
        const layer = TokenProvider.layer({ name: "billing", source })
        const provider = yield* Effect.scoped(Effect.gen(function*() {
          const provider = Context.get(yield* Layer.build(layer), TokenProvider.TokenProvider)
          assert.strictEqual(textOf(yield* provider.get), "of-the-layer")
          return provider
        }))
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "SHUTTING_DOWN")
      }))
  })
})
