import * as Duration from "effect/Duration"
import type { Options } from "../../RetryAfter.ts"

/** The share that is added to what the server asked for, so that clients do not all return at the same time. */
const spread = 0.1

/**
 * The next delay: at least what the server asked for (plus up to 10 %, by `random` on [0, 1)), and at least the backoff.
 * Returns `undefined` if the server asked for more than the ceiling and `beyond` is `stop`.
 */
export const delayAfter = (
  backoff: Duration.Duration,
  asked: Duration.Duration | undefined,
  random: number,
  options?: Options
): Duration.Duration | undefined => {
  if (asked === undefined) return backoff
  const ceiling = Duration.fromInputUnsafe(options?.ceiling ?? "60 seconds")
  if (Duration.isGreaterThan(asked, ceiling) && options?.beyond !== "clamp") return undefined
  return Duration.max(backoff, Duration.times(Duration.min(asked, ceiling), 1 + spread * random))
}
