import { runOut } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Pull, Schedule } from "effect"

/** The first delays of a schedule in milliseconds, stepped as if the time passed. Fewer if it ends before. */
export const delaysOf = <Output, Input, Error, Env>(
  schedule: Schedule.Schedule<Output, Input, Error, Env>,
  count: number,
  input: Input
): Effect.Effect<Array<number>, Error, Env> =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    const delays: Array<number> = []
    let now = 0
    while (delays.length < count) {
      const delay = yield* Pull.matchEffect(step(now, input), {
        onSuccess: ([, duration]) => Effect.succeed(Duration.toMillis(duration)),
        onDone: () => Effect.succeed(undefined),
        onFailure: (cause) => Effect.failCause(cause)
      })
      if (delay === undefined) break
      delays.push(delay)
      now += delay
    }
    return delays
  })

/** The virtual milliseconds between the calls of an effect that always fails, under Effect's own `retry`. */
export const retryGaps = <Output, Input, Error>(
  schedule: Schedule.Schedule<Output, Input, Error>,
  error: Input
): Effect.Effect<Array<number>> =>
  Effect.gen(function*() {
    const times: Array<number> = []
    const call = Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
      times.push(Number(now) / 1_000_000)
      return Effect.fail(error)
    })
    // Seven delays that triple from two seconds take over half an hour.
    yield* runOut(Effect.retry(call, schedule), "1 day")
    return times.slice(1).map((time, index) => time - times[index]!)
  })

/** What a sample of numbers looks like. */
export const summary = (sample: ReadonlyArray<number>) => {
  const mean = sample.reduce((sum, value) => sum + value, 0) / sample.length
  const counts = new Map<number, number>()
  for (const value of sample) counts.set(value, (counts.get(value) ?? 0) + 1)
  return {
    min: Math.min(...sample),
    max: Math.max(...sample),
    mean,
    deviation: Math.sqrt(sample.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sample.length),
    /** The share of the value that occurs most. */
    heap: Math.max(...counts.values()) / sample.length
  }
}
