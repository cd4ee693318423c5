/** Progress on standard error, since the figures go to standard output. */
import { Effect } from "effect"

/** Names a step while it runs, and says how long it took. */
export const step = <A, E, R>(name: string, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    process.stderr.write(`${name} ...`)
    return Effect.ensuring(
      self,
      Effect.sync(() => process.stderr.write(` ${((performance.now() - start) / 1000).toFixed(0)} s\n`))
    )
  })
