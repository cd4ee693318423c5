/**
 * A token with what is known of it, as callers get it.
 */
import * as Instant from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** What is known of a token. */
export interface Members {
  readonly value: Redacted.Redacted
  /** When it was asked for, which is before the server made it. */
  readonly issuedAt: Instant.Instant
  readonly expiresAt: Instant.Instant
  /** What it was granted for, space-separated, where that is known. */
  readonly scope?: string | undefined
  /** Whether a token to replace it is being acquired. */
  readonly isRefreshing?: (() => boolean) | undefined
}

/** A token. Neither its text nor its JSON has the value. */
export class AcquiredToken {
  readonly value: Redacted.Redacted
  readonly issuedAt: Instant.Instant
  readonly expiresAt: Instant.Instant
  readonly scope: string | undefined
  readonly #isRefreshing: () => boolean

  constructor({ expiresAt, isRefreshing = () => false, issuedAt, scope, value }: Members) {
    this.value = value
    this.issuedAt = issuedAt
    this.expiresAt = expiresAt
    this.scope = scope
    this.#isRefreshing = isRefreshing
  }
  /** Whether it was granted for a scope. */
  get scoped(): boolean {
    return this.scope !== undefined && this.scope !== ""
  }
  /** Whether a token to replace it is being acquired right now. */
  get refreshInProgress(): boolean {
    return this.#isRefreshing()
  }
  /** What remains of it; zero once it has expired, on either clock. */
  remaining(at: Instant.Instant): Duration.Duration {
    return Duration.millis(Instant.until(this.expiresAt, at))
  }
  toJSON(): unknown {
    return {
      issued_at: this.issuedAt.wall,
      expires_at: this.expiresAt.wall,
      scoped: this.scoped,
      refresh_in_progress: this.refreshInProgress
    }
  }
  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

/** An envelope as data at one moment, and its JSON. */
export const Snapshot = Schema.Struct({
  /** Left out unless it is asked for. */
  value: Schema.optionalKey(Schema.RedactedFromValue(Schema.NonEmptyString)),
  /** Milliseconds since 1970. */
  issued_at: Schema.Finite,
  expires_at: Schema.Finite,
  remaining_seconds: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  scoped: Schema.Boolean,
  scope: Schema.optionalKey(Schema.String),
  refresh_in_progress: Schema.Boolean
})
export type Snapshot = typeof Snapshot.Type

/** What an envelope is at a moment. The token's value is left out unless `value` says otherwise. */
export const snapshot = (
  envelope: AcquiredToken,
  at: Instant.Instant,
  options?: { readonly value?: boolean | undefined }
): Snapshot => ({
  ...(options?.value === true ? { value: envelope.value } : undefined),
  issued_at: envelope.issuedAt.wall,
  expires_at: envelope.expiresAt.wall,
  remaining_seconds: Duration.toSeconds(envelope.remaining(at)),
  scoped: envelope.scoped,
  ...(envelope.scope === undefined ? undefined : { scope: envelope.scope }),
  refresh_in_progress: envelope.refreshInProgress
})

/** The envelope of a snapshot that has the value; its age is by the wall clock, which is all that a snapshot has. */
export const restore = (snapshot: Snapshot, at: Instant.Instant): AcquiredToken | undefined =>
  snapshot.value === undefined ? undefined : new AcquiredToken({
    value: snapshot.value,
    issuedAt: Instant.after(at, snapshot.issued_at - at.wall),
    expiresAt: Instant.after(at, snapshot.expires_at - at.wall),
    scope: snapshot.scope
  })
