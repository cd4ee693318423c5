/**
 * Why a request to a protected API is refused: four errors, one for each status.
 *
 * They tell the caller what it can act on, and nothing that helps to guess: of a token that is refused only whether it
 * expired, of what a scope is lacking its name. What the validator found is their `cause`, for this process alone.
 *
 * @see RFC 6750, 3
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ErrorReporter from "effect/ErrorReporter"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** What the errors with a challenge are made of. */
export interface ChallengeOptions<Code extends ErrorCode.ErrorCode> extends KeelsonError.Options<Code> {
  /** The value of `WWW-Authenticate`. */
  readonly challenge: string
}

/** An error that asks for other credentials. */
abstract class Challenged<Code extends ErrorCode.ErrorCode> extends KeelsonError.CodedError<Code> {
  /** The value of `WWW-Authenticate` (RFC 6750, 3); empty for a client that may not see the header. */
  readonly challenge: string
  /** What callers do wrong is no failure of this process. */
  override readonly [ErrorReporter.ignore] = true
  constructor({ challenge, ...options }: ChallengeOptions<Code>) {
    super(options)
    this.challenge = challenge
  }
  /** What its answer has beside the body. */
  get headers(): { readonly "www-authenticate": string; readonly "cache-control": string } {
    return { "www-authenticate": this.challenge, "cache-control": "no-store" }
  }
  override [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(HttpServerResponse.setHeaders(Problem.toResponse(this), this.headers))
  }
}

/**
 * There is no token (`TOKEN_MISSING`), it is past its expiry (`TOKEN_EXPIRED`), or it is not accepted for any other reason
 * (`UNAUTHORIZED`): a 401.
 */
export class Unauthorized extends Challenged<"TOKEN_MISSING" | "TOKEN_EXPIRED" | "UNAUTHORIZED"> {
  readonly _tag = "Unauthorized"
  override readonly name = "Unauthorized"
}

/** The caller is known, and may not do this (`FORBIDDEN`): a 403. */
export class Forbidden extends Challenged<"FORBIDDEN"> {
  readonly _tag = "Forbidden"
  override readonly name = "Forbidden"
  /** The scopes that this needs, where scopes are what is lacking. */
  readonly scopes: ReadonlyArray<string>
  constructor(
    { scopes = [], ...options }: Omit<ChallengeOptions<"FORBIDDEN">, "code" | "details"> & {
      readonly scopes?: ReadonlyArray<string> | undefined
    }
  ) {
    super({ code: "FORBIDDEN", ...options, details: scopes.length === 0 ? {} : { scopes } })
    this.scopes = scopes
  }
}

/** The request carries a token in more than one way, or in a way that is malformed (`TOKEN_REQUEST_INVALID`): a 400. */
export class InvalidRequest extends Challenged<"TOKEN_REQUEST_INVALID"> {
  readonly _tag = "InvalidRequest"
  override readonly name = "InvalidRequest"
}

/**
 * Whether the token is good can't be told now, since keys or revocations can't be asked (`AUTHORIZATION_UNAVAILABLE`): a 503,
 * which says nothing about the token.
 */
export class Unavailable extends KeelsonError.CodedError<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "Unavailable"
  override readonly name = "Unavailable"
  /** When the same request may be sent again; zero where nobody knows. */
  readonly retryAfter: Duration.Duration
  constructor(options: { readonly retryAfter?: Duration.Duration | undefined; readonly cause?: unknown } = {}) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", cause: options.cause })
    this.retryAfter = options.retryAfter ?? Duration.zero
  }
  /** What its answer has beside the body: `retry-after` in whole seconds, where it is known. */
  get headers(): { readonly "cache-control": string; readonly "retry-after"?: string } {
    const seconds = Problem.retryAfterSeconds(this)
    return { "cache-control": "no-store", ...(seconds === undefined ? {} : { "retry-after": String(seconds) }) }
  }
  override [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(HttpServerResponse.setHeaders(Problem.toResponse(this), this.headers))
  }
}

/** Any of the four. */
export type HttpSecurityError = Unauthorized | Forbidden | InvalidRequest | Unavailable

/** Whether an error is one of the four. */
export const isHttpSecurityError = (u: unknown): u is HttpSecurityError =>
  u instanceof Challenged || u instanceof Unavailable
