import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Effect from "effect/Effect"

/** It is unknown whether a DPoP proof was used before (`AUTHORIZATION_UNAVAILABLE`). A 503. */
export class ReplaysUnavailable extends KeelsonError.CodedError<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "ReplaysUnavailable"
  override readonly name = "ReplaysUnavailable"
  /** `store`: the store failed or did not respond in time; `full`: it has no room for another proof. */
  readonly reason: "store" | "full"
  constructor(
    options: {
      /** Why the record is unavailable. Required. */
      readonly reason: "store" | "full"
    }
  ) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** Made once each: in an outage, every request fails with one. */
export const failReplayStore = Effect.fail(SharedError.make(() => new ReplaysUnavailable({ reason: "store" })))
export const failReplaysFull = Effect.fail(SharedError.make(() => new ReplaysUnavailable({ reason: "full" })))
