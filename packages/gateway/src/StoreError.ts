/**
 * The error of a request to an object store.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import type { StoreFailure } from "./ObjectStore.ts"

const codes = {
  unreachable: "GATEWAY_STORE_UNREACHABLE",
  timeout: "GATEWAY_STORE_TIMEOUT",
  incomplete: "GATEWAY_STORE_INCOMPLETE",
  rejected: "GATEWAY_STORE_UNAVAILABLE",
  invalid: "GATEWAY_STORE_REQUEST_REFUSED",
  credentials: "GATEWAY_STORE_CREDENTIALS",
  aborted: "GATEWAY_STORE_ABORTED",
  status: "GATEWAY_STORE_FAILED"
} as const satisfies Record<StoreFailure | "status", string>

/** What went wrong: a failure of the request, or a status of 500 and more. */
export type Reason = keyof typeof codes

/** A code of a `StoreError`. */
export type Code = (typeof codes)[Reason]

/** More about a failure. */
export interface Options {
  /** What happened, for people. Default: the description of the code. */
  readonly message?: string | undefined
  /** The status of the response. Default none. */
  readonly status?: number | undefined
  /** The cause, kept as a redacted copy. Default none. */
  readonly cause?: unknown
}

/**
 * A request to an object store failed. `code` says why. It contains neither key nor credentials.
 *
 * **Example** (The code of a failure)
 *
 * ```ts import.meta.vitest
 * import { StoreError } from "@keelson/gateway"
 *
 * new StoreError.StoreError("timeout").code // => "GATEWAY_STORE_TIMEOUT"
 * ```
 */
export class StoreError extends KeelsonError.CodedError<Code> {
  readonly _tag = "StoreError"
  override readonly name = "StoreError"
  readonly reason: Reason
  constructor(reason: Reason, { cause, message, status }: Options = {}) {
    super({
      code: codes[reason],
      message,
      details: status === undefined ? { reason } : { reason, status },
      cause
    })
    this.reason = reason
  }
}
