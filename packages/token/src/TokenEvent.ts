/**
 * The events of a `TokenProvider`, as its `events` stream and the log have them. They contain no token and no secret.
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Duration from "effect/Duration"

/**
 * Why a token is acquired.
 *
 * - `lookup`: a caller needs a token and none is usable. `due`: the cached token is due for a refresh.
 * - `clock`: the wall clock moved ahead of the monotonic clock. `forced`: `refresh` was called.
 * - `refused`: a server rejected the token before.
 */
export type AcquisitionCause = "lookup" | "due" | "clock" | "forced" | "refused"

/** The members that every event has. */
export interface EventContext {
  /** The provider's name. */
  readonly server: string
  /** A UUID, the same on all events of one acquisition. */
  readonly attemptId: string
  /** Wall clock, in milliseconds since 1970. */
  readonly at: number
  /** The current trace and span, if there are any. */
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
}

/** An acquisition starts. Logged as `refresh.start`. */
export interface RefreshStarted extends EventContext {
  readonly _tag: "RefreshStarted"
  readonly cause: AcquisitionCause
}

/** An attempt failed and will be retried after `delay`, jitter included. Logged as `refresh.retry`. */
export interface RefreshRetried extends EventContext {
  readonly _tag: "RefreshRetried"
  readonly attempt: number
  readonly delay: Duration.Duration
  readonly errorKind: ErrorCode.ErrorCode
}

/** A token was acquired. Logged as `refresh.success`. */
export interface Refreshed extends EventContext {
  readonly _tag: "Refreshed"
  readonly attempts: number
  /** Wall clock, in milliseconds since 1970. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** Whether the token is not used because of an invalidation during the acquisition. */
  readonly discarded: boolean
}

/** An acquisition failed with all its attempts. Logged as `refresh.failure`. */
export interface RefreshFailed extends EventContext {
  readonly _tag: "RefreshFailed"
  readonly attempts: number
  readonly errorKind: ErrorCode.ErrorCode
  readonly consecutiveFailures: number
}

/** Follows each `Refreshed` and `RefreshFailed`, with the duration of the acquisition. Logged as `retry.outcome`. */
export interface RefreshCompleted extends EventContext {
  readonly _tag: "RefreshCompleted"
  readonly success: boolean
  readonly attempts: number
  readonly elapsed: Duration.Duration
}

/**
 * Consecutive failures reached the policy's `escalateAfter`. Published once, until an acquisition succeeds. Logged as
 * `refresh.escalated`.
 */
export interface RefreshEscalated extends EventContext {
  readonly _tag: "RefreshEscalated"
  readonly errorKind: ErrorCode.ErrorCode
  readonly consecutiveFailures: number
}

/**
 * An event of a provider. The comment of each event has the name under which it is logged.
 *
 * **Example** (A line for each failure)
 *
 * ```ts import.meta.vitest
 * import type { TokenEvent } from "@keelson/token"
 *
 * const describe = (event: TokenEvent.TokenEvent): string | undefined =>
 *   event._tag === "RefreshFailed" ? `${event.server}: ${event.errorKind}, attempt ${event.attempts}` : undefined
 *
 * const context = { server: "billing", attemptId: "6f1c", at: 0 }
 * const failure = { attempts: 2, errorKind: "TIMEOUT", consecutiveFailures: 1 } as const
 * describe({ _tag: "RefreshFailed", ...context, ...failure }) // => "billing: TIMEOUT, attempt 2"
 * ```
 */
export type TokenEvent =
  | RefreshStarted
  | RefreshRetried
  | Refreshed
  | RefreshFailed
  | RefreshCompleted
  | RefreshEscalated
