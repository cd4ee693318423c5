import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import * as RetryAfter from "../../RetryAfter.ts"
import { evidenceOf } from "../errors/evidence.ts"
import type { StoppedBy } from "./retryExhausted.ts"
import type { LoopOptions } from "./retryLoop.ts"

/** The options of `HttpRetry.retry`. Every one may be left out. */
export interface HttpOptions {
  /** The label `server` under which retries are counted in `retry_attempts_total`. Default none: not counted. */
  readonly server?: string | undefined
  /**
   * Which requests may be repeated although their method is not idempotent and they have no `Idempotency-Key`. A POST that
   * timed out may have been carried out. Default none.
   */
  readonly allowUnsafe?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
  /** Which requests with a stream as body produce the same stream again. Default none. */
  readonly allowStreams?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
  /** Called before the delay of each retry. Default none. */
  readonly onRetry?: LoopOptions<unknown, never>["onRetry"]
}

/** RFC 9110, 9.2.2, and QUERY of RFC 10008. */
const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"])

/** Whether sending a request twice has the same effect as sending it once: by its method, or by an `Idempotency-Key`. */
export const isIdempotent = (request: HttpClientRequest.HttpClientRequest): boolean =>
  idempotentMethods.has(request.method) || (request.headers["idempotency-key"] ?? "").trim() !== ""

const isStream = (body: unknown): boolean =>
  typeof body === "object" && body !== null &&
  ("getReader" in body || "pipe" in body || Symbol.asyncIterator in body || ("next" in body))

/** Whether the body of a request can be sent again. A stream cannot: the first attempt consumes it. */
export const isReplayable = (request: HttpClientRequest.HttpClientRequest): boolean =>
  request.body._tag === "Raw" ? !isStream(request.body.body) : request.body._tag !== "Stream"

const statusOf = (error: unknown): HttpClientResponse.HttpClientResponse | undefined =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "StatusCodeError"
    ? error.reason.response
    : undefined

/**
 * Releases a response whose body is not needed. Reading the body and interrupting that frees the connection at once. It reads
 * the stream, not the buffer: if the client's requests belong to a scope, only interrupting the stream cancels the body.
 */
export const discard = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.forkDetach(Stream.runDrain(response.stream), { startImmediately: true }),
    Fiber.interrupt
  )

/** What a call prepared, for the retry loop. */
export interface HttpAttempt<E, R> {
  readonly attempt: Effect.Effect<HttpClientResponse.HttpClientResponse, E | HttpClientError.HttpClientError, R>
  readonly loop: LoopOptions<E | HttpClientError.HttpClientError, never>
}

/**
 * A client each of whose requests is an attempt for `run`. As with Effect's own `retry`, everything that prepares the request
 * (`mapRequest`, `tapRequest` and so on) is part of the attempt: it runs again for each, and within its limits.
 */
export const wrapHttp = <E, R, E2, R2>(
  self: HttpClient.HttpClient.With<E, R>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpOptions | undefined,
  run: (call: HttpAttempt<E, R>) => Effect.Effect<HttpClientResponse.HttpClientResponse, E2, R2>
): HttpClient.HttpClient.With<E2, R2> =>
  HttpClient.makeWith<E, R, E2, R2>(
    (request) => Effect.suspend(() => run(prepareHttp(self, request, policy, options))),
    self.preprocess
  )

/** What the attempts of one call share. */
export interface HttpCall {
  /** The `Idempotency-Key` of the first attempt. A new key in each attempt would not keep the server from repeating the call. */
  key: string | undefined
}

/** A request as an attempt that fails for a retryable status, with the options of the retry loop for it. */
export const prepareHttp = <E, R>(
  self: HttpClient.HttpClient.With<E, R>,
  request: Effect.Effect<HttpClientRequest.HttpClientRequest, E, R>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpOptions | undefined,
  call: HttpCall = { key: undefined }
): HttpAttempt<E, R> => {
  type Failure = E | HttpClientError.HttpClientError
  /** The request of the current attempt; `undefined` until it is prepared. */
  let sent: HttpClientRequest.HttpClientRequest | undefined
  let isAsked = false
  const prepared = Effect.suspend(() => {
    isAsked = true
    sent = undefined
    return Effect.map(request, (made) => {
      const own = made.headers["idempotency-key"]
      call.key ??= own
      const { key } = call
      sent = key === undefined || own === key ? made : HttpClientRequest.setHeader(made, "idempotency-key", key)
      return sent
    })
  })
  /** A client may send another request instead of the prepared one. */
  const note = (other: HttpClientRequest.HttpClientRequest): void => {
    if (!isAsked) sent = other
  }
  const attempt: Effect.Effect<HttpClientResponse.HttpClientResponse, Failure, R> = Effect.flatMap(
    self.postprocess(prepared),
    (response) =>
      policy.statuses.includes(response.status)
        ? Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.StatusCodeError({
              request: response.request,
              response,
              description: "retryable status"
            })
          })
        )
        : Effect.succeed(response)
  )
  const refuse = (): StoppedBy | undefined => {
    // Nothing was sent, so nothing can be repeated.
    if (sent === undefined) return undefined
    if (!isIdempotent(sent) && options?.allowUnsafe?.(sent) !== true) return "unsafeMethod"
    return isReplayable(sent) || options?.allowStreams?.(sent) === true ? undefined : "bodyNotReplayable"
  }
  const loop: LoopOptions<Failure, never> = {
    server: options?.server,
    onRetry: options?.onRetry,
    refuse,
    while(error) {
      if (HttpClientError.isHttpClientError(error)) note(error.request)
      const response = statusOf(error)
      if (response !== undefined) return policy.statuses.includes(response.status)
      return evidenceOf(error)?.retryable ?? false
    },
    retryAfter: (error, now) => RetryAfter.parse(statusOf(error)?.headers["retry-after"], now),
    discard(error) {
      const response = statusOf(error)
      return response === undefined ? Effect.void : discard(response)
    }
  }
  return { attempt, loop }
}
