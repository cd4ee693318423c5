import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import { isHttpSecurityError } from "../../HttpSecurityError.ts"

/** A response with problem details (RFC 9457), for any framework. */
export interface ProblemResponse {
  readonly status: number
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly body: string
}

/**
 * The response for an error of Keelson: `application/problem+json`, with `WWW-Authenticate` and `Retry-After` where they belong.
 * `undefined` for every other error.
 */
export const problemOf = (error: unknown): ProblemResponse | undefined => {
  if (!(error instanceof KeelsonError.CodedError)) return undefined
  const body = Problem.toProblemDetails(error)
  const seconds = Problem.retryAfterSeconds(error)
  const headers = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...(seconds === undefined ? undefined : { "retry-after": String(seconds) }),
    ...(isHttpSecurityError(error) ? error.headers : undefined)
  }
  return { status: body.status, headers, body: JSON.stringify(body) }
}
