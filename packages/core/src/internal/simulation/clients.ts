import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Answer } from "./server.ts"

/** Sends one request to the simulated server. */
export type Send = (answer: (answer: Answer) => void) => () => void

/** What the server answers to a request that it served. */
export type Respond = (request: HttpClientRequest.HttpClientRequest) => Response

/** The request of the default client. */
export const request = HttpClientRequest.get("http://server.test/")

const statuses = { overloaded: 503, failing: 503, limited: 429 } as const

const refused = (sent: HttpClientRequest.HttpClientRequest): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request: sent,
      cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
    })
  })

/**
 * An `HttpClient` of the simulated server. It is made of its two halves, since `HttpClient.make` makes a span and an
 * `AbortController` for each request.
 */
export const makeHttp = (
  send: Send,
  retryAfterSeconds: number | undefined,
  respond: Respond | undefined
): HttpClient.HttpClient => {
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterSeconds)) }
  // A response without a body can be shared: nothing of it is consumed.
  const empty = new Response(null, { status: 200 })
  const rejections = {
    overloaded: new Response(null, { status: statuses.overloaded, headers }),
    failing: new Response(null, { status: statuses.failing, headers }),
    limited: new Response(null, { status: statuses.limited, headers })
  }
  const answerTo = (
    sent: HttpClientRequest.HttpClientRequest,
    answer: Answer
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
    if (answer === "refused") return Effect.fail(refused(sent))
    const source = answer === "ok" ? respond?.(sent) ?? empty : rejections[answer]
    return Effect.succeed(HttpClientResponse.fromWeb(sent, source))
  }
  return HttpClient.makeWith<HttpClientError.HttpClientError, never, HttpClientError.HttpClientError, never>(
    (prepared) =>
      Effect.flatMap(
        prepared,
        (sent) =>
          Effect.callback<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>((resume) => {
            const giveUp = send((answer) => resume(answerTo(sent, answer)))
            return Effect.sync(giveUp)
          })
      ),
    Effect.succeed
  )
}
