import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Holder } from "./record.ts"

/** A refresh token as the store has it. */
export interface StoredRefreshToken {
  readonly token: Redacted.Redacted
  /** The fencing number of the lease under which it was written. */
  readonly fence: number
}

/** What a process may do with the refresh token. */
export type RefreshReply =
  | { readonly _tag: "wait"; readonly millis: number }
  /** It was sent and its request has no known end, or the server refused it. */
  | { readonly _tag: "ambiguous" | "refused" }
  /** There is none. */
  | { readonly _tag: "missing" }
  /** It cannot be decrypted. */
  | { readonly _tag: "unreadable" }
  /** `stored` is `undefined` if there is none, or if the initial one must replace it. */
  | { readonly _tag: "lease"; readonly fence: number; readonly stored: StoredRefreshToken | undefined }

/**
 * The record of one refresh token. Each call is atomic over all processes. The result is `undefined` if the store did not
 * answer.
 *
 * A lease that ended without a known result keeps its fencing number, so that a late answer can still be saved.
 */
export interface RefreshRecord {
  /** Asks for the lease. `seed` names the initial refresh token of this process, which is used once by all of them. */
  readonly begin: (owner: string, seed: string | undefined) => Effect.Effect<RefreshReply | undefined>
  /** Marks the refresh token as sent. Returns `false` if the process no longer has the lease. */
  readonly mark: (holder: Holder) => Effect.Effect<boolean | undefined>
  /** Writes a refresh token without a mark, unless another lease was granted since. Returns whether it was written. */
  readonly write: (
    holder: Holder,
    token: Redacted.Redacted,
    options: { readonly seed: string | undefined; readonly isLast: boolean }
  ) => Effect.Effect<boolean | undefined>
  /** Ends the lease. The mark stays as it is for `ambiguous`. */
  readonly end: (holder: Holder, state: "kept" | "refused" | "ambiguous") => Effect.Effect<boolean | undefined>
  /** Ends a lease that the process may have, unless the refresh token is marked as sent. */
  readonly release: (owner: string) => Effect.Effect<void>
  readonly renew: (holder: Holder) => Effect.Effect<boolean | undefined>
  /** Takes the lease from whoever has it, to write another refresh token. Returns the fencing number. */
  readonly seize: (owner: string) => Effect.Effect<number | undefined>
  /** Removes the mark of a refresh token that may have been used. */
  readonly unmark: Effect.Effect<boolean | undefined>
  /** The refresh token, without a lease. `null` without one. */
  readonly read: Effect.Effect<Redacted.Redacted | null | undefined>
}
