import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { DeadlineExceeded } from "../../Deadline.ts"
import type { RetryEvent } from "../../Retry.ts"
import type { ClassPolicy, RetryPolicy } from "../../RetryPolicy.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { evidenceOf } from "../errors/evidence.ts"
import { withoutStack } from "../errors/withoutStack.ts"
import { left } from "./deadline.ts"
import { delayAfter } from "./delayAfter.ts"
import { type Delays, makeDelays } from "./delays.ts"
import { CurrentExecution, type SharedAttempts, sharedAttempts } from "./execution.ts"
import { FailedAttempt } from "./failedAttempt.ts"
import { classOf, policyFor } from "./failureClass.ts"
import type { Gate } from "./gate.ts"
import { type Attempt, RetryExhausted, type StoppedBy } from "./retryExhausted.ts"
import type { LoopOptions, Retried } from "./retryLoop.ts"

type Policy = RetryPolicy<never, unknown>

/** Decides by what is known of the error. Any other error is retried, as in `Effect.retry`. */
const isRetryable = (error: unknown): boolean => evidenceOf(error)?.retryable ?? true

/** The result of a call. */
export type Next<A, E, R> = Effect.Effect<A, E | RetryExhausted<E | DeadlineExceeded>, R>

/** The state of one call that has failed at least once, or may be interrupted. */
export class Call<A, E, R, R2, G> {
  readonly attempt: Effect.Effect<A, E | DeadlineExceeded, R>
  readonly #policy: Policy
  readonly #options: LoopOptions<E, R2, G> | undefined
  readonly #fiber: Fiber.Fiber<unknown, unknown>
  readonly #clock: Clock.Clock
  readonly #began: bigint
  /** The deadline in monotonic nanoseconds. */
  readonly #until: bigint | undefined
  /** The attempts of the call with those of its hedges; `undefined` if it is not hedged. */
  readonly #shared: SharedAttempts | undefined
  readonly #attempts: Array<Attempt> = []
  #startedAt: bigint
  #delays: Delays | undefined
  /** The error of the current attempt if it was interrupted for lack of time. */
  late: DeadlineExceeded | undefined

  constructor(
    { options, policy }: Retried<A, E, R, R2, G>,
    attempt: Effect.Effect<A, E | DeadlineExceeded, R>,
    fiber: Fiber.Fiber<unknown, unknown>,
    began: bigint,
    until: bigint | undefined
  ) {
    this.attempt = attempt
    this.#policy = policy
    this.#options = options
    this.#fiber = fiber
    this.#clock = fiber.getRef(Clock.Clock)
    this.#began = began
    this.#until = until
    this.#shared = sharedAttempts(fiber.getRef(CurrentExecution), options?.server)
    this.#startedAt = began
    this.late = undefined
  }

