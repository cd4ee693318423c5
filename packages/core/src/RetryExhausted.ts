/** The error of a retry that gave up. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { codeOf, type ErrorCode } from "./ErrorCode.ts"
import { errorBody } from "./internal/errors/errorBody.ts"
import { nameOf } from "./internal/retry/failedAttempt.ts"
import * as Redaction from "./Redaction.ts"

/**
 * Why no further attempt was made: `attempts` used up; the `deadline` leaves no time; the `budget` is spent;
 * `retryAfterTooLong` above its ceiling; an `unsafeMethod` that must not be repeated; a `bodyNotReplayable`; or the
 * policy's own `schedule` ended.
 */
export type StoppedBy =
  | "attempts"
  | "deadline"
  | "budget"
  | "retryAfterTooLong"
  | "unsafeMethod"
  | "bodyNotReplayable"
  | "schedule"

/** One failed attempt. */
export interface Attempt {
  /** From 1. */
  readonly number: number
  /** When it began, counted from the beginning of the first. */
  readonly start: Duration.Duration
  /** How long it took. */
  readonly duration: Duration.Duration
  /** The delay after it; zero for the last. */
  readonly delay: Duration.Duration
  /** Its error's name, catalogue code and redacted message. */
  readonly error: { readonly name: string; readonly code: ErrorCode | undefined; readonly message: string }
}

/**
 * A call was given up, after `attempts`, because of `stoppedBy`.
 *
 * `error` is the last error, as it was. It is neither enumerable nor encoded, since it may hold a request with its
 * headers; the `cause` is a redacted view of it. The code is the last error's, else `RETRY_EXHAUSTED`. The message names
 * the code and not the last error's message, which may tell of hosts and paths.
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
    readonly error: E
    readonly stoppedBy: StoppedBy
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
