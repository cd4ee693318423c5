/** The errors of looking up keys. */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"

/**
 * Why no key fits: no trusted key has the header's `kid` (`unknown`); one has, but for another algorithm (`mismatched`);
 * or more than four would have to be tried (`ambiguous`).
 */
export type NotFoundReason = "unknown" | "mismatched" | "ambiguous"

const notFound: Record<NotFoundReason, string> = {
  unknown: "No trusted key fits the token's header",
  mismatched: "The key that the token names is for another algorithm",
  ambiguous: "Too many keys fit the token's header"
}

/** No trusted key fits a token's header (`JWKS_KEY_NOT_FOUND`): a 401, unlike `JwksUnavailable`. */
export class JwksKeyNotFound extends KeelsonError.CodedError<"JWKS_KEY_NOT_FOUND"> {
  readonly _tag = "JwksKeyNotFound"
  override readonly name = "JwksKeyNotFound"
  readonly reason: NotFoundReason
  constructor(options: { readonly reason: NotFoundReason }) {
    super({ code: "JWKS_KEY_NOT_FOUND", message: notFound[options.reason], details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** What `JwksUnavailable` tells. */
export interface UnavailableOptions {
  /** How the last fetch failed. */
  readonly lastFailure?: ErrorCode.ErrorCode | undefined
  /** When a fetch may be made again; zero where one may be made now. */
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * There are no trusted keys (`JWKS_UNAVAILABLE`), since the key set could not be fetched: a 503, which says nothing about
 * the token.
 */
export class JwksUnavailable extends KeelsonError.CodedError<"JWKS_UNAVAILABLE"> {
  readonly _tag = "JwksUnavailable"
  override readonly name = "JwksUnavailable"
  readonly lastFailure: ErrorCode.ErrorCode | undefined
  readonly retryAfter: Duration.Duration
  constructor({ lastFailure, retryAfter = Duration.zero }: UnavailableOptions = {}) {
    super({
      code: "JWKS_UNAVAILABLE",
      message: "There are no trusted keys now",
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
