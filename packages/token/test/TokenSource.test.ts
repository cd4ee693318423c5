import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { Effect, Fiber, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { TokenProvider, TokenSource } from "../src/index.ts"
import { isTransient } from "../src/internal/provider/isTransient.ts"
import { detailsOf, failure } from "./tokenSupport.ts"

/** A source over an `HttpClient` that responds with these statuses in turn. */
const overHttp = (...statuses: ReadonlyArray<number>) => {
  let number = 0
  const client = HttpClient.filterStatusOk(HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(
      request,
      Response.json({ token: "abc" }, { status: statuses[number++] ?? 200, headers: { "retry-after": "5" } })
    ))
  ))
  const source = Effect.as(client.get("https://idp.example/own?key=hidden"), { accessToken: Redacted.make("abc") })
  return { source, requests: () => number }
}

const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 second", jitter: "none" } as const

describe("TokenSource", () => {
  describe("isTransient", () => {
    const cases: ReadonlyArray<readonly [string, unknown, boolean]> = [
      ["TIMEOUT", failure("TIMEOUT"), true],
      ["NETWORK_ERROR", failure("NETWORK_ERROR"), true],
      ["RATE_LIMITED", failure("RATE_LIMITED"), true],
      ["502", failure("UPSTREAM_UNAVAILABLE", { status: 502 }), true],
      ["503", failure("UPSTREAM_UNAVAILABLE", { status: 503 }), true],
      ["504", failure("UPSTREAM_UNAVAILABLE", { status: 504 }), true],
      ["500", failure("UPSTREAM_UNAVAILABLE", { status: 500 }), false],
      ["5xx of an unknown status", failure("UPSTREAM_UNAVAILABLE"), false],
      ["TLS_FAILED", failure("TLS_FAILED"), false],
      ["CIRCUIT_OPEN", failure("CIRCUIT_OPEN"), false],
      ["a refusal", new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED" }), false],
      ["a refused connection of Node's", Object.assign(new Error("no"), { code: "ECONNREFUSED" }), true],
      ["an error of nobody's", new Error("no"), false],
      ["a text", "no", false],
      ["nothing", undefined, false]
    ]
    for (const [what, error, expected] of cases) {
      it(`[R15] ${what}: ${expected}`, () => assert.strictEqual(isTransient(error), expected))
    }
  })

  it.effect("[R15] a source over an HttpClient is retried by status, with its Retry-After as the minimum delay", () =>
    Effect.gen(function*() {
      const { requests, source } = overHttp(503, 429)
      const provider = yield* TokenProvider.make({ name: "own", source, resilience: { retry } })
      const fiber = yield* Effect.forkChild(provider.get, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(requests(), 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(Redacted.value((yield* Fiber.join(fiber)).value), "abc")
      assert.strictEqual(requests(), 3)
    }).pipe(Effect.scoped))

  it.effect("[R15] [R21] a 500 is not retried, and the error contains nothing of the request", () =>
    Effect.gen(function*() {
      const { requests, source } = overHttp(500, 500)
      const provider = yield* TokenProvider.make({ name: "own", source, resilience: { retry } })
      const error = yield* Effect.flip(provider.get)
      assert.strictEqual(error.code, "UPSTREAM_UNAVAILABLE")
      assert.deepStrictEqual(detailsOf(error), { error: "HttpClientError", server: "own", attempts: 1 })
      assert.strictEqual(requests(), 1)
    }).pipe(Effect.scoped))

  it.effect("a source decides which of its errors are retried", () =>
    Effect.gen(function*() {
      let attempts = 0
      const source = TokenSource.fromEffect(
        Effect.suspend(() => Effect.fail(`failure ${++attempts}`)),
        (error) => error === "failure 1"
      )
      const provider = yield* TokenProvider.make({ name: "own", source, resilience: { retry } })
      const fiber = yield* Effect.forkChild(Effect.flip(provider.get), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).code, "TOKEN_ACQUISITION_FAILED")
      assert.strictEqual(attempts, 2)
    }).pipe(Effect.scoped))

  it.effect("a retryAfter of an error that is not a duration is ignored", () =>
    Effect.gen(function*() {
      let attempts = 0
      const source = Effect.suspend(() =>
        ++attempts === 1
          ? Effect.fail(Object.assign(failure("RATE_LIMITED"), { retryAfter: "not a duration" }))
          : Effect.succeed({ accessToken: Redacted.make("abc") })
      )
      const provider = yield* TokenProvider.make({ name: "own", source, resilience: { retry } })
      const fiber = yield* Effect.forkChild(provider.get, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(attempts, 2)
    }).pipe(Effect.scoped))
})
