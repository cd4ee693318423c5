import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/** A token as processes share it. */
export interface SharedValue {
  readonly accessToken: Redacted.Redacted
  /** Its lifetime in milliseconds. */
  readonly lifetime: number
  readonly scope: string | undefined
}

/** The lease of one process. */
export interface Holder {
  /** Random, a new one for each acquisition. */
  readonly owner: string
  /** The fencing number: larger than that of every earlier lease. A write with a smaller one than the last is refused. */
  readonly fence: number
}

/** A failed acquisition, as the others learn of it. */
export interface SharedFailure {
  readonly code: ErrorCode.ErrorCode
  /** The OAuth error and the status, if there are any. */
  readonly error: string | undefined
  readonly status: number | undefined
  /** For how many milliseconds no process requests a token. */
  readonly pause: number
  /** The failed acquisitions of all processes since the last success. */
  readonly count: number
}

/** A failed acquisition of the holder. */
export interface ReportedFailure {
  readonly code: ErrorCode.ErrorCode
  readonly error: string | undefined
  readonly status: number | undefined
  /** The first pause, the longest one, and the one that the server asks for, in milliseconds. */
  readonly pause: { readonly first: number; readonly most: number; readonly asked: number }
  /** Whether the pause grows with each failure. */
  readonly isGrowing: boolean
}

/** What a process asks for. */
export interface TurnRequest {
  /** That of the lease, if it is granted. */
  readonly owner: string
  /** The process, whose own failure delays it for twice the pause. */
  readonly process: string
  /** The fencing number of the token that must be replaced; 0 without one. Only a token with a larger one is an answer. */
  readonly known: number
  /** Whether to request a token during a pause too. */
  readonly isForced: boolean
  /** In milliseconds: no lease if a rejected token was replaced this recently. 0 without such a limit. */
  readonly cooldown: number
}

/** What a process may do: take a token, wait, or request one for all. */
export type Reply =
  /** `value` is `undefined` if the stored value cannot be used. */
  | { readonly _tag: "token"; readonly fence: number; readonly value: SharedValue | undefined; readonly age: number }
  | { readonly _tag: "wait"; readonly millis: number }
  | { readonly _tag: "failed"; readonly failure: SharedFailure }
  /** A rejected token was replaced a moment ago, and the new one was rejected too. */
  | { readonly _tag: "unchanged" }
  /** These tokens cannot be shared. */
  | { readonly _tag: "alone" }
  /** `at` is the time of the store, in milliseconds. */
  | { readonly _tag: "lease"; readonly fence: number; readonly at: number }

/**
 * The record of one kind of token. Each call is atomic over all processes. The result is `undefined` if the store did not
 * answer; it never fails, and never waits longer than its limit.
 */
export interface TokenRecord {
  readonly begin: (request: TurnRequest) => Effect.Effect<Reply | undefined>
  /**
   * Stores a token and ends the lease, unless another lease was granted since. `issuedAt` is the time of the store. Returns
   * whether it was stored.
   */
  readonly commit: (holder: Holder, value: SharedValue, issuedAt: number) => Effect.Effect<boolean | undefined>
  /** Ends the lease with a failure. Returns the failures of all processes in a row; 0 if another lease was granted since. */
  readonly fail: (holder: Holder, process: string, failure: ReportedFailure) => Effect.Effect<number | undefined>
  /** Ends the lease because these tokens cannot be shared. No process waits for another for a minute. */
  readonly unshare: (holder: Holder) => Effect.Effect<void>
  readonly release: (owner: string) => Effect.Effect<void>
  /** Extends the lease. Returns `false` if the process no longer has it. */
  readonly renew: (holder: Holder) => Effect.Effect<boolean | undefined>
  /** Deletes the stored token, if it is the one with this fencing number. */
  readonly invalidate: (fence: number) => Effect.Effect<void>
}

/** How long no process waits for another after `unshare`, in milliseconds. */
export const aloneMillis = 60_000

/** How long a record outlives its token, its lease and its pause, in milliseconds. */
export const slackMillis = 60_000
