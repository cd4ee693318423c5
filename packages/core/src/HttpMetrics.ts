/** Metrics of the requests of an `HttpClient`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import { RetryExhausted } from "./internal/retry/retryExhausted.ts"
import * as MetricSeries from "./unstable/MetricSeries.ts"

/** The options of `client`. */
export interface Options {
  /** The label `endpoint`: a name of a fixed set, such as `token` or `invoices`. Never a URL. Required. */
  readonly endpoint: string
}

/** The status of a response, including the response in an `HttpClientError` or `RetryExhausted`. */
const statusOf = (exit: Exit.Exit<HttpClientResponse.HttpClientResponse, unknown>): string => {
  if (Exit.isSuccess(exit)) return String(exit.value.status)
  const failure = Option.getOrUndefined(Exit.findErrorOption(exit))
  const error = failure instanceof RetryExhausted ? failure.error : failure
  return HttpClientError.isHttpClientError(error) && error.response !== undefined
    ? String(error.response.status)
    : "error"
}

/**
 * A client whose requests are counted in `http_requests_total` and timed in `http_request_duration_seconds`.
 *
 * Put it inside a retry to count attempts, around it to count calls.
 *
 * **Example** (Counting the requests to one endpoint)
 *
 * ```ts import.meta.vitest
 * import * as HttpMetrics from "@keelson/core/HttpMetrics"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as HttpClientResponse from "effect/http/HttpClientResponse"
 *
 * const client = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("paid"))))
 *   .pipe(HttpMetrics.client({ endpoint: "invoices" }))
 * const response = await Effect.runPromise(client.get("https://billing.example/invoices"))
 * response.status // => 200
 * ```
 */
export const client =
  (options: Options) => <E, R>(self: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
    HttpClient.transform(self, (effect, request) =>
      Effect.clockWith((clock) => {
        const began = clock.monotonicTimeNanosUnsafe()
        const { endpoint } = options
        const { method } = request
        const count = (status: string) =>
          Effect.andThen(
            MetricSeries.increment("httpRequests", { method, endpoint, status }),
            Effect.suspend(() =>
              MetricSeries.observe(
                "httpRequestDuration",
                { method, endpoint },
                Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
              )
            )
          )
        return Effect.onExit(effect, (exit) => count(statusOf(exit)))
      }))
