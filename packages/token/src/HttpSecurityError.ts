/**
 * The errors of a protected API: four errors, one for each status.
 *
 * A response contains only what the caller can act on: whether the token expired, and the names of missing scopes. More detail
 * would help an attacker to improve a forged token. The validator's error is the `cause`, which no response contains.
 *
 * @see RFC 6750, 3
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import * as ProblemResponse from "@keelson/core/ProblemResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ErrorReporter from "effect/ErrorReporter"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

const respond = (
  error: KeelsonError.CodedError<ErrorCode.ErrorCode> & { readonly headers: Readonly<Record<string, string>> }
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.succeed(HttpServerResponse.setHeaders(ProblemResponse.make(error), error.headers))

/** Options of errors with a challenge. */
export interface ChallengeOptions<Code extends ErrorCode.ErrorCode> extends KeelsonError.Options<Code> {
  /** The value of `WWW-Authenticate`. Required. */
  readonly challenge: string
}

/** The headers of a response with a challenge. */
type ChallengeHeaders = {
  readonly "www-authenticate": string
  readonly "cache-control": string
}

/** An error whose response has a challenge. */
abstract class ChallengeError<Code extends ErrorCode.ErrorCode> extends KeelsonError.CodedError<Code> {
  /** The value of `WWW-Authenticate` (RFC 6750, 3); empty for a client that cannot see the header. */
  readonly challenge: string
  /** Made once: many callers get the same error. */
  #response: Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined
  /** Not reported: a mistake of the caller is not a failure of this process. */
  override readonly [ErrorReporter.ignore] = true
  constructor({ challenge, ...options }: ChallengeOptions<Code>) {
    super(options)
    this.challenge = challenge
  }
  /** The headers of its response. */
  get headers(): ChallengeHeaders {
    return { "www-authenticate": this.challenge, "cache-control": "no-store" }
  }
  override [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return this.#response ??= respond(this)
  }
}

type UnauthorizedCode =
  | "TOKEN_MISSING"
  | "TOKEN_EXPIRED"
  | "UNAUTHORIZED"
  | "DPOP_REQUIRED"
  | "DPOP_INVALID"
  | "DPOP_NONCE_REQUIRED"

/**
 * A 401: the token is missing (`TOKEN_MISSING`), expired (`TOKEN_EXPIRED`), or rejected for any other reason
 * (`UNAUTHORIZED`). For a token that is bound to a DPoP key (RFC 9449), the proof is missing (`DPOP_REQUIRED`), not accepted
 * (`DPOP_INVALID`), or without a current nonce (`DPOP_NONCE_REQUIRED`).
 *
 * **Example** (Rejecting a caller without a token)
 *
 * ```ts import.meta.vitest
 * import { HttpSecurityError } from "@keelson/token"
 *
 * const error = new HttpSecurityError.Unauthorized({ code: "TOKEN_MISSING", challenge: "Bearer realm=\"api\"" })
 * error.status // => 401
 * error.headers["cache-control"] // => "no-store"
 * ```
 */
export class Unauthorized extends ChallengeError<UnauthorizedCode> {
  readonly _tag = "Unauthorized"
  override readonly name = "Unauthorized"
  /** The nonce for the caller's next DPoP proof, where it needs one. */
  readonly nonce: string | undefined
  constructor(
    { nonce, ...options }: ChallengeOptions<UnauthorizedCode> & {
      /** The nonce for the caller's next DPoP proof (RFC 9449, 9). Default none. */
      readonly nonce?: string | undefined
    }
  ) {
    super(options)
    this.nonce = nonce
  }
  override get headers(): ChallengeHeaders & { readonly "dpop-nonce"?: string } {
    return { ...super.headers, ...(this.nonce === undefined ? {} : { "dpop-nonce": this.nonce }) }
  }
}

/** A 403: the caller is authenticated, but not allowed to do this (`FORBIDDEN`). */
export class Forbidden extends ChallengeError<"FORBIDDEN"> {
  readonly _tag = "Forbidden"
  override readonly name = "Forbidden"
  /** The required scopes, where the token lacks one. */
  readonly scopes: ReadonlyArray<string>
  constructor(
    { scopes = [], ...options }: Omit<ChallengeOptions<"FORBIDDEN">, "code" | "details"> & {
      /** The required scopes, where the token lacks one. Default none. */
      readonly scopes?: ReadonlyArray<string> | undefined
    }
  ) {
    super({ code: "FORBIDDEN", ...options, details: scopes.length === 0 ? {} : { scopes } })
    this.scopes = scopes
  }
}

/** A 400: the request has more than one token, or a malformed one (`TOKEN_REQUEST_INVALID`). */
export class InvalidRequest extends ChallengeError<"TOKEN_REQUEST_INVALID"> {
  readonly _tag = "InvalidRequest"
  override readonly name = "InvalidRequest"
}

/**
 * A 503: the token cannot be validated now, since keys or revocations are unavailable (`AUTHORIZATION_UNAVAILABLE`).
 */
export class Unavailable extends KeelsonError.CodedError<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "Unavailable"
  override readonly name = "Unavailable"
  /** How long to wait before retrying; zero where unknown. */
  readonly retryAfter: Duration.Duration
  #response: Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined
  constructor(
    options: {
      /** How long to wait before retrying. Default zero. */
      readonly retryAfter?: Duration.Duration | undefined
      /** The error of the validator. It is redacted, and no response contains it. Default none. */
      readonly cause?: unknown
    } = {}
  ) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", cause: options.cause })
    this.retryAfter = options.retryAfter ?? Duration.zero
  }
  /** The headers of its response, with `retry-after` in whole seconds where it is known. */
  get headers(): { readonly "cache-control": string; readonly "retry-after"?: string } {
    const seconds = Problem.retryAfterSeconds(this)
    return { "cache-control": "no-store", ...(seconds === undefined ? {} : { "retry-after": String(seconds) }) }
  }
  override [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return this.#response ??= respond(this)
  }
}

/** Any of the four errors. */
export type HttpSecurityError = Unauthorized | Forbidden | InvalidRequest | Unavailable

/** Whether a value is one of the four errors. */
export const isHttpSecurityError = (u: unknown): u is HttpSecurityError =>
  u instanceof ChallengeError || u instanceof Unavailable
