/**
 * The error of the sinks of an audit log, with its reason.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"

/** Why a sink did not write entries. */
export type Reason =
  /** The file system failed; `operation` is what was tried (`AUDIT_FILE_FAILED`). */
  | { readonly _tag: "File"; readonly operation: string }
  /** The syslog server cannot be reached, or did not take the message (`AUDIT_SYSLOG_FAILED`). */
  | { readonly _tag: "Syslog"; readonly operation: string }
  /** The object store did not store a batch (`AUDIT_STORE_FAILED`). */
  | { readonly _tag: "ObjectStore"; readonly operation: string }
  /** Not all entries were written in time (`AUDIT_NOT_FLUSHED`). */
  | { readonly _tag: "Log"; readonly operation: string }

const codes = {
  File: "AUDIT_FILE_FAILED",
  Syslog: "AUDIT_SYSLOG_FAILED",
  ObjectStore: "AUDIT_STORE_FAILED",
  Log: "AUDIT_NOT_FLUSHED"
} as const satisfies Record<Reason["_tag"], string>

/** A code of an `AuditError`. */
export type Code = (typeof codes)[Reason["_tag"]]

const names = {
  File: "The audit file",
  Syslog: "The syslog server",
  ObjectStore: "The object store",
  Log: "The audit log"
} as const

/** A sink did not write entries. `reason` says why. It contains no entry. */
export class AuditError extends KeelsonError.CodedError<Code> {
  readonly _tag = "AuditError"
  override readonly name = "AuditError"
  readonly reason: Reason
  constructor(reason: Reason, cause?: unknown) {
    super({
      code: codes[reason._tag],
      message: `${names[reason._tag]} failed (${reason.operation}); the entries are kept or counted as lost`,
      details: { reason: reason._tag, operation: reason.operation },
      cause
    })
    this.reason = reason
  }
}
