import { Effect } from "effect"

/** The milliseconds between two looks at a condition, and how many looks there are: two minutes, where the machine is idle. */
const pause = 5
const most = 24_000

/** Waits, in real time and for two minutes at most, until a condition holds: a limit for what hangs, not for what is slow. */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    let polls = 0
    const timer = setInterval(() => {
      const isLate = ++polls > most
      if (!isLate && !holds()) return
      clearInterval(timer)
      resume(isLate ? Effect.die(new Error(`Not within two minutes: ${holds.toString()}`)) : Effect.void)
    }, pause)
    return Effect.sync(() => clearInterval(timer))
  })
