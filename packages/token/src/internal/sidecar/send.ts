import * as Breaker from "@keelson/core/Breaker"
import * as HttpRetry from "@keelson/core/HttpRetry"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Outcome, TokenGuard } from "../../TokenGuard.ts"
import type { Answer, SendRequest, Sent } from "./contract.ts"

/** Fields that belong to a connection, or that the guard sets itself. */
const own: ReadonlySet<string> = new Set([
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

/** The first header that is not the caller's to set. */
export const foreignHeader = ({ headers = {} }: SendRequest): string | undefined =>
  Object.keys(headers).find((name) => own.has(name.toLowerCase()))

const requestOf = ({ body, headers = {}, method, url }: SendRequest): HttpClientRequest.HttpClientRequest => {
  const bare = HttpClientRequest.make(method)(url, { headers })
  return body === undefined
    ? bare
    : HttpClientRequest.bodyText(bare, body, bare.headers["content-type"] ?? "text/plain;charset=UTF-8")
}

/** What callers of an API look at; nothing that belongs to this connection or sets a cookie. */
const shown = ["content-type", "content-language", "etag", "last-modified", "link", "location", "retry-after"]

/** As much of a body as is handed on. */
const maxAnswer = 1_048_576

/** The whole answer; `undefined` where its body is too long or breaks off. */
const answerOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Answer | undefined> =>
  response.stream.pipe(
    Stream.runFoldEffect(
      () => ({ size: 0, chunks: new Array<Uint8Array>() }),
      ({ chunks, size }, chunk) => {
        if (size + chunk.length > maxAnswer) return Effect.fail("too long")
        // Not copied: a body may come in a million chunks.
        chunks.push(chunk)
        return Effect.succeed({ size: size + chunk.length, chunks })
      }
    ),
    Effect.map(({ chunks }) => ({
      status: response.status,
      headers: Object.fromEntries(shown.flatMap((name) => {
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

/** Whole seconds, as the server or the circuit says it; what is no proper value is left out. */
const retryAfterOf = ({ error, response }: Outcome, now: number): Record<string, string> => {
  const asked = error instanceof Breaker.CircuitOpen
    ? error.retryAfter
    : RetryAfter.parse(response?.headers["retry-after"], now)
  const seconds = asked === undefined ? 0 : Math.ceil(Duration.toSeconds(asked))
  return seconds > 0 && Number.isSafeInteger(seconds) ? { "retry-after": String(seconds) } : {}
}

const failures = {
  unauthorized: [401, "unauthorized", "No valid token was to be had, or the server refused it after a refresh"],
  exhausted: [429, "retry_budget_spent", "The request went on failing until its attempts or its time were spent"],
  non_retriable: [500, "non_retriable", "The request failed in a way that repeating it does not mend"]
} as const

/** A request that was not carried out, as the contract has it. */
export const failed = (
  kind: keyof typeof failures,
  sent: { readonly operation: string; readonly attempts: number },
  options: { readonly message?: string; readonly headers?: Record<string, string> } = {}
): HttpServerResponse.HttpServerResponse => {
  const [status, error_code, message] = failures[kind]
  const { attempts, operation } = sent
  return HttpServerResponse.jsonUnsafe(
    { error_code, message: options.message ?? message, operation, attempts },
    { status, ...(options.headers === undefined ? undefined : { headers: options.headers }) }
  )
}

/** Sends a request by the guard of the server that it is for. */
export const makeSend = (isShown: boolean) =>
  Effect.fnUntraced(function*(
    guard: TokenGuard,
    input: SendRequest
  ): Effect.fn.Return<Sent | HttpServerResponse.HttpServerResponse> {
    const { operation } = input
    const dispatch = yield* Effect.result(guard.dispatch)
    if (Result.isFailure(dispatch)) {
      return failed("unauthorized", { operation, attempts: 0 }, { message: dispatch.failure.message })
    }
    const outcome = yield* dispatch.success.send(operation, requestOf(input))
    const { attempts, error, kind, response } = outcome
    if (kind !== "success" && kind !== "forwarded") {
      if (response !== undefined) yield* HttpRetry.discard(response)
      const headers = kind === "exhausted" ? retryAfterOf(outcome, yield* Clock.currentTimeMillis) : {}
      const message = error !== undefined && "code" in error ? { message: error.message } : undefined
      return failed(kind, outcome, { ...message, headers })
    }
    const final_status = kind === "success" ? "success" : "forwarded_to_caller"
    const sent: Sent = { operation, attempts, final_status }
    if (response === undefined) return sent
    if (!isShown) return yield* Effect.as(HttpRetry.discard(response), sent)
    const answer = yield* answerOf(response)
    return answer === undefined
      ? failed("non_retriable", outcome, { message: "The answer is too long, or broke off" })
      : { ...sent, response: answer }
  })
