import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"
import { CurrentDeadline, type DeadlineExceeded } from "../../Deadline.ts"
import type { Options } from "../../Retry.ts"
import type { RetryPolicy } from "../../RetryPolicy.ts"
import { sooner } from "./deadline.ts"
import { beginsCall, CurrentExecution, type Execution, sharedAttempts } from "./execution.ts"
import { Call, type Next } from "./failedCall.ts"
import type { Gate } from "./gate.ts"
import { limitAttempt } from "./limitAttempt.ts"
import type { RetryExhausted, StoppedBy } from "./retryExhausted.ts"

/** The options of `Retry` with those that `HttpRetry` and `Resilience` add. */
export interface LoopOptions<E, R, G = never> extends Options<E, E, R> {
  /** Why the call must not be repeated after a failure, also after an attempt timeout. */
  readonly refuse?: ((failure: E | DeadlineExceeded) => StoppedBy | undefined) | undefined
  /** Holds attempts back while the service has asked its callers to wait. */
  readonly gate?: Gate<G> | undefined
  /** Whether attempts are also interrupted at a deadline around the call, so that a breaker outside counts them as failures. */
  readonly obeysOuter?: boolean | undefined
  /** Releases what a failed attempt still holds, once another attempt is certain. */
  readonly discard?: ((error: E) => Effect.Effect<void>) | undefined
}

type Policy = RetryPolicy<never, unknown>

/**
 * Runs the effect, and builds everything else only after it has failed.
 *
 * If the policy has a deadline or an attempt timeout, each attempt is interrupted here and not outside, so that a breaker
 * around the loop counts it as a failure. `Cut` is then `DeadlineExceeded`, else `never`.
 */
export const retryLoop = <A, E, R, Cut = never, R2 = never, G = never>(
  self: Effect.Effect<A, E, R>,
  policy: RetryPolicy<E | Cut, Cut>,
  options?: LoopOptions<E, R2, G>
): Effect.Effect<A, E | G | RetryExhausted<E | Cut>, R | R2> =>
  // oxlint-disable-next-line no-unsafe-type-assertion -- an effect by its prototype; the policy says whether it interrupts
  new Retried(self, policy, options) as unknown as Effect.Effect<A, E | G | RetryExhausted<E | Cut>, R | R2>

/** A retried effect: one object, where `Effect.withFiber` would take one and two closures. */
export class Retried<A, E, R, R2, G> {
  readonly self: Effect.Effect<A, E, R>
  readonly policy: Policy
  readonly options: LoopOptions<E, R2, G> | undefined
  constructor(self: Effect.Effect<A, E, R>, policy: Policy, options: LoopOptions<E, R2, G> | undefined) {
    this.self = self
    this.policy = policy
    this.options = options
  }
}

Object.setPrototypeOf(
  Retried.prototype,
  Effectable.Prototype<Effect.Effect<unknown, unknown, unknown> & Retried<unknown, unknown, unknown, unknown, unknown>>(
    {
      label: "Retry",
      evaluate(fiber) {
        return begin(this, fiber)
      }
    }
  )
)

const begin = <A, E, R, R2, G>(
  call: Retried<A, E, R, R2, G>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<A, E | G | RetryExhausted<E | DeadlineExceeded>, R | R2> => {
  const { options, policy } = call
  const began = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
  const execution = fiber.getRef(CurrentExecution)
  if (execution !== undefined && policy.enabled) boundAttempts(execution, options?.server, policy.maxAttempts)
  if (policy.budget !== undefined && beginsCall(execution, policy.budget, options?.server)) policy.budget.deposit(began)
  const first = policy.attemptTimeout === undefined && policy.deadline === undefined && options?.obeysOuter !== true
    ? uncut(call, fiber, began)
    : cut(call, fiber, began)
  return options?.gate?.isClosed(began) === true
    ? Effect.andThen(options.gate.pass(untilOf(policy, fiber, began)), first)
    : first
}

/** Hedges of the call are attempts too: all together are at most those of its retries. */
const boundAttempts = (execution: Execution, server: string | undefined, most: number): void => {
  const shared = sharedAttempts(execution, server)
  if (shared !== undefined) shared.most = most
}

/** Makes one closure and nothing else, since every call that succeeds passes here. */
const uncut = <A, E, R, R2, G>(
  call: Retried<A, E, R, R2, G>,
  fiber: Fiber.Fiber<unknown, unknown>,
  began: bigint
): Next<A, E, R | R2> =>
  Effect.catchCause(
    call.self,
    (cause) => new Call(call, call.self, fiber, began, fiber.getRef(CurrentDeadline)).caught(cause)
  )

/** The same for attempts that are interrupted after a time. */
const cut = <A, E, R, R2, G>(
  call: Retried<A, E, R, R2, G>,
  fiber: Fiber.Fiber<unknown, unknown>,
  began: bigint
): Next<A, E, R | R2> => {
  const { policy, self } = call
  const until = untilOf(policy, fiber, began)
  if (until === undefined && policy.attemptTimeout === undefined) return uncut(call, fiber, began)
  const seen = until === fiber.getRef(CurrentDeadline) ? self : Effect.provideService(self, CurrentDeadline, until)
  const attempt: Effect.Effect<A, E | DeadlineExceeded, R> = limitAttempt(
    seen,
    policy,
    until,
    (late) => state.late = late
  )
  const state = new Call(call, attempt, fiber, began, until)
  return Effect.catchCause(attempt, state.caught)
}

/** The sooner of the policy's deadline and the one around the call. */
const untilOf = (policy: Policy, fiber: Fiber.Fiber<unknown, unknown>, began: bigint): bigint | undefined => {
  const outer = fiber.getRef(CurrentDeadline)
  return policy.deadline === undefined ? outer : sooner(outer, began + Duration.toNanosUnsafe(policy.deadline))
}
