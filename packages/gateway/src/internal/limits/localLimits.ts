import type * as Clock from "effect/Clock"
import { LRUCache } from "lru-cache"
import type { RateLimit } from "../../BucketOptions.ts"
import { parseRate } from "../config/rate.ts"
import { type Counter, counterOf, type State } from "./counter.ts"
import { type LimitName, type Rejection, rejectionOf } from "./rejection.ts"
import { SlidingWindow } from "./slidingWindow.ts"

/** Limits that are decided at once. A member is absent where the option is. */
export interface LocalLimits {
  readonly address: ((address: string) => Rejection | undefined) | undefined
  readonly caller: ((user: string | undefined) => Rejection | undefined) | undefined
}

/** What an entry counts with: its name, a bucket or the object of a window, and its times. */
const sizeOf = (state: State, name: string): number =>
  128 + 2 * name.length + (state instanceof SlidingWindow ? state.bytes : 0)

/** The memory of an entry on average, which bounds windows with many times. */
const bytesPerEntry = 1024

/** A counter by name, with a state for each name. */
interface Named {
  readonly limit: LimitName
  readonly counter: Counter
  readonly stateOf: (name: string) => State
  readonly grown: (name: string, state: State) => void
}

/** Admits a request if each of its limits does, and only then counts it in all of them. */
const admit = (
  limits: ReadonlyArray<readonly [limit: Named, name: string]>,
  now: number
): Rejection | undefined => {
  const states: Array<State> = []
  for (const [{ counter, limit, stateOf }, name] of limits) {
    const state = stateOf(name)
    const wait = counter.wait(state, now)
    if (wait > 0) return rejectionOf(limit, wait)
    states.push(state)
  }
  limits.forEach(([{ counter, grown }, name], index) => {
    const state = states[index]
    if (state !== undefined && counter.take(state, now)) grown(name, state)
  })
  return undefined
}

/** Makes the limits of buckets in this process. All share one bounded memory, which is allocated with the first limit. */
export const localLimits = (clock: Clock.Clock, maxEntries: number) => {
  const start = clock.monotonicTimeNanosUnsafe()
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() - start)
  let memory: LRUCache<string, State> | undefined
  const entries = (): LRUCache<string, State> =>
    memory ??= new LRUCache({ max: maxEntries, maxSize: maxEntries * bytesPerEntry, sizeCalculation: sizeOf })

  const named = (limit: LimitName, prefix: string, counter: Counter): Named => {
    const all = entries()
    return {
      limit,
      counter,
      stateOf: (name) => {
        const key = prefix + name
        const found = all.get(key)
        if (found !== undefined) return found
        const state = counter.empty()
        all.set(key, state)
        return state
      },
      grown: (name, state) => {
        // Setting the same object again would not change its size.
        all.delete(prefix + name)
        all.set(prefix + name, state)
      }
    }
  }

  /** The bucket's own state is not in the bounded memory: no number of addresses makes it forgotten. */
  const whole = (counter: Counter): Named => {
    const state = counter.empty()
    return { limit: "perBucket", counter, stateOf: () => state, grown: () => undefined }
  }

  return (bucket: string, options: RateLimit): LocalLimits => {
    const counters = (rate: string | undefined): Counter | undefined => {
      const parsed = rate === undefined ? undefined : parseRate(rate)
      return parsed === undefined ? undefined : counterOf(options.algorithm, parsed)
    }
    const byAddress = counters(options.perAddress)
    const byUser = counters(options.perUser)
    const byBucket = counters(options.perBucket)
    const address = byAddress === undefined ? undefined : named("perAddress", `${bucket}\0a\0`, byAddress)
    const user = byUser === undefined ? undefined : named("perUser", `${bucket}\0u\0`, byUser)
    const all = byBucket === undefined ? undefined : whole(byBucket)
    return {
      address: address === undefined ? undefined : (name) => admit([[address, name]], now()),
      caller: user === undefined && all === undefined ? undefined : (name) =>
        admit([
          ...(user === undefined || name === undefined ? [] : [[user, name] as const]),
          ...(all === undefined ? [] : [[all, ""] as const])
        ], now())
    }
  }
}
