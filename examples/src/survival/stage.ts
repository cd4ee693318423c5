/** What all parts of a run know: how long it has been going, and which phase it is in. */
import { type Clock, Effect } from "effect"
import type { PhaseName } from "./script.ts"

export interface Stage {
  /** Milliseconds since the run began. */
  readonly now: () => number
  /** The run begins now: what comes before is preparation. */
  readonly begin: () => void
  /** The director sets it. */
  phase: PhaseName
}

export const makeStage: Effect.Effect<Stage> = Effect.clockWith((clock: Clock.Clock) =>
  Effect.sync(() => {
    let began = clock.monotonicTimeNanosUnsafe()
    return {
      now: () => Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6,
      begin() {
        began = clock.monotonicTimeNanosUnsafe()
      },
      phase: "steady"
    }
  })
)

/** Waits until a moment of the run, in milliseconds. */
export const until = ({ now }: Stage, millis: number): Effect.Effect<void> =>
  Effect.suspend(() => Effect.sleep(Math.max(0, millis - now())))
