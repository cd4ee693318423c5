import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { codeInfo, statusCode } from "../../ErrorCode.ts"
import type { CallOptions, HttpOptions } from "../../Hedge.ts"
import { discard, isReplayable } from "../retry/httpAttempt.ts"
import { RetryExhausted } from "../retry/retryExhausted.ts"

type Response = HttpClientResponse.HttpClientResponse

/** RFC 9110, 9.2.1, and QUERY of RFC 10008. */
const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])

/** Whether the status says that the service is well, so that another execution would give no better answer. */
export const isGood = ({ status }: Response): boolean => {
  const code = statusCode(status)
  return code === undefined || codeInfo[code].breaker === "success"
}

/** The response that an unused outcome holds: the answer, or that of an error. */
const heldResponse = (exit: Exit.Exit<Response, unknown>): Response | undefined => {
  if (exit._tag === "Success") return exit.value
  for (const reason of exit.cause.reasons) {
    if (reason._tag !== "Fail") continue
    const error = reason.error instanceof RetryExhausted ? reason.error.error : reason.error
    if (HttpClientError.isHttpClientError(error)) return error.response
  }
  return undefined
}

export const release = (exit: Exit.Exit<Response, unknown>): Effect.Effect<void> => {
  const response = heldResponse(exit)
  return response === undefined ? Effect.void : discard(response)
}

type Execute = <A, E, R>(
  self: (hedge: number) => Effect.Effect<A, E, R>,
  options: CallOptions<A, E>
) => Effect.Effect<A, E, R>

/**
 * A client whose requests are hedged. What prepares a request is part of each execution, as in `HttpRetry`; the
 * `Idempotency-Key` stays that of the first. With `clientOf` each client prepares the request itself, since one endpoint must
 * not receive the URL and the credentials of another.
 */
export const hedgeHttp = <E, R>(
  execute: Execute,
  self: HttpClient.HttpClient.With<E, R>,
  options: HttpOptions<E, R> | undefined
): HttpClient.HttpClient.With<E, R> => {
  const clientOf = options?.clientOf
  return HttpClient.makeWith<E, R, E, R>(
    (request) =>
      Effect.suspend(() => {
        /** The first request that was prepared; `undefined` until then. */
        let sent: HttpClientRequest.HttpClientRequest | undefined
        let key: string | undefined
        const noted = (made: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest => {
          const own = made.headers["idempotency-key"]
          key ??= own
          const same = key === undefined || own === key
            ? made
            : HttpClientRequest.setHeader(made, "idempotency-key", key)
          sent ??= same
          return same
        }
        return execute((hedge) => {
          if (clientOf === undefined) return self.postprocess(Effect.map(request, noted))
          const client = hedge === 0 ? self : clientOf(hedge) ?? self
          return client.postprocess(Effect.map(Effect.flatMap(request, client.preprocess), noted))
        }, {
          when: () => sent !== undefined && mayHedge(sent, options),
          accept: isGood,
          discard: release
        })
      }),
    clientOf === undefined ? self.preprocess : Effect.succeed
  )
}

/** Whether a request may be sent to two places at the same time. */
export const mayHedge = (
  request: HttpClientRequest.HttpClientRequest,
  options: Pick<HttpOptions<never, never>, "allowUnsafe"> | undefined
): boolean => isReplayable(request) && (safeMethods.has(request.method) || options?.allowUnsafe?.(request) === true)
