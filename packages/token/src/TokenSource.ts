/**
 * Where a provider's tokens come from: an authorization server (`OAuthClient`), or any effect.
 */
import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"

/** A new token. */
export interface TokenResponse {
  readonly accessToken: Redacted.Redacted
  /** How long it lives. Left out where that is not known: the policy's `defaultLifetime` holds. */
  readonly expiresIn?: Duration.Duration | undefined
  /** What it is for, space-separated (RFC 6749, 3.3), where that is known. */
  readonly scope?: string | undefined
}

/** Acquires tokens. */
export interface TokenSource<out R = never> {
  /**
   * One attempt. Retries, the breaker and the deadline are around it, and it never runs twice at once for one provider.
   * Its errors may be of any type: they are told by their catalogue code, and the rest is `TOKEN_ACQUISITION_FAILED`.
   */
  readonly acquire: Effect.Effect<TokenResponse, unknown, R>
  /** Which errors may be retried, where the provider has a retry policy. */
  readonly isRetryable: (error: unknown) => boolean
}

/** A source as a provider takes it; an effect is `fromEffect` of itself. */
export type Input<R = never> = TokenSource<R> | Effect.Effect<TokenResponse, unknown, R>

const statuses: ReadonlySet<unknown> = new Set([502, 503, 504])

const statusOf = (error: unknown): unknown => {
  if (Predicate.hasProperty(error, "details") && Predicate.hasProperty(error.details, "status")) {
    return error.details.status
  }
  return Predicate.hasProperty(error, "response") && Predicate.hasProperty(error.response, "status")
    ? error.response.status
    : undefined
}

/**
 * Whether repeating a request for a token may help: it timed out, its connection failed, or it was answered with 429, 502,
 * 503 or 504. An error that is told by none of these is not repeated.
 */
export const isTransient = (error: unknown): boolean => {
  const code = ErrorCode.codeOf(error)
  if (code === "UPSTREAM_UNAVAILABLE") return statuses.has(statusOf(error))
  return code === "TIMEOUT" || code === "NETWORK_ERROR" || code === "RATE_LIMITED"
}

/** A source of one's own. `isRetryable` is `isTransient` by default. */
export const fromEffect = <R>(
  acquire: Effect.Effect<TokenResponse, unknown, R>,
  isRetryable: (error: unknown) => boolean = isTransient
): TokenSource<R> => ({ acquire, isRetryable })

/** The source that an input stands for. */
export const from = <R>(input: Input<R>): TokenSource<R> => Effect.isEffect(input) ? fromEffect(input) : input
