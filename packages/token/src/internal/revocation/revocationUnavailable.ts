import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"

/**
 * The list of revocations is unavailable (`AUTHORIZATION_UNAVAILABLE`): it is unknown whether a token is revoked, or a
 * revocation could not be stored. A 503.
 */
export class RevocationUnavailable extends KeelsonError.CodedError<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "RevocationUnavailable"
  override readonly name = "RevocationUnavailable"
  /** `store`: the store failed, did not respond in time, or has an unreadable entry; `full`: the list is full. */
  readonly reason: "store" | "full"
  constructor(
    options: {
      /** Why the list is unavailable. Required. */
      readonly reason: "store" | "full"
    }
  ) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** Made once each: in an outage, every use of a token fails with one. */
export const failStore = Effect.fail(new RevocationUnavailable({ reason: "store" }))
export const failListFull = Effect.fail(new RevocationUnavailable({ reason: "full" }))
