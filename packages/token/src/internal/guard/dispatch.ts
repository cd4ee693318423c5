import * as Breaker from "@keelson/core/Breaker"
import * as Deadline from "@keelson/core/Deadline"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import { Sent } from "./attachToken.ts"
import { type GuardError, NoToken, type Raw, type RawError, unwrap } from "./client.ts"

type Response = HttpClientResponse.HttpClientResponse

/**
 * What became of a request.
 *
 * - `success`: answered with a status below 400. `forwarded`: with one that is the caller's to deal with, among them those
 *   that would be retried if the request could be repeated.
 * - `unauthorized`: no token was to be had, or the origin refused the one after the refresh too.
 * - `exhausted`: what may be retried went on failing until attempts, time or budget were spent, or the circuit is open.
 * - `non_retriable`: it failed in a way that repeating does not mend.
 */
export type Kind = "success" | "forwarded" | "unauthorized" | "exhausted" | "non_retriable"

/** How a named operation went. */
export interface Outcome {
  readonly operation: string
  /** How many times the request was sent, retries and the replay after a 401 included; redirects are not counted. */
  readonly attempts: number
  readonly success: boolean
  readonly kind: Kind
  readonly elapsed: Duration.Duration
  /** The answer, its body unread: for the caller to read, or to give up with `HttpRetry.discard`. */
  readonly response: Response | undefined
  readonly error: GuardError | undefined
}

/** Sends requests as named operations, by the client, the token and the policies of one guard. */
export interface Dispatch {
  /** Never fails: how it went is the outcome. */
  readonly send: (operation: string, request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Outcome>
}

/** Statuses that say something about the moment, not about the request. */
const passing: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

const ofResponse = ({ status }: Response): Kind => {
  if (status < 400) return "success"
  if (status === 401) return "unauthorized"
  if (passing.has(status)) return "exhausted"
  return status < 500 ? "forwarded" : "non_retriable"
}

const responseOf = (error: unknown): Response | undefined =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "StatusCodeError"
    ? error.reason.response
    : undefined

const ofError = (error: RawError): Kind => {
  if (error instanceof NoToken) return "unauthorized"
  if (error instanceof Retry.RetryExhausted) {
    if (error.stoppedBy !== "unsafeMethod" && error.stoppedBy !== "bodyNotReplayable") return "exhausted"
    return responseOf(error.error) === undefined ? "non_retriable" : "forwarded"
  }
  if (error instanceof Breaker.CircuitOpen || error instanceof Deadline.DeadlineExceeded) return "exhausted"
  if (error instanceof KeelsonError.NetworkError) return "non_retriable"
  const code = ErrorCode.codeOf(error)
  return code !== undefined && ErrorCode.codeInfo[code].retryable ? "exhausted" : "non_retriable"
}

const outcomeOf = (result: Result.Result<Response, RawError>): Pick<Outcome, "kind" | "response" | "error"> =>
  Result.isSuccess(result)
    ? { kind: ofResponse(result.success), response: result.success, error: undefined }
    : {
      kind: ofError(result.failure),
      response: responseOf(result.failure instanceof Retry.RetryExhausted ? result.failure.error : result.failure),
      error: unwrap(result.failure)
    }

/** Sends by a client that tells apart who failed. */
export const makeDispatch = (server: string, client: Raw): Dispatch => ({
  send: (operation, request) =>
    Effect.withSpan(
      Effect.clockWith((clock) => {
        const began = clock.monotonicTimeNanosUnsafe()
        const sent = { count: 0 }
        return Effect.map(Effect.result(Effect.provideService(client.execute(request), Sent, sent)), (result) => {
          const outcome = outcomeOf(result)
          return {
            ...outcome,
            operation,
            attempts: sent.count,
            success: outcome.kind === "success",
            elapsed: Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
          }
        })
      }),
      "TokenGuard.send",
      { attributes: { server, operation } }
    )
})
