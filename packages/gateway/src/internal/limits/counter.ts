import type { ParsedRate } from "../config/rate.ts"
import { SlidingWindow } from "./slidingWindow.ts"
import { emptyBucket, type TokenBucket, tokenRule, tokenTake, tokenWait } from "./tokenBucket.ts"

/** What was counted for one name. */
export type State = TokenBucket | SlidingWindow

/** The two operations of an algorithm at a rate. Times are whole nanoseconds that never go back. */
export interface Counter {
  readonly empty: () => State
  /** How long to wait until a request is admitted; 0 if it is. */
  readonly wait: (state: State, now: number) => number
  /** Counts a request that is admitted. Returns whether the state takes more memory than before. */
  readonly take: (state: State, now: number) => boolean
}

const tokens = (rate: ParsedRate): Counter => {
  const rule = tokenRule(rate)
  return {
    empty: emptyBucket,
    wait: (state, now) => state instanceof SlidingWindow ? 0 : tokenWait(state, rule, now),
    take: (state, now) => {
      if (!(state instanceof SlidingWindow)) tokenTake(state, rule, now)
      return false
    }
  }
}

const sliding = ({ limit, windowMillis }: ParsedRate): Counter => {
  const window = windowMillis * 1_000_000
  return {
    empty: () => new SlidingWindow(),
    wait: (state, now) => state instanceof SlidingWindow ? state.wait(limit, window, now) : 0,
    take: (state, now) => {
      if (!(state instanceof SlidingWindow)) return false
      const before = state.bytes
      state.take(now)
      return state.bytes > before
    }
  }
}

/** The algorithm of an option at a rate. */
export const counterOf = (algorithm: "tokenBucket" | "slidingWindow", rate: ParsedRate): Counter =>
  algorithm === "tokenBucket" ? tokens(rate) : sliding(rate)
