/** The errors of key lookups. */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"

/**
 * Why no key fits a token's header:
 *
 * - `unknown`: no trusted key has the `kid` of the header;
 * - `mismatched`: a key has the `kid`, but is for another algorithm;
 * - `ambiguous`: more than four keys would have to be tried.
 */
export type NotFoundReason = "unknown" | "mismatched" | "ambiguous"

const notFound: Record<NotFoundReason, string> = {
  unknown: "No trusted key fits the token's header",
  mismatched: "The key named by the token is for another algorithm",
  ambiguous: "Too many keys fit the token's header"
}

/** The options of `JwksKeyNotFound`. */
export interface NotFoundOptions {
  /** Why no key fits. Required. */
  readonly reason: NotFoundReason
}

/** No trusted key fits a token's header (`JWKS_KEY_NOT_FOUND`): a 401, unlike `JwksUnavailable`. */
export class JwksKeyNotFound extends KeelsonError.CodedError<"JWKS_KEY_NOT_FOUND"> {
  readonly _tag = "JwksKeyNotFound"
  override readonly name = "JwksKeyNotFound"
  readonly reason: NotFoundReason
  constructor(options: NotFoundOptions) {
    super({ code: "JWKS_KEY_NOT_FOUND", message: notFound[options.reason], details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** The options of `JwksUnavailable`. */
export interface UnavailableOptions {
  /** The code of the last failed fetch. Default none. */
  readonly lastFailure?: ErrorCode.ErrorCode | undefined
  /** How long until the next fetch is allowed. Default 0 millis. */
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * No trusted keys are available, since the key set could not be fetched (`JWKS_UNAVAILABLE`): a 503. The token can
 * still be valid.
 *
 * **Example** (A 503 with its Retry-After)
 *
 * ```ts import.meta.vitest
 * import { JwksError } from "@keelson/jwks"
 * import { Duration } from "effect"
 *
 * const error = new JwksError.JwksUnavailable({ lastFailure: "TIMEOUT", retryAfter: Duration.seconds(5) })
 * error.status // => 503
 * error.details["last_failure"] // => "NET-001"
 * ```
 */
export class JwksUnavailable extends KeelsonError.CodedError<"JWKS_UNAVAILABLE"> {
  readonly _tag = "JwksUnavailable"
  override readonly name = "JwksUnavailable"
  readonly lastFailure: ErrorCode.ErrorCode | undefined
  readonly retryAfter: Duration.Duration
  constructor({ lastFailure, retryAfter = Duration.zero }: UnavailableOptions = {}) {
    super({
      code: "JWKS_UNAVAILABLE",
      message: "No trusted keys are available",
      details: {
        ...(lastFailure === undefined ? undefined : { last_failure: ErrorCode.codeInfo[lastFailure].id }),
        retry_after_ms: Math.ceil(Duration.toMillis(retryAfter))
      }
    })
    this.lastFailure = lastFailure
    this.retryAfter = retryAfter
  }
}

/** No provider is registered for an issuer, or under these ids (`JWKS_NOT_REGISTERED`). */
export class JwksNotRegistered extends KeelsonError.CodedError<"JWKS_NOT_REGISTERED"> {
  readonly _tag = "JwksNotRegistered"
  override readonly name = "JwksNotRegistered"
  constructor() {
    super({ code: "JWKS_NOT_REGISTERED" })
  }
}
