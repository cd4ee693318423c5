import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../../Backoff.ts"
import { CurrentDeadline, type DeadlineExceeded } from "../../Deadline.ts"
import type { Options, RetryEvent } from "../../Retry.ts"
import * as RetryAfter from "../../RetryAfter.ts"
import type { Reservation } from "../../RetryBudget.ts"
import type { RetryPolicy } from "../../RetryPolicy.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { evidenceOf } from "../errors/evidence.ts"
import { left, sooner } from "./deadline.ts"
import { FailedAttempt } from "./failedAttempt.ts"
import { limitAttempt } from "./limitAttempt.ts"
import { type Attempt, RetryExhausted, type StoppedBy } from "./retryExhausted.ts"

/** The options of `Retry` with those that `HttpRetry` and `Resilience` add. */
export interface LoopOptions<E, R> extends Options<E, E, R> {
  /** Why the call must not be repeated, also after an attempt timeout. */
  readonly refuse?: (() => StoppedBy | undefined) | undefined
  /** Whether attempts are also interrupted at a deadline around the call. So inside a breaker, which counts them. */
  readonly obeysOuter?: boolean | undefined
  /** Releases what a failed attempt still holds, once another attempt is certain. */
  readonly discard?: ((error: E) => Effect.Effect<void>) | undefined
}

type Policy = RetryPolicy<never, unknown>
type Step = (now: number, error: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

/** The state of one call. */
interface Call<A, E, R, R2> {
  readonly attempt: Effect.Effect<A, E | DeadlineExceeded, R>
  readonly policy: Policy
  readonly options: LoopOptions<E, R2> | undefined
  readonly clock: Clock.Clock
  readonly began: bigint
  /** The deadline in monotonic nanoseconds. */
  readonly until: bigint | undefined
  /** The error of the current attempt if it was interrupted for lack of time. */
  late: DeadlineExceeded | undefined
}

/**
 * Runs the effect, and builds everything else only after it has failed.
 *
 * If the policy has a deadline or an attempt timeout, each attempt is interrupted here and not outside, so that a breaker
 * around the loop counts it as a failure. `Cut` is then `DeadlineExceeded`, else `never`.
 */
export const retryLoop = <A, E, R, Cut = never, R2 = never>(
  self: Effect.Effect<A, E, R>,
  policy: RetryPolicy<E | Cut, Cut>,
  options?: LoopOptions<E, R2>
): Effect.Effect<A, E | RetryExhausted<E | Cut>, R | R2> =>
  // oxlint-disable-next-line no-unsafe-type-assertion -- the type of the policy says whether it interrupts attempts
  run(self, policy, options) as Effect.Effect<A, E | RetryExhausted<E | Cut>, R | R2>

const run = <A, E, R, R2>(
  self: Effect.Effect<A, E, R>,
  policy: Policy,
  options: LoopOptions<E, R2> | undefined
): Effect.Effect<A, E | RetryExhausted<E | DeadlineExceeded>, R | R2> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const began = clock.monotonicTimeNanosUnsafe()
    policy.budget?.deposit(began)
    const cuts = policy.attemptTimeout !== undefined || policy.deadline !== undefined ||
      (options?.obeysOuter === true && fiber.getRef(CurrentDeadline) !== undefined)
    if (!cuts) {
      return onFailure(self, (error) => {
        const until = fiber.getRef(CurrentDeadline)
        return resume({ attempt: self, policy, options, clock, began, until, late: undefined }, error)
      })
    }
    const outer = fiber.getRef(CurrentDeadline)
    const until = policy.deadline === undefined
      ? outer
      : sooner(outer, began + Duration.toNanosUnsafe(policy.deadline))
    const seen = until === outer ? self : Effect.provideService(self, CurrentDeadline, until)
    const call: Call<A, E, R, R2> = {
      attempt: limitAttempt(seen, policy, until, (late) => call.late = late),
      policy,
      options,
      clock,
      began,
      until,
      late: undefined
    }
    return onFailure(call.attempt, (error) => resume(call, error))
  })

/** `Effect.catch` with one closure instead of three, since every successful call passes here. */
const onFailure = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  handle: (error: E) => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E2, R | R2> =>
  Effect.catchCause(self, (cause): Effect.Effect<A2, E2, R2> => {
    const error = Cause.findError(cause)
    if (Result.isFailure(error)) return Effect.failCause(error.failure)
    const defect = Cause.findDie(cause)
    return Result.isSuccess(defect) ? Effect.failCause(Cause.fromReasons([defect.success])) : handle(error.success)
  })

/** Decides by what is known of the error. Any other error is retried, as in `Effect.retry`. */
const isRetryable = (error: unknown): boolean => evidenceOf(error)?.retryable ?? true

