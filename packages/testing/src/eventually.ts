import { Effect } from "effect"

/** How often a condition is looked at, in milliseconds, and how many times: less than a test's own time-out on an idle machine. */
const pause = 5
const most = 9_000

/** Waits, in real time and for three quarters of a minute, until a condition holds: a limit for what hangs, not for what is slow. */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    let polls = 0
    const timer = setInterval(() => {
      const isLate = ++polls > most
      if (!isLate && !holds()) return
      clearInterval(timer)
      resume(isLate ? Effect.die(new Error(`Not within three quarters of a minute: ${holds.toString()}`)) : Effect.void)
    }, pause)
    return Effect.sync(() => clearInterval(timer))
  })
