import * as KeelsonError from "@keelson/core/KeelsonError"

/**
 * Why a stored key set is refused: it is not of this form (`malformed`, times out of order too); it carries no
 * signature (`unsigned`), or none that fits (`tampered`); it is of another tenant, provider, issuer or URL (`foreign`);
 * it is larger than allowed (`tooLarge`); it is past its stale deadline (`expired`); or it was written or received more
 * than a minute from now (`future`).
 */
export type RefusedReason = "malformed" | "unsigned" | "tampered" | "foreign" | "tooLarge" | "expired" | "future"

const refused: Record<RefusedReason, string> = {
  malformed: "The stored key set is malformed",
  unsigned: "The stored key set is not signed",
  tampered: "The signature of the stored key set does not fit",
  foreign: "The stored key set is of another tenant, provider, issuer or URL",
  tooLarge: "The stored key set is too large",
  expired: "The stored key set is past its stale deadline",
  future: "The stored key set is dated in the future"
}

/** A stored key set is not used (`SNAPSHOT_REFUSED`). It stays where it is until the next one replaces it. */
export class SnapshotRefused extends KeelsonError.CodedError<"SNAPSHOT_REFUSED"> {
  readonly _tag = "SnapshotRefused"
  override readonly name = "SnapshotRefused"
  readonly reason: RefusedReason
  constructor(options: { readonly reason: RefusedReason }) {
    super({ code: "SNAPSHOT_REFUSED", message: refused[options.reason], details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** The back ends that may be away. */
export type StoreKind = "memory" | "file" | "redis" | "keyValueStore" | "custom"

/** What `SnapshotUnavailable` tells. */
export interface UnavailableOptions {
  readonly store: StoreKind
  readonly operation: "save" | "load" | "remove"
  /**
   * `timeout` where the store did not answer in time; the file system's or Redis's own word for what is wrong, such as
   * `PermissionDenied` or `READONLY`; else `failed`. What else the store said is left out, since it may quote the call.
   */
  readonly reason: string
}

/** The store of key sets failed, or did not answer in time (`STORE_UNAVAILABLE`). Keys in memory go on. */
export class SnapshotUnavailable extends KeelsonError.CodedError<"STORE_UNAVAILABLE"> {
  readonly _tag = "SnapshotUnavailable"
  override readonly name = "SnapshotUnavailable"
  readonly reason: string
  constructor({ operation, reason, store }: UnavailableOptions) {
    super({
      code: "STORE_UNAVAILABLE",
      message: "The store of key sets did not answer as it should",
      details: { store, operation, reason }
    })
    this.reason = reason
  }
}
