import { assert, describe, it } from "@effect/vitest"
import { exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Effect } from "effect"
import { HttpClient, type HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpRetry, RetryPolicy } from "../../src/index.ts"

type Requested = Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError>

describe("HttpRetry", () => {
  it.effect("[K-13] a POST that was sent is not repeated because its client hangs while it prepares it once more", () =>
    Effect.gen(function*() {
      let sent = 0
      let prepared = 0
      const server = HttpClient.make((request) =>
        Effect.sync(() => {
          sent++
          return HttpClientResponse.fromWeb(request, new Response(null, { status: 401 }))
        })
      )
      // Sends the request once more after a 401, with a signature made anew.
      const again = HttpClient.makeWith<HttpClientError.HttpClientError, never, HttpClientError.HttpClientError, never>(
        (request: Requested) => Effect.andThen(server.postprocess(request), server.postprocess(request)),
        server.preprocess
      )
      const signing = HttpClient.mapRequestEffect(
        again,
        (request) => Effect.suspend(() => ++prepared % 2 === 0 ? Effect.never : Effect.succeed(request))
      )
      const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "1 millis", attemptTimeout: "1 second" })
      const { exit } = yield* runOut(HttpRetry.retry(signing, policy).post("https://billing.test/orders"))
      assert.strictEqual(exhausted(exit).stoppedBy, "unsafeMethod")
      assert.strictEqual(sent, 1)
    }))
})
