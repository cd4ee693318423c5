/** Retries without other policies: three attempts, with delays growing from a millisecond or without delay. */
import { Retry, RetryPolicy } from "@keelson/core"
import { ConstantBackoff, ExponentialBackoff, handleAll, retry as cockatielRetry } from "cockatiel"
import { Effect, Schedule } from "effect"
import pRetry from "p-retry"
import { type Contestant, shared } from "./contestant.ts"

export const bareEffect: Contestant = { name: "bare effect", kind: "effect", make: Effect.succeed((self) => self) }
export const bareFunction: Contestant = {
  name: "bare function",
  kind: "promise",
  make: Effect.succeed((call) => call())
}

const times = shared.attempts - 1

/** Builds schedules and policies once, and a retry for each call, as applications do for calls with arguments. */
export const retries = (delayMillis: 0 | 1): ReadonlyArray<Contestant> => {
  const policy = RetryPolicy.make({ maxAttempts: shared.attempts, initialDelay: `${delayMillis} millis` })
  const delays: Schedule.Schedule<unknown> = delayMillis === 0
    ? Schedule.forever
    : Schedule.exponential(`${delayMillis} millis`)
  const schedule = Schedule.upTo(delays, { times })
  const cockatiel = cockatielRetry(handleAll, {
    maxAttempts: times,
    backoff: delayMillis === 0
      ? new ConstantBackoff(0)
      : new ExponentialBackoff({ initialDelay: delayMillis, maxDelay: 100 })
  })
  const options = { retries: times, minTimeout: delayMillis }
  return [
    { name: "Keelson", kind: "effect", make: Effect.succeed((self) => Retry.retry(self, policy)) },
    { name: "Effect", kind: "effect", make: Effect.succeed((self) => Effect.retry(self, schedule)) },
    { name: "cockatiel", kind: "promise", make: Effect.succeed((call) => cockatiel.execute(call)) },
    { name: "p-retry", kind: "promise", make: Effect.succeed((call) => pRetry(() => call(), options)) }
  ]
}
