import type { ParsedRate } from "../config/rate.ts"

/**
 * A token bucket as the time at which it is full again, in nanoseconds: `whole + part / limit`. As a fraction it is exact: no rounding adds up.
 */
export interface TokenBucket {
  whole: number
  part: number
}

/** The rule of a rate, in nanoseconds. */
export interface TokenRule {
  readonly limit: number
  readonly window: number
  /** What one request adds to the time: `step + stepPart / limit`. */
  readonly step: number
  readonly stepPart: number
}

export const tokenRule = ({ limit, windowMillis }: ParsedRate): TokenRule => {
  const window = windowMillis * 1_000_000
  const step = Math.floor(window / limit)
  return { limit, window, step, stepPart: window - step * limit }
}

export const emptyBucket = (): TokenBucket => ({ whole: 0, part: 0 })

/** How long to wait until a request is admitted, in nanoseconds; 0 if it is. */
export const tokenWait = ({ part, whole }: TokenBucket, rule: TokenRule, now: number): number => {
  // A bucket that was full before now is full now.
  if (whole < now) return 0
  const sum = part + rule.stepPart
  const over = whole + rule.step - rule.window - now + Math.ceil(sum / rule.limit)
  return Math.max(0, over)
}

/** Counts a request that is admitted. */
export const tokenTake = (bucket: TokenBucket, rule: TokenRule, now: number): void => {
  const isFull = bucket.whole < now
  const part = (isFull ? 0 : bucket.part) + rule.stepPart
  const carry = part >= rule.limit ? 1 : 0
  bucket.whole = (isFull ? now : bucket.whole) + rule.step + carry
  bucket.part = part - carry * rule.limit
}
