import * as Breaker from "@keelson/core/Breaker"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Retry from "@keelson/core/Retry"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import type { TokenProvider } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { SentCount } from "./attachToken.ts"
import { type GuardError, type MarkedClient, type MarkedError, NoToken, unmark } from "./client.ts"

type Response = HttpClientResponse.HttpClientResponse

/**
 * How an operation ended.
 *
 * - `success`: the response has a status below 400. `forwarded`: the response has an error status that the caller must handle;
 *   also a retryable status if the request cannot be repeated.
 * - `unauthorized`: no token could be acquired, or the server rejected the token again after it was replaced.
 * - `exhausted`: a retryable failure persisted until attempts, time or budget ran out, or the circuit is open.
 * - `nonRetryable`: the request failed in a way that a retry cannot fix.
 */
export type SendOutcomeKind = "success" | "forwarded" | "unauthorized" | "exhausted" | "nonRetryable"

/** The outcome of a named operation. */
export interface SendOutcome {
  readonly operation: string
  /** How many times the request was sent, retries and the repetition after a 401 included; redirects are not counted. */
  readonly attempts: number
  readonly success: boolean
  readonly kind: SendOutcomeKind
  readonly elapsed: Duration.Duration
  /** The response with its body unread. The caller reads it, or drops it with `HttpRetry.discard`. */
  readonly response: Response | undefined
  readonly error: GuardError | undefined
}

/** Sends a request as a named operation. */
export type SendOperation = (
  operation: string,
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<SendOutcome, TokenProviderError>

/** Statuses of temporary conditions. */
const temporaryStatuses: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

const kindOfResponse = ({ status }: Response): SendOutcomeKind => {
  if (status < 400) return "success"
  if (status === 401) return "unauthorized"
  if (temporaryStatuses.has(status)) return "exhausted"
  return status < 500 ? "forwarded" : "nonRetryable"
}

const responseOf = (error: unknown): Response | undefined =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "StatusCodeError"
    ? error.reason.response
    : undefined

const kindOfError = (error: MarkedError): SendOutcomeKind => {
  if (error instanceof NoToken) return "unauthorized"
  if (error instanceof Retry.RetryExhausted) {
    if (error.stoppedBy !== "unsafeMethod" && error.stoppedBy !== "bodyNotReplayable") return "exhausted"
    return responseOf(error.error) === undefined ? "nonRetryable" : "forwarded"
  }
  if (error instanceof Breaker.CircuitOpen) return "exhausted"
  const code = ErrorCode.codeOf(error)
  return code !== undefined && ErrorCode.codeInfo[code].retryable ? "exhausted" : "nonRetryable"
}

const outcomeOf = (
  result: Result.Result<Response, MarkedError>
): Pick<SendOutcome, "kind" | "response" | "error"> =>
  Result.isSuccess(result)
    ? { kind: kindOfResponse(result.success), response: result.success, error: undefined }
    : {
      kind: kindOfError(result.failure),
      response: responseOf(result.failure instanceof Retry.RetryExhausted ? result.failure.error : result.failure),
      error: unmark(result.failure)
    }

/** Acquires a token first, so that no request is attempted without one; then sends the request. */
export const makeSendOperation = (
  server: string,
  client: MarkedClient,
  provider: Pick<TokenProvider["Service"], "get">
): SendOperation =>
(operation, request) =>
  Effect.withSpan(
    Effect.andThen(
      provider.get,
      Effect.clockWith((clock) => {
        const began = clock.monotonicTimeNanosUnsafe()
        const sent = { count: 0 }
        return Effect.map(Effect.result(Effect.provideService(client.execute(request), SentCount, sent)), (result) => {
          const outcome = outcomeOf(result)
          return {
            ...outcome,
            operation,
            attempts: sent.count,
            success: outcome.kind === "success",
            elapsed: Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
          }
        })
      })
    ),
    "TokenGuard.send",
    { attributes: { server, operation } }
  )
