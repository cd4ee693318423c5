import type * as Clock from "effect/Clock"

/**
 * Limits a rate: a bucket that holds `burst` permits and gets `perSecond` new ones each second of monotonic time, so that
 * setting the wall clock changes nothing.
 */
export class RateLimiter {
  readonly #perSecond: number
  readonly #burst: number
  #permits: number
  #filledAt: bigint | undefined

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#permits = burst
  }

  /** Takes a permit; false if there is none. */
  take(clock: Clock.Clock): boolean {
    const now = clock.monotonicTimeNanosUnsafe()
    const elapsed = this.#filledAt === undefined ? 0 : Math.max(0, Number(now - this.#filledAt) / 1e9)
    this.#permits = Math.min(this.#burst, this.#permits + elapsed * this.#perSecond)
    this.#filledAt = now
    if (this.#permits < 1) return false
    this.#permits--
    return true
  }
}
