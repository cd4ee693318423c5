import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { DeadlineExceeded } from "../../Deadline.ts"
import { withoutStack } from "../errors/withoutStack.ts"
import { interruptAfter } from "./interruptAfter.ts"

/** The limits of an attempt. */
export interface Limits {
  readonly attemptTimeout?: Duration.Duration
  readonly deadline?: Duration.Duration
  readonly detach: boolean
}

/**
 * Interrupts each run of an effect after the attempt timeout, or at `until` if that is sooner. `onLate` receives the error,
 * so that a caller can distinguish it from an error of the effect.
 */
export const limitAttempt = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { attemptTimeout, deadline, detach }: Limits,
  until: bigint | undefined,
  onLate: (error: DeadlineExceeded) => void
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.withFiber((fiber) => {
    if (until === undefined && attemptTimeout === undefined) return self
    const remaining = until === undefined
      ? Infinity
      : Number(until - fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe())
    const isCall = attemptTimeout === undefined || remaining <= Duration.toMillis(attemptTimeout) * 1e6
    const after = isCall ? Duration.millis(Math.max(0, remaining / 1e6)) : attemptTimeout
    const late = (): DeadlineExceeded => {
      const error = withoutStack(() =>
        new DeadlineExceeded(isCall ? { limit: "call", after: deadline ?? after } : { limit: "attempt", after })
      )
      onLate(error)
      return error
    }
    return interruptAfter(self, after, late, detach)
  })
