import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** Seconds with a fraction, which RFC 9110 does not allow and some servers send. */
const fraction = /^\s*\d+\.\d+\s*$/

/**
 * Reads the value of `Retry-After`: seconds, of which a fraction is rounded up to a whole second, or an HTTP date relative to
 * `now` (wall-clock milliseconds). Returns `undefined` if it is empty, negative, invalid or in the past.
 */
export const parse = (value: string | undefined, now: number): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  if (fraction.test(value)) return Duration.seconds(Math.ceil(Number(value)))
  const parsed = Headers.parseRetryAfter(value)
  if (Result.isFailure(parsed)) return undefined
  const delay = Headers.retryAfterDelay(parsed.success, now)
  return parsed.success._tag === "DateTime" && Duration.isZero(delay) ? undefined : delay
}