  /** Whether an error is the effect's own, and not that of an interrupted attempt. */
  #isOwn(error: E | DeadlineExceeded): error is E {
    return error !== this.late
  }

  /** Handles the error of a failed attempt. Interruption and defects pass unchanged. */
  readonly caught = (cause: Cause.Cause<E | DeadlineExceeded>): Next<A, E, R | R2> => {
    const error = Cause.findError(cause)
    if (Result.isFailure(error)) return Effect.failCause(error.failure)
    const defect = Cause.findDie(cause)
    return Result.isSuccess(defect)
      ? Effect.failCause(Cause.fromReasons([defect.success]))
      : this.#released(error.success, () => this.#failed(error.success))
  }

  /** What follows an error. If a callback throws, the call dies, and what the failed attempt holds is released first. */
  #released(error: E | DeadlineExceeded, next: () => Next<A, E, R | R2>): Next<A, E, R | R2> {
    try {
      return next()
    } catch (defect) {
      const discard = this.#options?.discard
      const died = Effect.die(defect)
      return discard === undefined || !this.#isOwn(error) ? died : Effect.andThen(discard(error), died)
    }
  }

  /** What follows a failed attempt: its error, the end of the retries, or a delay and the next attempt. */
  #failed(error: E | DeadlineExceeded): Next<A, E, R | R2> {
    const { enabled, maxAttempts, schedule } = this.#policy
    if (this.#options?.gate !== undefined && this.#isOwn(error)) this.#note(this.#options.gate, error)
    if (this.#isOwn(error) && !(this.#options?.while ?? isRetryable)(error)) return Effect.fail(error)
    const now = this.#clock.monotonicTimeNanosUnsafe()
    const number = this.#attempts.length + 1
    if (this.late?.limit === "call") return this.#giveUp(error, now, "deadline")
    const made = Math.max(number, this.#shared?.made ?? 0)
    if (!enabled || made >= maxAttempts) return this.#giveUp(error, now, "attempts")
    const refused = this.#options?.refuse?.(error)
    if (refused !== undefined) return this.#giveUp(error, now, refused)
    this.#delays ??= makeDelays(this.#policy)
    const own = this.#ownPolicy(error)
    if (schedule === undefined) {
      return this.#planned(error, now, this.#delays.backoff(number - 1, this.#random(), own), own)
    }
    return Effect.flatMap(
      this.#delays.step(now, error),
      (delay) =>
        delay === undefined
          ? this.#giveUp(error, now, "schedule")
          : this.#released(error, () => this.#planned(error, now, delay, own))
    )
  }

  /** What the policy says about the class of an error. Errors are classified only for policies that ask for it. */
  #ownPolicy(error: E | DeadlineExceeded): ClassPolicy | undefined {
    const { throttled, timedOut } = this.#policy
    if (throttled === undefined && timedOut === undefined) return undefined
    return policyFor(this.#policy, this.#isOwn(error) ? (this.#options?.failureClass ?? classOf)(error) : "timedOut")
  }

  #asked(error: E): Duration.Duration | undefined {
    return this.#options?.retryAfter?.(error, this.#clock.currentTimeMillisUnsafe())
  }

  /** Holds all callers back if the service asked for it, also if this call is not retried. */
  #note(gate: Gate<G>, error: E): void {
    if ((this.#options?.failureClass ?? classOf)(error) !== "throttled") return
    const asked = this.#asked(error)
    if (asked !== undefined) gate.pause(asked, this.#clock.monotonicTimeNanosUnsafe())
  }

  #random(): number {
    return this.#fiber.getRef(Random.Random).nextDoubleUnsafe()
  }

  /** Waits for the delay that was planned, or for what the error asks for, unless there is no time or budget for it. */
  #planned(
    error: E | DeadlineExceeded,
    now: bigint,
    planned: Duration.Duration,
    own: ClassPolicy | undefined
  ): Next<A, E, R | R2> {
    const { budget, retryAfterBeyond, retryAfterCeiling } = this.#policy
    const asked = this.#isOwn(error) ? this.#asked(error) : undefined
    const least = asked === undefined ? planned : delayAfter(planned, asked, this.#random(), {
      ceiling: retryAfterCeiling,
      beyond: retryAfterBeyond
    })
    const gate = this.#options?.gate
    const delay = least === undefined || gate?.isClosed(now) !== true
      ? least
      : Duration.max(least, gate.delay(now, this.#random()))
    if (delay === undefined) return this.#giveUp(error, now, "retryAfterTooLong")
    if (this.#until !== undefined && Duration.isGreaterThanOrEqualTo(delay, left(this.#until, now))) {
      return this.#giveUp(error, now, "deadline")
    }
    if (budget === undefined) return this.#again(error, now, delay, undefined)
    const reservation = budget.reserve(now, own?.cost)
    return reservation === undefined
      ? this.#giveUp(error, now, "budget")
      : this.#again(error, now, delay, () => budget.refund(reservation, own?.cost))
  }

  #again(
    error: E | DeadlineExceeded,
    now: bigint,
    delay: Duration.Duration,
    refund: (() => void) | undefined
  ): Next<A, E, R | R2> {
    const options = this.#options
    const number = this.#attempts.push(this.#record(error, now, delay))
    // Counted before the delay, so that no hedge is made meanwhile in place of this attempt.
    if (this.#shared !== undefined) this.#shared.made++
    const sleep = Duration.isZero(delay) ? Effect.void : this.#clock.sleep(delay)
    const wait = options === undefined
      ? sleep
      : Effect.andThen(announce(options, { attempt: number, error, delay }, this.#isOwn(error)), sleep)
    const gate = options?.gate
    const next = gate === undefined ? this.#next : () => this.#nextThroughGate(gate, error)
    return Effect.flatMap(refund === undefined ? wait : Effect.onError(wait, () => Effect.sync(refund)), next)
  }

  readonly #next = (): Next<A, E, R | R2> => {
    this.#startedAt = this.#clock.monotonicTimeNanosUnsafe()
    return Effect.catchCause(this.attempt, this.caught)
  }

  /** The next attempt, once the service takes calls again. A call that may not wait so long ends with its last error. */
  readonly #nextThroughGate = (gate: Gate<G>, error: E | DeadlineExceeded): Next<A, E, R | R2> => {
    const now = this.#clock.monotonicTimeNanosUnsafe()
    if (!gate.isClosed(now)) return this.#next()
    return Effect.matchEffect(gate.pass(this.#until), {
      onSuccess: this.#next,
      onFailure: () => this.#stop(error, "throttled")
    })
  }

  #giveUp(error: E | DeadlineExceeded, now: bigint, stoppedBy: StoppedBy): Next<A, E, R | R2> {
    this.#attempts.push(this.#record(error, now, Duration.zero))
    return this.#stop(error, stoppedBy)
  }

  #stop(error: E | DeadlineExceeded, stoppedBy: StoppedBy): Next<A, E, R | R2> {
    const failed = Effect.fail(
      withoutStack(() => new RetryExhausted({ error, stoppedBy, attempts: this.#attempts }))
    )
    return stoppedBy === "budget" && this.#options?.server !== undefined
      ? Effect.andThen(MetricSeries.increment("retryBudgetSpent", { server: this.#options.server }), failed)
      : failed
  }

  #record(error: E | DeadlineExceeded, now: bigint, delay: Duration.Duration): Attempt {
    const start = this.#startedAt
    return new FailedAttempt(this.#attempts.length + 1, start - this.#began, now - start, delay, error)
  }
}

const announce = Effect.fnUntraced(function*<E, R, G>(
  options: LoopOptions<E, R, G>,
  event: RetryEvent<E>,
  isOwn: boolean
): Effect.fn.Return<void, never, R> {
  const { error } = event
  // oxlint-disable-next-line no-unsafe-type-assertion -- the error of the effect, and not that of an interrupted attempt
  if (options.discard !== undefined && isOwn) yield* options.discard(error as E)
  if (options.server !== undefined) yield* MetricSeries.increment("retryAttempts", { server: options.server })
  const result = options.onRetry?.(event)
  if (Effect.isEffect(result)) yield* result
})
