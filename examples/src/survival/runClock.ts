/** The time since the run began, and its current phase. */
import { type Clock, Effect } from "effect"
import type { PhaseName } from "./script.ts"

export interface RunClock {
  /** Milliseconds since the run began. */
  readonly now: () => number
  /** Starts the run: sets `now` to zero, after the preparation. */
  readonly start: () => void
  /** The current phase, set by `runPhases`. */
  phase: PhaseName
}

export const makeRunClock: Effect.Effect<RunClock> = Effect.clockWith((clock: Clock.Clock) =>
  Effect.sync(() => {
    let began = clock.monotonicTimeNanosUnsafe()
    return {
      now: () => Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6,
      start() {
        began = clock.monotonicTimeNanosUnsafe()
      },
      phase: "steady"
    }
  })
)

/** Sleeps until a time of the run, in milliseconds. */
export const sleepUntil = ({ now }: RunClock, millis: number): Effect.Effect<void> =>
  Effect.suspend(() => Effect.sleep(Math.max(0, millis - now())))
