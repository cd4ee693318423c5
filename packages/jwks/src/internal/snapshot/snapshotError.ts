import * as KeelsonError from "@keelson/core/KeelsonError"

/**
 * Why a stored key set is refused:
 *
 * - `malformed`: it does not have the expected form, or its times are out of order.
 * - `unsigned`: it has no signature. `tampered`: its signature is not valid.
 * - `foreign`: it belongs to another tenant, provider, issuer or URL.
 * - `tooLarge`: it is larger than allowed. `expired`: it is past its stale deadline.
 * - `future`: it was written or received more than one minute in the future.
 * - `symbolicLink`: its file is a symbolic link. `worldWritable`: every user of the machine may write its file.
 */
export type RefusedReason =
  | "malformed"
  | "unsigned"
  | "tampered"
  | "foreign"
  | "tooLarge"
  | "expired"
  | "future"
  | "symbolicLink"
  | "worldWritable"

const refused: Record<RefusedReason, string> = {
  malformed: "The stored key set is malformed",
  unsigned: "The stored key set is not signed",
  tampered: "The signature of the stored key set is invalid",
  foreign: "The stored key set belongs to another tenant, provider, issuer or URL",
  tooLarge: "The stored key set is too large",
  expired: "The stored key set is past its stale deadline",
  future: "The stored key set is dated in the future",
  symbolicLink: "The file of the stored key set is a symbolic link; remove it",
  worldWritable: "Every user may write the file of the stored key set; remove it, or take that right away"
}

/** The options of `SnapshotRefused`. */
export interface RefusedOptions {
  /** Why the stored key set is refused. Required. */
  readonly reason: RefusedReason
}

/** A stored key set is refused (`SNAPSHOT_REFUSED`). It stays in the store until the next one replaces it. */
export class SnapshotRefused extends KeelsonError.CodedError<"SNAPSHOT_REFUSED"> {
  readonly _tag = "SnapshotRefused"
  override readonly name = "SnapshotRefused"
  readonly reason: RefusedReason
  constructor(options: RefusedOptions) {
    super({ code: "SNAPSHOT_REFUSED", message: refused[options.reason], details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** The kinds of snapshot stores. */
export type StoreKind = "memory" | "file" | "redis" | "keyValueStore" | "custom"

/** The options of `SnapshotUnavailable`. */
export interface UnavailableOptions {
  /** The kind of the store. Required. */
  readonly store: StoreKind
  /** The operation that failed. Required. */
  readonly operation: "save" | "load" | "remove"
  /**
   * `timeout`; the error code of the file system or Redis, such as `PermissionDenied` or `READONLY`; otherwise `failed`. The
   * store's message is left out, since it may quote the call. Required.
   */
  readonly reason: string
}

/** The snapshot store failed or timed out (`STORE_UNAVAILABLE`). Keys in memory stay in use. */
export class SnapshotUnavailable extends KeelsonError.CodedError<"STORE_UNAVAILABLE"> {
  readonly _tag = "SnapshotUnavailable"
  override readonly name = "SnapshotUnavailable"
  readonly reason: string
  constructor({ operation, reason, store }: UnavailableOptions) {
    super({
      code: "STORE_UNAVAILABLE",
      message: "Key set snapshot store failed",
      details: { store, operation, reason }
    })
    this.reason = reason
  }
}
