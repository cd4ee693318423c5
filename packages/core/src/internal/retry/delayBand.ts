import * as Duration from "effect/Duration"
import type { Backoff } from "../../Backoff.ts"
import { type Band, jitterBand } from "./jitterBand.ts"

const longest = Duration.hours(24)

const nominal = (backoff: Backoff, attempt: number): number => {
  const initial = Duration.toMillis(backoff.initialDelay)
  switch (backoff.strategy) {
    case "fixed":
      return initial
    case "linear":
      return initial + attempt * Duration.toMillis(backoff.increment)
    case "exponential":
      return initial === 0 ? 0 : initial * Math.pow(backoff.multiplier, attempt)
  }
}

/**
 * The minimum and maximum delay after an attempt, in milliseconds. Attempts count from 0; a negative one is read as 0.
 *
 * `previous` is the delay before it, on which `decorrelated` is based. Default: the delay without jitter.
 */
export const delayBand = (backoff: Backoff, attempt: number, previous?: Duration.Duration): Band => {
  const n = Math.max(0, Math.floor(attempt))
  const cap = Duration.toMillis(backoff.maxDelay ?? longest)
  const base = Duration.toMillis(backoff.initialDelay)
  return jitterBand(backoff.jitter, {
    delay: nominal(backoff, n),
    base,
    cap,
    previous: previous === undefined
      ? Math.min(cap, nominal(backoff, Math.max(0, n - 1)))
      : Duration.toMillis(previous),
    ratio: backoff.jitterRatio
  })
}
