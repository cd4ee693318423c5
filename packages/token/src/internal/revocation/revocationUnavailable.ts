import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"

/**
 * Whether a token was revoked can't be told, or a revocation not be kept, since the store did not do it
 * (`AUTHORIZATION_UNAVAILABLE`): a 503, which says nothing about the token.
 */
export class RevocationUnavailable extends KeelsonError.CodedError<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "RevocationUnavailable"
  override readonly name = "RevocationUnavailable"
  /** `store`: it failed, did not answer in time, or holds what can't be read; `full`: it holds as much as it may. */
  readonly reason: "store" | "full"
  constructor(options: { readonly reason: "store" | "full" }) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** Each made once: in an outage every use of a token fails with one. */
export const storeFailed = Effect.fail(new RevocationUnavailable({ reason: "store" }))
export const listFull = Effect.fail(new RevocationUnavailable({ reason: "full" }))
