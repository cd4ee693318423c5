/** The error of a retry that stopped. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { codeOf, type ErrorCode } from "../../ErrorCode.ts"
import * as Redaction from "../../Redaction.ts"
import { errorBody } from "../errors/errorBody.ts"
import { nameOf } from "./failedAttempt.ts"

/**
 * Why no further attempt was made.
 *
 * - `attempts`: `maxAttempts` is reached; `deadline`: no time is left; `budget`: the retry budget is spent
 * - `retryAfterTooLong`: the server asked for a longer delay than `retryAfterCeiling`
 * - `throttled`: the service asked all its callers to wait, for longer than this call may wait
 * - `unsafeMethod`: repeating the request could repeat its effect; `bodyNotReplayable`: its body is a stream
 * - `schedule`: the policy's schedule ended
 */
export type StoppedBy =
  | "attempts"
  | "deadline"
  | "budget"
  | "retryAfterTooLong"
  | "throttled"
  | "unsafeMethod"
  | "bodyNotReplayable"
  | "schedule"

/** A summary of an error that is safe to keep and show. */
export interface AttemptError {
  /** The `_tag` or the name of the error's class. */
  readonly name: string
  /** Its catalogue code; `undefined` without one. */
  readonly code: ErrorCode | undefined
  /** Its redacted message. */
  readonly message: string
}

/** One failed attempt. */
export interface Attempt {
  /** From 1. */
  readonly number: number
  /** When it began, counted from the beginning of the first attempt. */
  readonly start: Duration.Duration
  /** How long it took. */
  readonly duration: Duration.Duration
  /** The delay after it; zero for the last attempt. */
  readonly delay: Duration.Duration
  /** A summary of its error. */
  readonly error: AttemptError
}

/**
 * A retry stopped because of `stoppedBy`, after these `attempts`.
 *
 * `error` is the last error, unchanged. It is neither enumerable nor encoded, since it may hold a request with its headers;
 * `cause` is a redacted view of it. The code is the last error's, else `RETRY_EXHAUSTED`. The message names that code and
 * not the last error's message, which may contain hosts and paths.
 */
export class RetryExhausted<out E> extends errorBody(
  Data.TaggedError("RetryExhausted")<{
    readonly stoppedBy: StoppedBy
    readonly attempts: ReadonlyArray<Attempt>
  }>
) {
  declare readonly error: E
  #cause: Error | undefined

  constructor(options: {
    /** The last error. Required. */
    readonly error: E
    /** Why the retry stopped. Required. */
    readonly stoppedBy: StoppedBy
    /** The history, oldest first. Required. */
    readonly attempts: ReadonlyArray<Attempt>
  }) {
    super({ stoppedBy: options.stoppedBy, attempts: options.attempts })
    Object.defineProperty(this, "error", { value: options.error })
  }
  /** The last error, redacted. */
  override get cause(): Error {
    return this.#cause ??= Redaction.error(this.error)
  }
  get code(): ErrorCode {
    return codeOf(this.error) ?? "RETRY_EXHAUSTED"
  }
  override get message(): string {
    const count = this.attempts.length
    const why = this.stoppedBy === "attempts" ? "" : ` (${this.stoppedBy})`
    const last = this.code === "RETRY_EXHAUSTED" ? nameOf(this.error) : this.code
    return `Gave up after ${count} ${count === 1 ? "attempt" : "attempts"}${why}; the last error was ${last}`
  }
  get details() {
    return {
      stopped_by: this.stoppedBy,
      attempts: this.attempts.map(({ delay, duration, error, number, start }) => ({
        number,
        start_ms: Math.round(Duration.toMillis(start)),
        duration_ms: Math.round(Duration.toMillis(duration)),
        delay_ms: Math.round(Duration.toMillis(delay)),
        error: error.name,
        ...(error.code === undefined ? undefined : { code: error.code })
      }))
    }
  }
}
