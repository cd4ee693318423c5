/**
 * Retries for an `HttpClient`: one loop over errors *and* responses, so that `maxAttempts` bounds the calls whatever the
 * mix of statuses, resets and time-outs.
 */
import * as Function from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import { type HttpOptions, prepareHttp } from "./internal/retry/httpAttempt.ts"
import { retryLoop } from "./internal/retry/retryLoop.ts"
import type { RetryExhausted } from "./RetryExhausted.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

export { discard, type HttpOptions as Options, isIdempotent, isReplayable } from "./internal/retry/httpAttempt.ts"

/**
 * A client that repeats a request while the policy allows it, after a transport failure, a time-out, or a response whose
 * status is one of the policy's. `Retry-After` is a floor for the delay, up to the policy's ceiling.
 *
 * Only what may be repeated is: idempotent methods (RFC 9110, 9.2.2), or any with an `Idempotency-Key`; and no body that
 * is a stream. Responses that are not returned are cancelled. An attempt ends with the head of its response: the policy's
 * times do not bound the reading of the body.
 *
 * Fails with `RetryExhausted`, whose `error` is the last error; for a response it is an `HttpClientError` with a
 * `StatusCodeError`, its body unread. Other errors and responses pass as they are. Emits `retry_attempts_total`.
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
) =>
  HttpClient.transform(self, (effect, request) => {
    const { attempt, loop } = prepareHttp(effect, request, policy, options)
    return retryLoop(attempt, policy, loop)
  }))
