/**
 * An acquired token with its times and scope.
 */
import * as Instant from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TokenType } from "./TokenSource.ts"

/** The members of a new `AcquiredToken`. */
export interface Members {
  /** The token. Required. */
  readonly value: Redacted.Redacted
  /** When the token was requested, which is before the server issued it. Required. */
  readonly issuedAt: Instant.Instant
  /** When the token expires. Required. */
  readonly expiresAt: Instant.Instant
  /** How the token is sent: as it is, or with a proof of the key that it is bound to (RFC 9449). Default Bearer. */
  readonly tokenType?: TokenType | undefined
  /** The granted scope, space-separated. Default none. */
  readonly scope?: string | undefined
  /** Whether a replacement is being acquired. Default: always false. */
  readonly isRefreshing?: (() => boolean) | undefined
}

/**
 * An acquired token. Its text and its JSON never contain the value.
 *
 * **Example** (Reading a token)
 *
 * ```ts import.meta.vitest
 * import { TokenProvider } from "@keelson/token"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const source = Effect.succeed({ accessToken: Redacted.make("abc"), scope: "read" })
 *   const provider = yield* TokenProvider.make({ name: "billing", source })
 *   const token = yield* provider.get
 *   return [Redacted.value(token.value), token.scope, token.scoped]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => ["abc", "read", true]
 * ```
 */
export class AcquiredToken {
  readonly value: Redacted.Redacted
  readonly issuedAt: Instant.Instant
  readonly expiresAt: Instant.Instant
  readonly tokenType: TokenType
  readonly scope: string | undefined
  readonly #isRefreshing: () => boolean

  constructor({ expiresAt, isRefreshing = () => false, issuedAt, scope, tokenType = "Bearer", value }: Members) {
    this.value = value
    this.issuedAt = issuedAt
    this.expiresAt = expiresAt
    this.tokenType = tokenType
    this.scope = scope
    this.#isRefreshing = isRefreshing
  }
  /**
   * Whether the token was granted a scope. `unknown` if the response states none: a server may leave it out if the token has the
   * requested scope (RFC 6749, 5.1).
   */
  get scoped(): boolean | "unknown" {
    return this.scope === undefined ? "unknown" : this.scope !== ""
  }
  /** Whether a replacement is being acquired now. */
  get refreshInProgress(): boolean {
    return this.#isRefreshing()
  }
  /** The remaining lifetime; zero once the token has expired by the wall clock or the monotonic clock. */
  remaining(at: Instant.Instant): Duration.Duration {
    return Duration.millis(Instant.until(this.expiresAt, at))
  }
  /** Names the members as an encoded `Snapshot` does. */
  toJSON(): unknown {
    return {
      issued_at: this.issuedAt.wall,
      expires_at: this.expiresAt.wall,
      scoped: this.scoped,
      ...(this.tokenType === "Bearer" ? undefined : { token_type: this.tokenType }),
      refresh_in_progress: this.refreshInProgress
    }
  }
  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

/** A token at one moment, as data. Its JSON has the names `issued_at`, `expires_at`, `remaining_seconds`, `scoped` and so on. */
export const Snapshot = Schema.Struct({
  /** Present only on request. */
  value: Schema.optionalKey(Schema.RedactedFromValue(Schema.NonEmptyString)),
  /** Milliseconds since 1970. */
  issuedAt: Schema.Finite,
  expiresAt: Schema.Finite,
  remainingSeconds: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** As `AcquiredToken.scoped`. */
  scoped: Schema.Union([Schema.Boolean, Schema.Literal("unknown")]),
  scope: Schema.optionalKey(Schema.String),
  /** Present only if the token is bound to a key. */
  tokenType: Schema.optionalKey(Schema.Literal("DPoP")),
  refreshInProgress: Schema.Boolean
}).pipe(Schema.encodeKeys({
  issuedAt: "issued_at",
  expiresAt: "expires_at",
  remainingSeconds: "remaining_seconds",
  tokenType: "token_type",
  refreshInProgress: "refresh_in_progress"
}))
export type Snapshot = typeof Snapshot.Type

/** Options of `snapshot`. */
export interface SnapshotOptions {
  /** Whether to include the token's value. Default false. */
  readonly value?: boolean | undefined
}

/** The state of a token at a moment. */
export const snapshot = (token: AcquiredToken, at: Instant.Instant, options?: SnapshotOptions): Snapshot => ({
  ...(options?.value === true ? { value: token.value } : undefined),
  issuedAt: token.issuedAt.wall,
  expiresAt: token.expiresAt.wall,
  remainingSeconds: Duration.toSeconds(token.remaining(at)),
  scoped: token.scoped,
  ...(token.scope === undefined ? undefined : { scope: token.scope }),
  ...(token.tokenType === "Bearer" ? undefined : { tokenType: token.tokenType }),
  refreshInProgress: token.refreshInProgress
})

/**
 * The token of a snapshot; `undefined` if the snapshot has no value. Its age is computed from the wall clock, the only one that
 * a snapshot records.
 */
export const restore = (snapshot: Snapshot, at: Instant.Instant): AcquiredToken | undefined =>
  snapshot.value === undefined ? undefined : new AcquiredToken({
    value: snapshot.value,
    issuedAt: Instant.after(at, snapshot.issuedAt - at.wall),
    expiresAt: Instant.after(at, snapshot.expiresAt - at.wall),
    scope: snapshot.scope,
    tokenType: snapshot.tokenType
  })
