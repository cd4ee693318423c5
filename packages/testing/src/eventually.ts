import { Effect } from "effect"

/** Milliseconds between two checks of a condition, and the number of checks: two minutes on an idle machine. */
const pause = 5
const most = 24_000

/** Waits in real time, for at most two minutes, until a condition holds. The limit is for hanging tests, not for slow ones. */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    let polls = 0
    const timer = setInterval(() => {
      const isLate = ++polls > most
      if (!isLate && !holds()) return
      clearInterval(timer)
      resume(
        isLate ? Effect.die(new Error(`Condition did not hold within two minutes: ${holds.toString()}`)) : Effect.void
      )
    }, pause)
    return Effect.sync(() => clearInterval(timer))
  })
