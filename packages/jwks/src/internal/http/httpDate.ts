import type * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** An HTTP date (RFC 9110, 5.6.7); `undefined` where there is none, or none that is valid. */
export const httpDate = (value: string | undefined): DateTime.Utc | undefined =>
  value === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(value))
