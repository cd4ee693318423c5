/** Counts and times the requests of an `HttpClient`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Metrics from "./Metrics.ts"
import { RetryExhausted } from "./RetryExhausted.ts"

/** The status of the response that there was, also where it was turned into an error, by a retry too. */
const statusOf = (exit: Exit.Exit<HttpClientResponse.HttpClientResponse, unknown>): string => {
  if (Exit.isSuccess(exit)) return String(exit.value.status)
  const found = Option.getOrUndefined(Exit.findErrorOption(exit))
  const error = found instanceof RetryExhausted ? found.error : found
  return HttpClientError.isHttpClientError(error) && error.response !== undefined
    ? String(error.response.status)
    : "error"
}

/**
 * A client whose requests are counted in `http_requests_total` and timed in `http_request_duration_seconds`.
 *
 * - `endpoint`: a name of a fixed set, such as `token` or `invoices`. Never a URL: it is a label.
 *
 * Put it below a retry to count attempts, above it to count calls.
 */
export const client =
  (options: { readonly endpoint: string }) =>
  <E, R>(self: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
    HttpClient.transform(self, (effect, request) =>
      Effect.clockWith((clock) => {
        const began = clock.monotonicTimeNanosUnsafe()
        const { endpoint } = options
        const { method } = request
        const count = (status: string) =>
          Effect.andThen(
            Metrics.increment("httpRequests", { method, endpoint, status }),
            Effect.suspend(() =>
              Metrics.observe(
                "httpRequestDuration",
                { method, endpoint },
                Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
              )
            )
          )
        return Effect.onExit(effect, (exit) => count(statusOf(exit)))
      }))
