import type { ErrorCode } from "../../ErrorCode.ts"
import { findFirst } from "../../unstable/CauseChain.ts"
import { catalogue } from "./catalogue.ts"

const isErrorCode = (u: unknown): u is ErrorCode => typeof u === "string" && Object.hasOwn(catalogue, u)

/** The member that contains the underlying error. */
export const reasons = ["reason"] as const

/** The catalogue code in an error's `code`. */
export const ownCode = (error: object): ErrorCode | undefined =>
  "code" in error && isErrorCode(error.code) ? error.code : undefined

/** The code of an error or of its `reason`. Such an error is Keelson's: its message and details are allowlisted. */
export const carriedCode = (error: unknown): ErrorCode | undefined => findFirst(error, reasons, ownCode)
