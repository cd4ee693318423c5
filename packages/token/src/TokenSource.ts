/**
 * Where a provider's tokens come from: an authorization server (`OAuthClient`), or any effect.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Secret } from "./ClientAuth.ts"
import { readSecret } from "./internal/oauth/readSecret.ts"
import { isTransient } from "./internal/provider/isTransient.ts"

/** A harmless deviation of a token response from RFC 6749, 5.1, that was accepted. A provider logs and counts it. */
export interface Deviation {
  /** What deviates: the status, the form of the body, or a member of the response. Required. */
  readonly member: "status" | "body" | "token_type" | "expires_in" | "scope" | "refresh_token" | "issued_token_type"
  /** What was received: the status, the form of the body, or the type of the member, never its value. Required. */
  readonly received: string
}

/** How a token is sent: as it is (RFC 6750), or with a proof of the key that it is bound to (RFC 9449). */
export type TokenType = "Bearer" | "DPoP"

/** A new token. */
export interface TokenResponse {
  /** The access token. Required. */
  readonly accessToken: Redacted.Redacted
  /** The token's lifetime. Default: the policy's `defaultLifetime`. */
  readonly expiresIn?: Duration.Duration | undefined
  /** How the token is sent. Default Bearer. */
  readonly tokenType?: TokenType | undefined
  /** The granted scope, space-separated (RFC 6749, 3.3). Default none. */
  readonly scope?: string | undefined
  /** What was accepted although it deviates from RFC 6749. Default none. */
  readonly deviations?: ReadonlyArray<Deviation> | undefined
}

/** The scope and audience of a token. A member that is left out has the value of the source's options. */
export interface Grant {
  /** Space-separated (RFC 6749, 3.3); the order does not matter. Default: that of the source. */
  readonly scope?: string | undefined
  /** The API that the token is for: the `resource` (RFC 8707) if the source has one, else the `audience`. Default: that of the source. */
  readonly audience?: string | undefined
}

/**
 * Which tokens a source acquires. Two sources with the same identity get tokens that are worth the same, so processes with
 * `SharedTokens` share them. Members that are left out differ from every text.
 */
export interface Identity {
  /** The issuer, or the URL of the token endpoint. Required. */
  readonly issuer: string
  /** The client's id. Required. */
  readonly clientId: string
  /** The requested scope, space-separated; the order does not matter. Default none. */
  readonly scope?: string | undefined
  /** The API that the tokens are for. Default none. */
  readonly audience?: string | undefined
  /** Everything else that distinguishes the tokens, such as the user that they belong to. It is only hashed. Default none. */
  readonly other?: string | undefined
}

/** Acquires tokens. */
export interface TokenSource<out R = never> {
  /**
   * One attempt, which the provider wraps in its retries, breaker and deadline. At most one runs at a time for one provider.
   * It may fail with any error: an error with a code of the catalogue keeps the code, any other becomes
   * `TOKEN_ACQUISITION_FAILED`.
   */
  readonly acquire: Effect.Effect<TokenResponse, unknown, R>
  /** Whether an error may be retried, if the provider has a retry policy. */
  readonly isRetryable: (error: unknown) => boolean
  /**
   * Which tokens these are, for processes that share them by `SharedTokens`. Without it every process acquires its own. Leave it
   * out for tokens of one process or one user's request, and for tokens that are bound to a key or a certificate. Default none.
   */
  readonly identity?: Identity | undefined
}

/** Acquires tokens on behalf of subjects, each with the token of its subject: `OAuthClient.tokenExchange` and `jwtBearer`. */
export interface SubjectSource<out R = never> {
  /**
   * One attempt for a subject, whose token is sent to the authorization server. A refusal that concerns the subject alone should
   * have the code `SUBJECT_TOKEN_REJECTED`, which a breaker does not count as a failure.
   */
  readonly acquireFor: (subjectToken: Redacted.Redacted, grant: Grant) => Effect.Effect<TokenResponse, unknown, R>
  /** Whether an error may be retried, if there is a retry policy. */
  readonly isRetryable: (error: unknown) => boolean
}

/** What a provider accepts as its source. An effect is converted with `fromEffect`. */
export type Input<R = never> = TokenSource<R> | Effect.Effect<TokenResponse, unknown, R>

/**
 * A source that runs an effect for each token. `isRetryable` says whether a retry may succeed. By default:
 * after a timeout, a failed connection, and the statuses 429, 502, 503 and 504. With an `identity`, processes can share the tokens.
 *
 * **Example** (Tokens from another library)
 *
 * ```ts import.meta.vitest
 * import { TokenProvider, TokenSource } from "@keelson/token"
 * import { Duration, Effect, Redacted } from "effect"
 *
 * const fetchToken = async () => ({ token: "abc", seconds: 3600 })
 * const source = TokenSource.fromEffect(
 *   Effect.map(Effect.tryPromise(fetchToken), ({ seconds, token }) => ({
 *     accessToken: Redacted.make(token),
 *     expiresIn: Duration.seconds(seconds)
 *   })),
 *   () => true
 * )
 * const program = Effect.flatMap(TokenProvider.make({ name: "billing", source }), (provider) => provider.get)
 *
 * const token = await Effect.runPromise(Effect.scoped(program))
 * Redacted.value(token.value) // => "abc"
 * ```
 */
export const fromEffect = <R>(
  acquire: Effect.Effect<TokenResponse, unknown, R>,
  isRetryable: (error: unknown) => boolean = isTransient,
  identity?: Identity
): TokenSource<R> => ({ acquire, isRetryable, identity })

/**
 * A source for one subject, such as a workload that exchanges the token of its platform. An effect reads the subject's token for each
 * request, so that a file that is rotated is read again.
 *
 * An attempt fails with `ConfigurationError` (`KEY_INVALID`) if the subject's token cannot be read or is empty.
 */
export const forSubject = <R>(
  { acquireFor, isRetryable }: SubjectSource<R>,
  subjectToken: Secret,
  grant: Grant = {}
): TokenSource<R> =>
  fromEffect(
    Effect.flatMap(readSecret(subjectToken, "subjectToken"), (token) => acquireFor(token, grant)),
    isRetryable
  )
