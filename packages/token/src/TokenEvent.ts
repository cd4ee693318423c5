/**
 * What happens to a provider's tokens, as a stream of events; the same are logged.
 *
 * Events carry no token and no secret. A subscriber that is slow loses the oldest ones: nothing waits for it.
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Duration from "effect/Duration"

/**
 * Why a token is acquired: there is none to hand out (`lookup`), the one held is due (`due`), the clocks diverged (`clock`),
 * it was asked for (`forced`), or a server refused the one before (`refused`).
 */
export type Cause = "lookup" | "due" | "clock" | "forced" | "refused"

/** What every event has. */
export interface Origin {
  /** The provider's name. */
  readonly server: string
  /** A UUID: the same on all events of one acquisition. */
  readonly attemptId: string
  /** Wall clock, milliseconds since 1970. */
  readonly at: number
  /** Of the span in which it happened, where there is one. */
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
}

/**
 * - `refresh.start`: an acquisition begins.
 * - `refresh.retry`: an attempt failed, and another one follows after `delay`, jitter included.
 * - `refresh.success`: there is a new token. `discarded` where all before was invalidated meanwhile: it is not used.
 * - `refresh.failure`: it failed with all its attempts.
 * - `retry.outcome`: how it went, after one of the two before.
 * - `refresh.escalated`: failures in a row reached the policy's `escalateAfter`; once, until a success.
 */
export type TokenEvent =
  & Origin
  & (
    | { readonly _tag: "refresh.start"; readonly cause: Cause }
    | {
      readonly _tag: "refresh.retry"
      readonly outcome: "Retrying"
      readonly attempt: number
      readonly delay: Duration.Duration
      readonly errorKind: ErrorCode.ErrorCode
    }
    | {
      readonly _tag: "refresh.success"
      readonly outcome: "Success"
      readonly attempts: number
      readonly issuedAt: number
      readonly expiresAt: number
      readonly discarded: boolean
    }
    | {
      readonly _tag: "refresh.failure"
      readonly outcome: "Failed"
      readonly attempts: number
      readonly errorKind: ErrorCode.ErrorCode
      readonly consecutiveFailures: number
    }
    | {
      readonly _tag: "retry.outcome"
      readonly operation: "get_scoped_token"
      readonly success: boolean
      readonly attempts: number
      readonly elapsed: Duration.Duration
    }
    | {
      readonly _tag: "refresh.escalated"
      readonly errorKind: ErrorCode.ErrorCode
      readonly consecutiveFailures: number
    }
  )
