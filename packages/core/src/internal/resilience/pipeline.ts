import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Breaker from "../../Breaker.ts"
import type { BreakerStore } from "../../BreakerStore.ts"
import * as Configuration from "../../Configuration.ts"
import { CurrentDeadline, type DeadlineExceeded } from "../../Deadline.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import type { CallOptions, Failure, Options, Resilience } from "../../Resilience.ts"
import * as ResiliencePolicy from "../../ResiliencePolicy.ts"
import type { RetryBudget } from "../../RetryBudget.ts"
import type { RetryPolicy } from "../../RetryPolicy.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as budgets from "../retry/budget.ts"
import { sooner } from "../retry/deadline.ts"
import { wrapHttp } from "../retry/httpAttempt.ts"
import { limitAttempt } from "../retry/limitAttempt.ts"
import { retryPolicyOf } from "../retry/policyOf.ts"
import { type LoopOptions, retryLoop } from "../retry/retryLoop.ts"

/** A checked policy, with the budget that it shares with others. */
export interface Checked {
  readonly policy: ResiliencePolicy.ResiliencePolicy
  readonly shared: RetryBudget | undefined
}

/** The options that a schema checks, and the budget that another policy has too. */
export const separate = (
  options: Pick<Options, "retry">
): { readonly data: unknown; readonly shared: RetryBudget | undefined } => {
  const budget = options.retry?.budget
  return budget !== undefined && budgets.isRetryBudget(budget)
    ? { data: { ...options, retry: { ...options.retry, budget: undefined } }, shared: budget }
    : { data: options, shared: undefined }
}

const decode = Configuration.decode(ResiliencePolicy.ResiliencePolicy)

/** Checks options. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const check = (options: Options): Effect.Effect<Checked, ConfigurationError> => {
  const { data, shared } = separate(options)
  return Effect.map(decode(data), (policy) => ({ policy, shared }))
}

/**
 * Makes a part, or returns the one of the policy before it whose options are equal. `key` names the part.
 */
export type Keep = <A, E, R>(key: string, options: unknown, make: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Every part is made anew. */
export const anew: Keep = (_key, _options, make) => make

/** The parts of a policy that have a state. */
export interface Parts {
  readonly retry: RetryPolicy<unknown, DeadlineExceeded> | undefined
  readonly breaker: Breaker.Breaker | undefined
}

/** Retries with one budget for all calls: the shared one, or the one of the policy. */
export const makeRetry = (
  { policy, shared }: Checked,
  keep: Keep
): Effect.Effect<RetryPolicy<unknown, DeadlineExceeded> | undefined> => {
  const { retry } = policy
  if (retry === undefined) return Effect.succeed(undefined)
  const { budget: options, ...rest } = retry
  const policyOf = (budget: RetryBudget | undefined) => {
    const own = retryPolicyOf({ ...policy, retry: rest })
    return own === undefined || budget === undefined ? own : { ...own, budget }
  }
  if (shared !== undefined || options === undefined) return Effect.succeed(policyOf(shared))
  return Effect.map(keep("budget", options, Effect.sync(() => budgets.fromPolicy(options))), policyOf)
}

/** Makes the parts that stand before the retries: each circuit, bulkhead or limit is of one called service. */
export const makeParts = Effect.fnUntraced(function*(
  name: string,
  policy: ResiliencePolicy.ResiliencePolicy,
  retry: RetryPolicy<unknown, DeadlineExceeded> | undefined,
  keep: Keep
): Effect.fn.Return<Parts, ConfigurationError, BreakerStore | Scope.Scope> {
  const breaker = policy.breaker?.enabled === true
    ? yield* keep("breaker", policy.breaker, Breaker.make(name, policy.breaker))
    : undefined
  return { retry, breaker }
})

/** What the breaker is told of a call. */
export type Telling<A, E> = Pick<CallOptions<A, E>, "classify" | "ignore">

/** Runs a call under the parts of a policy that one called service has: `breaker > retry > attempt`. */
export type Inner = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  loop: LoopOptions<E, never>,
  options: Telling<A, E> | undefined
) => Effect.Effect<A, Failure<E>, R>

/** The order of the parts inside the deadline. This is the only place that has it. */
export const makeInner = (policy: ResiliencePolicy.ResiliencePolicy, { breaker, retry }: Parts): Inner => {
  const { attemptTimeout, deadline, detach } = policy
  const limits = {
    detach,
    ...(attemptTimeout === undefined ? undefined : { attemptTimeout }),
    ...(deadline === undefined ? undefined : { deadline })
  }
  const attempts = <A, E, R>(self: Effect.Effect<A, E, R>, options: LoopOptions<E, never>) =>
    retry !== undefined
      ? retryLoop(self, retry, options)
      : Effect.flatMap(CurrentDeadline, (until) => limitAttempt(self, limits, until, ignore))
  return <A, E, R>(
    self: Effect.Effect<A, E, R>,
    loop: LoopOptions<E, never>,
    options: Telling<A, E> | undefined
  ): Effect.Effect<A, Failure<E>, R> => {
    const inner: Effect.Effect<A, Failure<E>, R> = attempts(self, loop)
    return breaker === undefined ? inner : breaker.execute(inner, options)
  }
}

const ignore = (): void => {}

/** Sets the deadline of a call and counts its failure. */
export type Outer = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What stands around all the others: the deadline, and the count of failed calls. */
export const makeOuter = (name: string, { deadline }: ResiliencePolicy.ResiliencePolicy): Outer => {
  const counted = <E>(cause: Cause.Cause<E>): Effect.Effect<never, E> => {
    const error = Cause.findErrorOption(cause)
    const failed = Effect.failCause(cause)
    return error._tag === "None" ? failed : Effect.andThen(MetricSeries.countError(error.value, name), failed)
  }
  return (self) => Effect.catchCause(deadline === undefined ? self : until(self, deadline), counted)
}

/** Sets the current deadline for an effect, which interrupts nothing itself. */
const until = <A, E, R>(self: Effect.Effect<A, E, R>, deadline: Duration.Duration): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const own = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(deadline)
    return Effect.provideService(self, CurrentDeadline, sooner(fiber.getRef(CurrentDeadline), own))
  })

/** Makes what runs calls to one service. */
export const makeResilience = Effect.fnUntraced(function*(
  name: string,
  checked: Checked,
  keep: Keep
): Effect.fn.Return<Resilience, ConfigurationError, BreakerStore | Scope.Scope> {
  const { policy } = checked
  const retry = yield* makeRetry(checked, keep)
  const parts = yield* makeParts(name, policy, retry, keep)
  const inner = makeInner(policy, parts)
  const outer = makeOuter(name, policy)
  // Made once, since most calls have no options.
  const plain = { server: name, obeysOuter: true }
  return {
    name,
    policy,
    breaker: parts.breaker,
    execute: (self, options) => outer(inner(self, options === undefined ? plain : { ...options, ...plain }, options)),
    http: (self, options) =>
      wrapHttp(
        self,
        retry ?? { statuses: [] },
        { ...options, server: name },
        ({ attempt, loop }) => outer(inner(attempt, { ...loop, obeysOuter: true }, options))
      )
  }
})
