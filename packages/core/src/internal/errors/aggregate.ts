import type { ErrorCode } from "../../ErrorCode.ts"
import { catalogue } from "./catalogue.ts"

/** How many members of an `AggregateError` are read. */
const maxMembers = 16

/**
 * How much a code tells about a call that failed in several ways. Whether it may be repeated counts most, then whether it is
 * a failure of the service, then whether the service answered: a connection that was refused tells more than an attempt that
 * was cancelled because of it.
 */
const weight = (code: ErrorCode): number => {
  const { breaker, retryable } = catalogue[code]
  return (retryable ? 4 : 0) + (breaker === "failure" ? 2 : 0) + (breaker === "success" ? 1 : 0)
}

/** The code of the most telling member of an `AggregateError`, of equal ones the first; `undefined` for any other error. */
export const codeOfMembers = (
  error: object,
  codeOf: (member: object) => ErrorCode | undefined
): ErrorCode | undefined => {
  const members: unknown = "errors" in error && error instanceof Error ? error.errors : undefined
  if (!Array.isArray(members)) return undefined
  let best: ErrorCode | undefined
  for (const member of members.slice(0, maxMembers)) {
    const code = typeof member === "object" && member !== null ? codeOf(member) : undefined
    if (code !== undefined && (best === undefined || weight(code) > weight(best))) best = code
  }
  return best
}
