/** Whole calls through `Resilience`: which failures count against a service, and which say nothing about it. */
import { assert, describe, it } from "@effect/vitest"
import { attempt } from "@keelson/testing/attempt"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Effect, Exit, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { SqlError } from "effect/sql"
import { Breaker, BreakerStore, ErrorCode, HttpRetry, Metrics, Resilience, RetryPolicy } from "../src/index.ts"
import { isIdempotent } from "../src/internal/retry/httpAttempt.ts"
import { brokenOrigin } from "./classification/brokenOrigin.ts"

const retry = { maxAttempts: 3, initialDelay: "0 millis", jitter: "none" } as const

const guarded = (options?: Resilience.Options) =>
  Resilience.make("billing", { retry, breaker: { failureThreshold: 1, openDuration: "0 millis" }, ...options })

const stores = Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated, FetchHttpClient.layer])

describe("Resilience, by what a failure is evidence of", () => {
  it.live("[K-28 D1] retries a call whose body broke off, and counts it as a failure", () =>
    Effect.gen(function*() {
      const origin = yield* brokenOrigin
      const client = yield* HttpClient.HttpClient
      const { breaker, execute } = yield* guarded()
      let calls = 0
      const call = Effect.suspend(() => {
        calls++
        return Effect.flatMap(client.get(`${origin}/body-reset`), (response) => response.text)
      })
      const error = yield* Effect.flip(execute(call))
      assert.deepStrictEqual([ErrorCode.codeOf(error), calls], ["NETWORK_ERROR", 3])
      assert.deepInclude(yield* breaker!.snapshot, { failureCount: 1, successCount: 0, state: "OPEN" })
    }).pipe(Effect.scoped, stores))

  it.live("[K-28 D1] a probe whose body broke off leaves the circuit open", () =>
    Effect.gen(function*() {
      const origin = yield* brokenOrigin
      const client = yield* HttpClient.HttpClient
      const { breaker, execute } = yield* guarded()
      yield* Effect.ignore(execute(Effect.fail("down")))
      const probe = Effect.flatMap(client.get(`${origin}/body-reset`), (response) => response.json)
      yield* Effect.ignore(execute(probe))
      assert.strictEqual(yield* breaker!.state, "OPEN")
    }).pipe(Effect.scoped, stores))

  it.live("[K-28 D1] HttpRetry repeats a request whose body is read below it and broke off", () =>
    Effect.gen(function*() {
      const origin = yield* brokenOrigin
      let calls = 0
      const reading = HttpClient.tap(yield* HttpClient.HttpClient, (response) => {
        calls++
        return response.text
      })
      yield* Effect.flip(HttpRetry.retry(reading, RetryPolicy.make(retry)).get(`${origin}/chunk-closed`))
      assert.strictEqual(calls, 3)
    }).pipe(Effect.scoped, stores))

  const unsendable = [
    ["a header with a line break", HttpClientRequest.get("http://127.0.0.1:2/", { headers: { "x-name": "a\r\nb" } })],
    ["an unknown scheme", HttpClientRequest.get("ftp://127.0.0.1/")],
    ["a malformed URL", HttpClientRequest.get("http://[/")]
  ] as const
  it.live.each(unsendable)(
    "[K-28 D3] %s is neither retried nor counted, and closes no circuit to others",
    ([, request]) =>
      Effect.gen(function*() {
        const client = yield* HttpClient.HttpClient
        const retries: Array<number> = []
        const { breaker, http } = yield* guarded({ retry, breaker: { failureThreshold: 1, openDuration: "1 hour" } })
        const calls = http(client, { onRetry: ({ attempt }) => void retries.push(attempt) })
        for (let n = 0; n < 3; n++) {
          assert.strictEqual(ErrorCode.codeOf(yield* Effect.flip(calls.execute(request))), "REQUEST_INVALID")
        }
        assert.deepStrictEqual(retries, [])
        assert.deepInclude(yield* breaker!.snapshot, { failureCount: 0, successCount: 0, state: "CLOSED" })
      }).pipe(Effect.scoped, stores)
  )

  it("[K-28 D3] a client that dies with a request that cannot be sent is ignored too", () => {
    const defect = Object.assign(new TypeError("Invalid character in header content"), { code: "ERR_INVALID_CHAR" })
    assert.strictEqual(Breaker.classify(Exit.die(defect))._tag, "Ignored")
    assert.strictEqual(Breaker.classify(Exit.die(new TypeError("x is not a function")))._tag, "Failure")
  })

  it.live("[K-28 D4] a call that its caller aborts is neither retried nor counted; a timeout is NET-001", () =>
    Effect.gen(function*() {
      const origin = yield* brokenOrigin
      const { breaker, execute } = yield* guarded()
      const call = (signal: () => AbortSignal) => {
        let calls = 0
        const self = attempt(() => {
          calls++
          return fetch(`${origin}/hang`, { signal: signal() })
        })
        return Effect.map(Effect.flip(execute(self)), (error) => [ErrorCode.codeOf(error), calls])
      }
      assert.deepStrictEqual(yield* call(() => AbortSignal.abort()), ["CANCELLED", 1])
      assert.strictEqual(yield* breaker!.state, "CLOSED")
      assert.deepStrictEqual(yield* call(() => AbortSignal.timeout(1)), ["TIMEOUT", 3])
      assert.strictEqual(ErrorCode.codeInfo.TIMEOUT.id, "NET-001")
      assert.strictEqual(yield* breaker!.state, "OPEN")
    }).pipe(Effect.scoped, stores))

  it.effect("[K-28 D5] three duplicate keys leave the circuit to a database closed", () =>
    Effect.gen(function*() {
      const { breaker, execute } = yield* guarded({ retry, breaker: { failureThreshold: 3 } })
      let calls = 0
      const insert = Effect.suspend(() => {
        calls++
        const cause = new Error("duplicate key")
        return Effect.fail(
          new SqlError.SqlError({ reason: new SqlError.UniqueViolation({ cause, constraint: "orders_pkey" }) })
        )
      })
      for (let n = 0; n < 3; n++) assert.strictEqual((yield* runOut(execute(insert))).exit._tag, "Failure")
      assert.deepStrictEqual([calls, yield* breaker!.state], [3, "CLOSED"])
    }).pipe(Effect.scoped, stores))

  it.effect("[K-28 D5] a response that does not match its schema is no evidence, also as a probe", () =>
    Effect.gen(function*() {
      const { breaker, execute } = yield* guarded()
      const decode = Schema.decodeUnknownEffect(Schema.Struct({ amount: Schema.Number }))({})
      yield* runOut(execute(decode))
      assert.strictEqual(yield* breaker!.state, "CLOSED")
      yield* runOut(execute(Effect.fail("down")))
      yield* runOut(execute(decode))
      assert.strictEqual(yield* breaker!.state, "HALF_OPEN")
    }).pipe(Effect.scoped, stores))

  it("[K-28 D6] QUERY is idempotent (RFC 10008)", () => {
    assert.isTrue(isIdempotent(HttpClientRequest.make("QUERY")("http://billing.test/")))
  })

  it("[K-28 D5] an error that is not a failure of the call stays one where nothing is known of it", () => {
    for (const error of ["down", new Error("x"), new Cause.NoSuchElementError()]) {
      assert.strictEqual(Breaker.classify(Exit.fail(error))._tag, "Failure")
    }
  })
})