/** Whether an error is the effect's own, and not that of an interrupted attempt. */
const isOwn = <E>(call: { readonly late: DeadlineExceeded | undefined }, error: E | DeadlineExceeded): error is E =>
  error !== call.late

const resume = Effect.fnUntraced(function*<A, E, R, R2>(
  call: Call<A, E, R, R2>,
  first: E | DeadlineExceeded
): Effect.fn.Return<A, E | RetryExhausted<E | DeadlineExceeded>, R | R2> {
  const { began, clock, options } = call
  const attempts: Array<Attempt> = []
  const plan = makePlan(call)
  let error = first
  let startedAt = began
  while (true) {
    if (isOwn(call, error) && !(options?.while ?? isRetryable)(error)) return yield* Effect.fail(error)
    const now = clock.monotonicTimeNanosUnsafe()
    const failed = {
      number: attempts.length + 1,
      start: Duration.nanos(startedAt - began),
      duration: Duration.nanos(now - startedAt)
    }
    const next = yield* plan(failed.number, now, error)
    if (typeof next === "string") {
      if (next === "budget" && options?.server !== undefined) {
        yield* MetricSeries.increment("retryBudgetSpent", { server: options.server })
      }
      return yield* new RetryExhausted({
        error,
        stoppedBy: next,
        attempts: [...attempts, new FailedAttempt({ ...failed, delay: Duration.zero }, error)]
      })
    }
    attempts.push(new FailedAttempt({ ...failed, delay: next.delay }, error))
    const event = { attempt: failed.number, error, delay: next.delay }
    const sleep = Effect.sleep(next.delay)
    const wait = options === undefined ? sleep : Effect.andThen(announce(call, options, event), sleep)
    yield* Effect.onError(wait, () => Effect.sync(() => next.refund?.()))
    startedAt = clock.monotonicTimeNanosUnsafe()
    const result = yield* Effect.result(call.attempt)
    if (Result.isSuccess(result)) return result.success
    error = result.failure
  }
})

const announce = Effect.fnUntraced(function*<E, R>(
  call: { readonly late: DeadlineExceeded | undefined },
  options: LoopOptions<E, R>,
  event: RetryEvent<E>
): Effect.fn.Return<void, never, R> {
  const { error } = event
  if (options.discard !== undefined && isOwn(call, error)) yield* options.discard(error)
  if (options.server !== undefined) yield* MetricSeries.increment("retryAttempts", { server: options.server })
  const result = options.onRetry?.(event)
  if (Effect.isEffect(result)) yield* result
})

/** The delay after a failure with its reservation in the budget, or why the retry stops. */
const makePlan = <A, E, R, R2>(call: Call<A, E, R, R2>) => {
  const { budget, enabled, maxAttempts, retryAfterBeyond, retryAfterCeiling } = call.policy
  const backoff = makeBackoff(call.policy)
  return Effect.fnUntraced(function*(number: number, now: bigint, error: E | DeadlineExceeded) {
    if (call.late?.limit === "call") return "deadline"
    if (!enabled || number >= maxAttempts) return "attempts"
    const refused = call.options?.refuse?.()
    if (refused !== undefined) return refused
    const planned = yield* backoff(number - 1, now, error)
    if (planned === undefined) return "schedule"
    const asked = isOwn(call, error)
      ? call.options?.retryAfter?.(error, call.clock.currentTimeMillisUnsafe())
      : undefined
    const delay = asked === undefined ? planned : RetryAfter.apply(planned, asked, yield* Random.next, {
      ceiling: retryAfterCeiling,
      beyond: retryAfterBeyond
    })
    if (delay === undefined) return "retryAfterTooLong"
    if (call.until !== undefined && Duration.isGreaterThanOrEqualTo(delay, left(call.until, now))) return "deadline"
    if (budget === undefined) return { delay }
    const reservation: Reservation | undefined = budget.reserve(now)
    return reservation === undefined ? "budget" : { delay, refund: () => budget.refund(reservation) }
  })
}

/** The delays of the policy's schedule, stepped on the monotonic clock, or of its backoff. */
const makeBackoff = (policy: Policy) => {
  let step: Step | undefined
  let previous: Duration.Duration | undefined
  return Effect.fnUntraced(function*(attempt: number, now: bigint, error: unknown) {
    if (policy.schedule === undefined) return previous = Backoff.delay(policy, attempt, yield* Random.next, previous)
    // oxlint-disable-next-line no-unsafe-type-assertion -- its input type is the errors of the effect, and it gets no others
    step ??= yield* Schedule.toStep(policy.schedule as Schedule.Schedule<unknown>)
    return yield* Pull.matchEffect(step(Number(now / 1_000_000n), error), {
      onSuccess: ([, delay]) => Effect.succeed(Duration.max(delay, Duration.zero)),
      onDone: () => Effect.succeed(undefined),
      onFailure: Effect.failCause
    })
  })
}
