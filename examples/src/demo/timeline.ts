/** What the server does, and when. */
import { type Clock, Effect } from "effect"

export interface Phase {
  readonly name: "steady" | "flaky" | "limited" | "hangs" | "down" | "recovery"
  /** Its part of the whole, in tenths. */
  readonly share: number
  readonly says: string
}

export const phases: ReadonlyArray<Phase> = [
  { name: "steady", share: 1.5, says: "answers 200" },
  { name: "flaky", share: 2, says: "answers 503 half of the time" },
  { name: "limited", share: 1.8, says: "answers 429 with Retry-After: 1 for a third of the time, then 200" },
  { name: "hangs", share: 1.7, says: "takes requests and never answers" },
  { name: "down", share: 1.2, says: "resets every connection" },
  { name: "recovery", share: 1.8, says: "answers 200" }
]

const tenths = phases.reduce((sum, { share }) => sum + share, 0)

/** A point in the script. */
interface Moment {
  readonly phase: Phase
  /** How much of the phase is over, from 0 to 1. */
  readonly part: number
}

export interface Timeline {
  readonly seconds: number
  /** Milliseconds since the script began. */
  readonly now: () => number
  readonly at: (millis: number) => Moment
}

const last: Moment = { phase: phases[phases.length - 1]!, part: 1 }

/** The script of a length, beginning now. After its end the last phase goes on. */
export const makeTimeline = (seconds: number): Effect.Effect<Timeline> =>
  Effect.clockWith((clock: Clock.Clock) =>
    Effect.sync(() => {
      const began = clock.monotonicTimeNanosUnsafe()
      return {
        seconds,
        now: () => Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6,
        at(millis) {
          let left = (millis / 1000) * (tenths / seconds)
          for (const phase of phases) {
            if (left < phase.share) return { phase, part: left / phase.share }
            left -= phase.share
          }
          return last
        }
      }
    })
  )
