import { Breaker, ErrorCode, Retry, SingleFlight } from "@keelson/core"
import { Clock, Duration, Effect, Exit, Option } from "effect"
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpClientError } from "effect/http"
import { Sent } from "./carry.ts"
import type { GuardError } from "./client.ts"

type Response = HttpClientResponse.HttpClientResponse

/**
 * What became of a request.
 *
 * - `success`: answered with a status below 400. `forwarded`: with one that is the caller's to deal with, or one that would be
 *   retried if the request could be repeated.
 * - `unauthorized`: no token was to be had, or the origin refused the one after the refresh too.
 * - `exhausted`: what may be retried went on failing until the attempts, the time or the budget was spent, or the circuit is
 *   open.
 * - `non_retriable`: it failed in a way that repeating does not mend.
 */
export type Result = "success" | "forwarded" | "unauthorized" | "exhausted" | "non_retriable"

/** How a named operation went. */
export interface Outcome {
  readonly operation: string
  /** How many times the request was sent, retries and the replay after a 401 included; redirects are not counted. */
  readonly attempts: number
  readonly success: boolean
  readonly result: Result
  readonly elapsed: Duration.Duration
  /** The answer, its body unread: for the caller to read, or to give up with `HttpRetry.discard`. */
  readonly response: Response | undefined
  readonly error: GuardError | undefined
}

/** Named operations that share one client, its token and its policies. */
export interface Dispatch {
  readonly client: HttpClient.HttpClient.With<GuardError>
  /** Sends a request as an operation. It never fails: how it went is the outcome. */
  readonly send: (operation: string, request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Outcome>
}

/** The operations that the sidecar knows by default. */
export const operations = ["discover_ingest_host", "get_scoped_token", "open_channel", "append_rows"] as const

/** Statuses that say so of the moment, not of the request. */
const passing: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

const ofStatus = (status: number): Result => {
  if (status < 400) return "success"
  if (status === 401) return "unauthorized"
  if (passing.has(status)) return "exhausted"
  return status < 500 ? "forwarded" : "non_retriable"
}

/** By the class, and by the catalogue code: whether the authorization server or the origin is meant, codes do not tell. */
const ofError = (error: GuardError): Result => {
  if (HttpClientError.isHttpClientError(error)) return isRetryable(error) ? "exhausted" : "non_retriable"
  switch (error._tag) {
    case "RetryExhausted":
      return error.stoppedBy === "unsafeMethod" || error.stoppedBy === "bodyNotReplayable"
        ? ofUnrepeated(error.error)
        : "exhausted"
    case "CircuitOpen":
    case "DeadlineExceeded":
      return "exhausted"
    case "NetworkError":
      return isEgress(error) ? "non_retriable" : "unauthorized"
    default:
      return "unauthorized"
  }
}
