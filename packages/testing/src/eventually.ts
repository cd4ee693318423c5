import { Effect } from "effect"

/** Waits, in real time and for at most five seconds, until a condition holds. */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    let polls = 0
    const timer = setInterval(() => {
      const isLate = ++polls > 2_500
      if (!isLate && !holds()) return
      clearInterval(timer)
      resume(isLate ? Effect.die(new Error(`Not within five seconds: ${holds.toString()}`)) : Effect.void)
    }, 2)
    return Effect.sync(() => clearInterval(timer))
  })
