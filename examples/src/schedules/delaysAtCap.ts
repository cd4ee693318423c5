import { Duration, Effect, Pull, Schedule } from "effect"

/** Where an exponential schedule from 100 ms to 1 s has reached its cap. */
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

/** The delays, in milliseconds, that many clients would wait once the schedule has grown to its cap. */
export const delaysAtCap = (
  schedule: Schedule.Schedule<unknown>,
  clients: number
): Effect.Effect<ReadonlyArray<number>> => Effect.all(Array.from({ length: clients }, () => lastDelay(schedule)))
