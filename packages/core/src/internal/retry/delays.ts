import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../../Backoff.ts"
import type { ClassPolicy, RetryPolicy } from "../../RetryPolicy.ts"
import { backoffFor } from "./failureClass.ts"

type Step = (now: number, error: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

/** The delays of one call. */
export interface Delays {
  /** The next delay of the policy's backoff, or that of a class. Attempts count from 0. */
  readonly backoff: (attempt: number, random: number, own: ClassPolicy | undefined) => Duration.Duration
  /** The next delay of the policy's schedule, stepped on the monotonic clock; `undefined` at its end. */
  readonly step: (now: bigint, error: unknown) => Effect.Effect<Duration.Duration | undefined>
}

export const makeDelays = (policy: RetryPolicy<never, unknown>): Delays => {
  let step: Step | undefined
  let previous: Duration.Duration | undefined
  return {
    backoff: (attempt, random, own) => previous = Backoff.delay(backoffFor(policy, own), attempt, random, previous),
    step: Effect.fnUntraced(function*(now, error) {
      // oxlint-disable-next-line no-unsafe-type-assertion -- its input type is the errors of the effect, and it gets no others
      step ??= yield* Schedule.toStep(policy.schedule as Schedule.Schedule<unknown>)
      return yield* Pull.matchEffect(step(Number(now / 1_000_000n), error), {
        onSuccess: ([, delay]) => Effect.succeed(Duration.max(delay, Duration.zero)),
        onDone: () => Effect.succeed(undefined),
        onFailure: Effect.failCause
      })
    })
  }
}
