import type { ErrorCode } from "../ErrorCode.ts"
import { catalogue } from "./catalogue.ts"

export const isErrorCode = (u: unknown): u is ErrorCode => typeof u === "string" && Object.hasOwn(catalogue, u)

/** How many reasons are looked into: they may go in circles. */
export const deepest = 8

/** The code that an error carries, itself or in its `reason`: an error of ours, whose message and details are allowlisted. */
export const carriedCode = (error: unknown, depth = deepest): ErrorCode | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  if ("code" in error && isErrorCode(error.code)) return error.code
  return "reason" in error && depth > 0 ? carriedCode(error.reason, depth - 1) : undefined
}
