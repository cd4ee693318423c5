import * as Duration from "effect/Duration"

/** The time left until an instant, both in monotonic nanoseconds; zero once it has passed. */
export const left = (until: bigint, now: bigint): Duration.Duration => Duration.nanos(until > now ? until - now : 0n)

/** The sooner of two deadlines, of which the outer one may be absent. */
export const sooner = (outer: bigint | undefined, own: bigint): bigint =>
  outer !== undefined && outer < own ? outer : own
