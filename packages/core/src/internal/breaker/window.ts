/** The calls that a circuit counts: the last `windowSize` calls, or those within the last `windowDuration`. */
import * as Duration from "effect/Duration"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"

/** How many calls a window holds, and how many of them failed or were slow. */
export interface WindowCounts {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** Two bits for each call, 15 calls in a number that is no object. */
const perWord = 15

/** The last `size` calls. */
class CountWindow implements WindowCounts {
  calls = 0
  failures = 0
  slow = 0
  #next = 0
  readonly #words: Array<number>
  readonly size: number

  constructor(size: number) {
    this.size = size
    this.#words = Array.from({ length: Math.ceil(size / perWord) }, () => 0)
  }
  add(isFailed: boolean, isSlow: boolean): void {
    const word = Math.trunc(this.#next / perWord)
    const shift = this.#next % perWord * 2
    const before = this.#words[word] ?? 0
    if (this.calls < this.size) this.calls++
    else this.#count(before >> shift & 3, -1)
    const bits = (isFailed ? 1 : 0) + (isSlow ? 2 : 0)
    this.#words[word] = before & ~(3 << shift) | bits << shift
    this.#count(bits, 1)
    this.#next = (this.#next + 1) % this.size
  }
  #count(bits: number, by: number): void {
    if ((bits & 1) !== 0) this.failures += by
    if ((bits & 2) !== 0) this.slow += by
  }
}

/** Into how many buckets a time window is divided: it moves on by one. */
export const buckets = 10

const none: Array<number> = []

/** The calls of the last `buckets` buckets, the current one included. */
class TimeWindow implements WindowCounts {
  calls = 0
  failures = 0
  slow = 0
  /** Four numbers for each bucket that has calls, oldest first: its number, its calls, its failures and its slow calls. */
  #counts: Array<number> = none
  readonly width: number

  constructor(width: number) {
    this.width = width
  }
  add(isFailed: boolean, isSlow: boolean, now: number): void {
    this.forget(now)
    const bucket = Math.floor(now / this.width)
    // An array that grows has room for 16 more: a literal takes as much as it holds.
    if (this.#counts.length === 0) this.#counts = [bucket, 0, 0, 0]
    const counts = this.#counts
    if (counts[counts.length - 4] !== bucket) counts.push(bucket, 0, 0, 0)
    const at = counts.length - 3
    counts[at]!++
    this.calls++
    if (isFailed) {
      counts[at + 1]!++
      this.failures++
    }
    if (isSlow) {
      counts[at + 2]!++
      this.slow++
    }
  }
  /** Removes the buckets that are too old. */
  forget(now: number): void {
    const oldest = Math.floor(now / this.width) - buckets
    const counts = this.#counts
    while (counts.length > 0 && counts[0]! <= oldest) {
      const [, calls = 0, failures = 0, slow = 0] = counts.splice(0, 4)
      this.calls -= calls
      this.failures -= failures
      this.slow -= slow
    }
  }
}

export type Window = CountWindow | TimeWindow

/** The width of a bucket of a time window, in milliseconds. */
export const bucketMillis = (policy: BreakerPolicy): number => Duration.toMillis(policy.windowDuration) / buckets

/** The window of a policy; the one that is there, if it is of that policy. */
export const windowOf = (policy: BreakerPolicy, current: Window | undefined): Window | undefined => {
  switch (policy.strategy) {
    case "consecutive":
      return undefined
    case "ratio":
      return current instanceof CountWindow && current.size === policy.windowSize
        ? current
        : new CountWindow(policy.windowSize)
    case "timeWindow":
      return current instanceof TimeWindow && current.width === bucketMillis(policy)
        ? current
        : new TimeWindow(bucketMillis(policy))
  }
}

/** The counts of a window at a moment. */
export const countsAt = (window: Window, now: number): WindowCounts => {
  if (window instanceof TimeWindow) window.forget(now)
  return { calls: window.calls, failures: window.failures, slow: window.slow }
}

/** The share of slow calls that opens a circuit. */
export const slowRatioOf = (policy: BreakerPolicy): number => policy.slowCallRatio ?? 1

/** Whether a window opens the circuit. */
export const isOver = (policy: BreakerPolicy, { calls, failures, slow }: WindowCounts): boolean =>
  calls >= policy.minimumCalls &&
  ((failures > 0 && failures / calls >= policy.failureRatio) ||
    (policy.slowCallDuration !== undefined && slow > 0 && slow / calls >= slowRatioOf(policy)))
