import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"

/** A fetch that failed, with what the origin asks for about the next one. Its code decides whether it is retried. */
export class FetchFailed extends Data.TaggedError("FetchFailed")<{
  readonly code: ErrorCode.ErrorCode
  readonly error: KeelsonError.NetworkError
  readonly retryAfter: Duration.Duration | undefined
}> {}

/** A failure without a `Retry-After`. */
export const failed = (error: KeelsonError.NetworkError, retryAfter?: Duration.Duration): FetchFailed =>
  new FetchFailed({ code: error.code, error, retryAfter })

/** A failure with a code of the network's. */
export const failure = (
  code: KeelsonError.CodeOf<"NETWORK">,
  message: string,
  details: Readonly<Record<string, unknown>> = {}
): KeelsonError.NetworkError => new KeelsonError.NetworkError({ code, message, details })
