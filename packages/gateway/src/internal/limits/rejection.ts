/** A limit in the option `rateLimit` of a bucket. */
export type LimitName = "perBucket" | "perUser" | "perAddress"

/** A request that is not admitted (`GATEWAY_RATE_LIMITED`, 429). */
export interface Rejection {
  /** The limit that is used up. */
  readonly limit: LimitName
  /** The value of `Retry-After`: whole seconds, at least 1. */
  readonly retryAfter: number
}

/** A rejection for a time to wait in nanoseconds. */
export const rejectionOf = (limit: LimitName, nanos: number): Rejection => ({
  limit,
  retryAfter: Math.max(1, Math.ceil(nanos / 1_000_000_000))
})
