import { Duration, Effect, Pull, Schedule } from "effect"

/** Number of steps after which an exponential schedule from 100 ms has reached its cap of 1 s. */
const steps = 8

const lastDelay = Effect.fnUntraced(function*(schedule: Schedule.Schedule<unknown>) {
  const step = yield* Schedule.toStep(schedule)
  let delay = Duration.zero
  for (let n = 0; n < steps; n++) {
    delay = yield* Pull.matchEffect(step(0, undefined), {
      onSuccess: ([, next]) => Effect.succeed(next),
      onDone: () => Effect.succeed(delay),
      onFailure: Effect.failCause
    })
  }
  return Duration.toMillis(delay)
})

/** The delay of each client, in milliseconds, after the schedule has reached its cap. */
export const delaysAtCap = (
  schedule: Schedule.Schedule<unknown>,
  clients: number
): Effect.Effect<ReadonlyArray<number>> => Effect.all(Array.from({ length: clients }, () => lastDelay(schedule)))
