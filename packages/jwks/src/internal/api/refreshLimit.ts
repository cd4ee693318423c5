import type * as Clock from "effect/Clock"

/** How long after a forced refresh of a provider no other one is made: 10 seconds, in nanoseconds. */
const period = 10_000_000_000n

/** Whether a provider may be refreshed by force now; asking takes the turn. It holds across changes of the provider. */
export const makeRefreshLimit = (): (key: string, clock: Clock.Clock) => boolean => {
  // In the order of their times: the oldest are first.
  const taken = new Map<string, bigint>()
  return (key, clock) => {
    const now = clock.monotonicTimeNanosUnsafe()
    for (const [oldest, at] of taken) {
      if (now - at < period) break
      taken.delete(oldest)
    }
    if (taken.has(key)) return false
    taken.set(key, now)
    return true
  }
}
