import type { ErrorCode } from "../../ErrorCode.ts"
import { catalogue } from "./catalogue.ts"

const isErrorCode = (u: unknown): u is ErrorCode => typeof u === "string" && Object.hasOwn(catalogue, u)

/** How many reasons are looked into: they may go in circles. */
const deepest = 8

/** The first code that an error or the reasons within it have, each looked at by `read`. */
export const firstCode = (
  error: unknown,
  read: (error: object) => ErrorCode | undefined,
  depth = deepest
): ErrorCode | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  return read(error) ?? ("reason" in error && depth > 0 ? firstCode(error.reason, read, depth - 1) : undefined)
}

/** The code in an error's `code`. */
export const ownCode = (error: object): ErrorCode | undefined =>
  "code" in error && isErrorCode(error.code) ? error.code : undefined

/** The code that an error carries, itself or in its `reason`: an error of ours, whose message and details are allowlisted. */
export const carriedCode = (error: unknown): ErrorCode | undefined => firstCode(error, ownCode)
