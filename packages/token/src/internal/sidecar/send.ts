import * as Breaker from "@keelson/core/Breaker"
import * as HttpRetry from "@keelson/core/HttpRetry"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { SendOutcome, TokenGuard } from "../../TokenGuard.ts"
import type { SendRequest, Sent, ServerResponse } from "./contract.ts"

/** Headers of the connection, and those that the guard sets. */
const reservedHeaders: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** The first header that the caller must not set. */
export const reservedHeader = ({ headers = {} }: SendRequest): string | undefined =>
  Object.keys(headers).find((name) => reservedHeaders.has(name.toLowerCase()))

/** Whether HTTP clients refuse to send the body, since it has no meaning (RFC 9110, 9.3.1 and 9.3.2). */
export const hasUnsendableBody = ({ body, method }: SendRequest): boolean =>
  body !== undefined && (method === "GET" || method === "HEAD")

const requestOf = ({ body, headers = {}, method, url }: SendRequest): HttpClientRequest.HttpClientRequest => {
  const request = HttpClientRequest.make(method)(url, { headers })
  return body === undefined
    ? request
    : HttpClientRequest.bodyText(request, body, request.headers["content-type"] ?? "text/plain;charset=UTF-8")
}

/** The response headers that are returned: none of the connection, and no cookies. */
const returnedHeaders = ["content-type", "content-language", "etag", "last-modified", "link", "location", "retry-after"]

/** Upper bound of a returned response body, in bytes. */
const maxBodyBytes = 1_048_576

/** Whether a response has no body to read, as a 204 or the response to a HEAD. */
const isEmpty = (error: unknown): boolean =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "EmptyBodyError"

/** The response with its body; `undefined` if the body is too long or breaks off. */
const readResponse = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<ServerResponse | undefined> =>
  response.stream.pipe(
    Stream.catchIf(isEmpty, () => Stream.empty),
    Stream.runFoldEffect(
      () => ({ size: 0, chunks: new Array<Uint8Array>() }),
      ({ chunks, size }, chunk) => {
        if (size + chunk.length > maxBodyBytes) return Effect.fail("too long")
        // Mutates the array: a body may have a million chunks.
        chunks.push(chunk)
        return Effect.succeed({ size: size + chunk.length, chunks })
      }
    ),
    Effect.map(({ chunks }) => ({
      status: response.status,
      headers: Object.fromEntries(returnedHeaders.flatMap((name) => {
        const value = response.headers[name]
        return value === undefined ? [] : [[name, value]]
      })),
      body: textOf(chunks)
    })),
    Effect.orElseSucceed(() => undefined)
  )

const textOf = (chunks: ReadonlyArray<Uint8Array>): string => {
  const decoder = new TextDecoder()
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
}

/** A `Retry-After` header in whole seconds, from the server's response or the circuit; none without a valid value. */
const retryAfterHeader = ({ error, response }: SendOutcome, now: number): Record<string, string> => {
  const retryAfter = error instanceof Breaker.CircuitOpen
    ? error.retryAfter
    : RetryAfter.parse(response?.headers["retry-after"], now)
  const seconds = retryAfter === undefined ? 0 : Math.ceil(Duration.toSeconds(retryAfter))
  return seconds > 0 && Number.isSafeInteger(seconds) ? { "retry-after": String(seconds) } : {}
}

const failures = {
  unauthorized: [401, "unauthorized", "No valid token could be acquired, or the server rejected it after a refresh"],
  exhausted: [429, "retry_budget_spent", "The request failed until its attempts, time or budget ran out"],
  nonRetryable: [500, "non_retriable", "The request failed in a way that a retry cannot fix"]
} as const

/** The response for a failed request, encoded as the API schema says. */
export const failed = (
  kind: keyof typeof failures,
  sent: { readonly operation: string; readonly attempts: number },
  options: { readonly message?: string; readonly headers?: Record<string, string> } = {}
): HttpServerResponse.HttpServerResponse => {
  const [status, errorCode, message] = failures[kind]
  const { attempts, operation } = sent
  return HttpServerResponse.jsonUnsafe(
    { error_code: errorCode, message: options.message ?? message, operation, attempts },
    { status, headers: options.headers ?? {} }
  )
}

/** Sends a request with the guard of its server. */
export const makeSend = (showResponses: boolean) =>
  Effect.fnUntraced(function*(
    guard: TokenGuard,
    input: SendRequest
  ): Effect.fn.Return<Sent | HttpServerResponse.HttpServerResponse> {
    const { operation } = input
    const result = yield* Effect.result(guard.send(operation, requestOf(input)))
    if (Result.isFailure(result)) {
      return failed("unauthorized", { operation, attempts: 0 }, { message: result.failure.message })
    }
    const outcome = result.success
    const { attempts, error, kind, response } = outcome
    if (kind !== "success" && kind !== "forwarded") {
      if (response !== undefined) yield* HttpRetry.discard(response)
      const headers = kind === "exhausted" ? retryAfterHeader(outcome, yield* Clock.currentTimeMillis) : {}
      const message = error !== undefined && "code" in error ? { message: error.message } : undefined
      return failed(kind, outcome, { ...message, headers })
    }
    const finalStatus = kind === "success" ? "success" : "forwarded_to_caller"
    const sent: Sent = { operation, attempts, finalStatus }
    if (response === undefined) return sent
    if (!showResponses) return yield* Effect.as(HttpRetry.discard(response), sent)
    const received = yield* readResponse(response)
    return received === undefined
      ? failed("nonRetryable", outcome, { message: "The response body is too long or incomplete" })
      : { ...sent, response: received }
  })
