/**
 * The error of back-channel logout, with the reason to reject the request.
 *
 * It contains nothing of the logout token.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import { logoutCodes } from "./internal/logout/logoutCodes.ts"
import type * as TokenError from "./TokenError.ts"

/** Why a logout request is rejected. */
export type Reason =
  /**
   * It is not a form with one logout token (`LOGOUT_REQUEST_INVALID`): another `method` than POST, another `contentType` than
   * `application/x-www-form-urlencoded`, a body above the `size` limit or one that could not be read (`body`), and no or several
   * parameters `logout_token` (`token`).
   */
  | { readonly _tag: "RequestInvalid"; readonly problem: "method" | "contentType" | "size" | "body" | "token" }
  /** The logout token is not valid, for the same reasons as an ID token (`LOGOUT_TOKEN_INVALID`). */
  | { readonly _tag: "TokenRejected"; readonly reason: TokenError.Reason }
  /** `events` has no back-channel logout event, or one that is no JSON object (`LOGOUT_TOKEN_INVALID`). */
  | { readonly _tag: "EventMissing" }
  /** It has a `nonce`, as only ID tokens have (`LOGOUT_TOKEN_INVALID`). */
  | { readonly _tag: "NoncePresent" }
  /** It has neither `sid` nor `sub` (`LOGOUT_TOKEN_INVALID`). */
  | { readonly _tag: "SubjectMissing" }
  /** It was received before (`LOGOUT_TOKEN_REPLAYED`). */
  | { readonly _tag: "TokenReplayed" }
  /** The issuer's keys are unavailable: a 503 (`JWKS_UNAVAILABLE`). */
  | { readonly _tag: "KeysUnavailable"; readonly retryAfter: Duration.Duration }
  /** The list of revocations is unavailable: a 503 (`AUTHORIZATION_UNAVAILABLE`). */
  | { readonly _tag: "RevocationUnavailable" }

/** A code of a `BackChannelLogoutError`. */
export type Code = (typeof logoutCodes)[Reason["_tag"]]

const detailsOf = (reason: Reason): Readonly<Record<string, string>> => {
  switch (reason._tag) {
    case "RequestInvalid":
      return { problem: reason.problem }
    case "TokenRejected":
      return { reason: reason.reason._tag }
    default:
      return { reason: reason._tag }
  }
}

/**
 * A logout request was rejected, and ended no session: a 400. Or it could not be judged or stored now: a 503, which the provider may
 * repeat.
 *
 * **Example** (A request without a logout token)
 *
 * ```ts import.meta.vitest
 * import { BackChannelLogoutError } from "@keelson/token"
 *
 * const error = new BackChannelLogoutError.BackChannelLogoutError({ _tag: "RequestInvalid", problem: "token" })
 * error.code // => "LOGOUT_REQUEST_INVALID"
 * error.status // => 400
 * ```
 */
export class BackChannelLogoutError extends KeelsonError.CodedError<Code> {
  readonly _tag = "BackChannelLogoutError"
  override readonly name = "BackChannelLogoutError"
  readonly reason: Reason
  /** How long to wait before the same request is repeated; zero if repeating it cannot help. */
  readonly retryAfter: Duration.Duration
  constructor(reason: Reason) {
    super({ code: logoutCodes[reason._tag], details: detailsOf(reason) })
    this.reason = reason
    this.retryAfter = reason._tag === "KeysUnavailable" ? reason.retryAfter : Duration.zero
  }
}
