/**
 * Retries for an `HttpClient`. One loop handles errors *and* responses, so `maxAttempts` bounds the calls for any mix of
 * statuses, resets and timeouts.
 */
import * as Function from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import { type HttpOptions, wrapHttp } from "./internal/retry/httpAttempt.ts"
import type { RetryExhausted } from "./internal/retry/retryExhausted.ts"
import { retryLoop } from "./internal/retry/retryLoop.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

export { type AllowUnsafe, discard, type HttpOptions as Options } from "./internal/retry/httpAttempt.ts"
export { notProcessed, whenAsked } from "./internal/retry/httpPresets.ts"

/**
 * A client that repeats a request after a transport failure, a timeout, or a response with one of the policy's `statuses`.
 * What a response asks for (`RetryAfter.hints`) is the minimum of the next delay, up to the policy's ceiling; one with
 * `x-should-retry: false` is not repeated.
 *
 * It repeats only idempotent methods (RFC 9110, 9.2.2), any method with an `Idempotency-Key`, and no body that is a stream.
 * What prepares the request (`mapRequest`, `tapRequest`) runs again for each attempt, as with Effect's own `retryTransient`; the
 * `Idempotency-Key` stays that of the first attempt.
 * Responses that are not returned are cancelled. An attempt ends with the head of its response: the policy's times do not
 * bound reading the body.
 *
 * Fails with `RetryExhausted`, whose `error` is the last error: for a response an `HttpClientError` with a `StatusCodeError`,
 * its body unread. Other errors and responses pass unchanged. Emits `retry_attempts_total`.
 *
 * **Example** (A server that is busy once)
 *
 * ```ts import.meta.vitest
 * import * as HttpRetry from "@keelson/core/HttpRetry"
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as HttpClientResponse from "effect/http/HttpClientResponse"
 *
 * let calls = 0
 * const client = HttpClient.make((request) =>
 *   Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(null, { status: ++calls === 1 ? 503 : 200 })))
 * ).pipe(HttpRetry.retry(RetryPolicy.make({ initialDelay: "1 millis" })))
 *
 * const response = await Effect.runPromise(client.get("https://billing.example/invoices"))
 * response.status // => 200
 * ```
 */
export const retry: {
  <Seen, Cut = never>(
    policy: RetryPolicy<Seen, Cut> & RetryPolicy<NoInfer<HttpClientError.HttpClientError | Cut>, Cut>,
    options?: HttpOptions
  ): <E extends Seen, R>(
    self: HttpClient.HttpClient.With<E, R>
  ) => HttpClient.HttpClient.With<E | RetryExhausted<E | HttpClientError.HttpClientError | Cut>, R>
  <E, R, Cut = never>(
    self: HttpClient.HttpClient.With<E, R>,
    policy: RetryPolicy<NoInfer<E | HttpClientError.HttpClientError | Cut>, Cut>,
    options?: HttpOptions
  ): HttpClient.HttpClient.With<E | RetryExhausted<E | HttpClientError.HttpClientError | Cut>, R>
} = Function.dual((args) => HttpClient.isHttpClient(args[0]), <E, R, Cut = never>(
  self: HttpClient.HttpClient.With<E, R>,
  policy: RetryPolicy<E | HttpClientError.HttpClientError | Cut, Cut>,
  options?: HttpOptions
) => wrapHttp(self, policy, options, ({ attempt, loop }) => retryLoop(attempt, policy, loop)))
