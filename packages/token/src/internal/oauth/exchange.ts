import * as Deadline from "@keelson/core/Deadline"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import { findFirst } from "@keelson/core/unstable/CauseChain"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { TokenHttpClient } from "../../TokenHttpClient.ts"

/** A completely received response, of any status but a redirect's. */
export interface ReceivedResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array<ArrayBuffer>
}

/** No response was received, or it exceeds a limit. */
export class ExchangeFailed extends Data.TaggedError("ExchangeFailed")<{
  readonly error: KeelsonError.NetworkError
  /** Whether it is certain that the server received nothing. */
  readonly isUnsent: boolean
}> {}

export interface ExchangeLimits {
  /** For the whole exchange, the body included. */
  readonly timeout: Duration.Duration
  /** For the body after decompression. */
  readonly maxBytes: number
}

const failed = (code: KeelsonError.CodeOf<"NETWORK">, details: Readonly<Record<string, unknown>> = {}) =>
  new ExchangeFailed({ error: new KeelsonError.NetworkError({ code, details }), isUnsent: false })

/** Failures of name resolution, of connecting, and of the check of the server's certificate: nothing was sent. */
const unsentCodes =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|ENODATA|E(?:HOST|NET)UNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|(?:ERR_TLS_)?CERT_[A-Z_]+|UNABLE_TO_[A-Z_]+|SELF_SIGNED_[A-Z_]+|DEPTH_ZERO_[A-Z_]+|HOSTNAME_MISMATCH|ERR_SSL_WRONG_VERSION_NUMBER)$/

/** Excludes reads and writes: an established connection may fail with some of these codes too. Other TLS failures happen at any time. */
const isUnsentBy = (cause: object): boolean =>
  Predicate.hasProperty(cause, "code") && unsentCodes.test(String(cause.code)) &&
  !(Predicate.hasProperty(cause, "syscall") && (cause.syscall === "read" || cause.syscall === "write"))

/** Effect's `HttpClientError` has its cause in its reason. */
const links = ["reason", "cause"] as const

/** The codes that are more specific than `NETWORK_ERROR`. */
const isTransport = (code: ErrorCode.ErrorCode | undefined): code is "TIMEOUT" | "TLS_FAILED" =>
  code === "TIMEOUT" || code === "TLS_FAILED"

/** Converts any failure of an HTTP client to a network error. Drops its message, which may name hosts. */
const toFailed = (error: unknown): ExchangeFailed => {
  if (error instanceof ExchangeFailed) return error
  const code = findFirst(error, links, (cause) => {
    const code = ErrorCode.codeOf(cause)
    return isTransport(code) ? code : undefined
  })
  const isUnsent = findFirst(error, links, (cause) => isUnsentBy(cause) || undefined) === true
  return new ExchangeFailed({ error: new KeelsonError.NetworkError({ code: code ?? "NETWORK_ERROR" }), isUnsent })
}

/** Statuses without a body. Reading the stream of such a response fails. */
const bodilessStatuses = new Set([204, 205, 304])

const readBody = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse, maxBytes: number) {
  const chunks: Array<Uint8Array> = []
  let size = 0
  if (bodilessStatuses.has(response.status) || response.headers["content-length"] === "0") return new Uint8Array(0)
  yield* Stream.runForEach(response.stream, (chunk) => {
    size += chunk.byteLength
    chunks.push(chunk)
    return size > maxBytes ? Effect.fail(failed("RESPONSE_TOO_LARGE", { status: response.status })) : Effect.void
  })
  const body = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    body.set(chunk, offset)
    offset += chunk.byteLength
  }
  return body
})

/**
 * Follows no redirect, since a 307 would send the secret to another URL, and sends no cookies or other credentials of a
 * browser. Some platforms lack the last two options, and some throw if they are given one that they lack.
 */
const requestInit = (): RequestInit => ({
  redirect: "manual",
  ...("credentials" in Request.prototype ? { credentials: "omit" } : undefined),
  ...("cache" in Request.prototype ? { cache: "no-store" } : undefined)
})

const receive = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<ReceivedResponse, unknown> =>
  response.status === 0 || (response.status >= 300 && response.status < 400 && response.status !== 304)
    ? Effect.fail(failed("EGRESS_REFUSED", { reason: "redirect", status: response.status }))
    : Effect.map(readBody(response, maxBytes), (body) => ({
      status: response.status,
      headers: response.headers,
      body
    }))

/**
 * Sends one request with the client of token requests, with limits on time and size. It never retries. A redirect response
 * fails with `EGRESS_REFUSED`.
 *
 * The span names method, host and status only; the client's own span, which would contain the request and the response, is off.
 */
export const exchange = (
  request: HttpClientRequest.HttpClientRequest,
  { maxBytes, timeout }: ExchangeLimits
): Effect.Effect<ReceivedResponse, ExchangeFailed> =>
  Effect.suspend(() => {
    let received: ReceivedResponse | undefined
    const sent = Effect.flatMap(TokenHttpClient, (client) => client.execute(request)).pipe(
      Effect.provideService(FetchHttpClient.RequestInit, requestInit()),
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.tap(({ status }) => Effect.annotateCurrentSpan("http.response.status_code", status)),
      Effect.flatMap((response) => receive(response, maxBytes)),
      Deadline.within(timeout, { detach: true }),
      Effect.mapError((error) => error instanceof Deadline.DeadlineExceeded ? failed("TIMEOUT") : toFailed(error)),
      Effect.map((response) => {
        received = response
      }),
      Effect.withSpan("TokenHttpClient.request", {
        kind: "client",
        attributes: { "http.request.method": request.method, "server.address": new URL(request.url).host }
      }, { captureStackTrace: false })
    )
    return Effect.flatMap(sent, () =>
      received === undefined ? Effect.fail(failed("NETWORK_ERROR")) : Effect.succeed(received))
  })
