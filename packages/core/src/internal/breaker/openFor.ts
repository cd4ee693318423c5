import * as Duration from "effect/Duration"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"

/** From this power of the multiplier on, every open duration is at its upper bound, or zero. */
const mostGrowth = 64

/** Upper bound of an open duration before jitter, in milliseconds. */
export const capMillis = (policy: BreakerPolicy): number =>
  Math.max(Duration.toMillis(policy.openDuration), Duration.toMillis(policy.maxOpenDuration))

/** Upper bound of an open duration, in milliseconds. */
export const longestMillis = (policy: BreakerPolicy): number => capMillis(policy) * (1 + policy.openJitter)

/** What an open duration is multiplied by: 1 without jitter. `random` returns a number from 0 to 1. */
export const jitterOf = (policy: BreakerPolicy, random: () => number): number =>
  policy.openJitter === 0 ? 1 : 1 + policy.openJitter * random()

/** What a failure asks for at least, in milliseconds, not above `maxOpenDuration`. */
export const askedMillis = (policy: BreakerPolicy, retryAfter: Duration.Duration | undefined): number =>
  retryAfter === undefined ? 0 : Duration.toMillis(Duration.min(retryAfter, policy.maxOpenDuration))

/**
 * How long a circuit stays open, in milliseconds. `luaPrelude` of the Redis store computes the same.
 *
 * - `openings`: how often it opened without having recovered, this time included.
 */
export const openMillis = (policy: BreakerPolicy, openings: number, asked: number, jitter: number): number => {
  const growth = policy.openMultiplier ** Math.min(openings - 1, mostGrowth)
  const grown = Math.min(Duration.toMillis(policy.openDuration) * growth, capMillis(policy))
  return Math.max(grown, asked) * jitter
}
