import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as AdaptiveLimit from "../../AdaptiveLimit.ts"
import * as Breaker from "../../Breaker.ts"
import type { BreakerStore } from "../../BreakerStore.ts"
import * as Bulkhead from "../../Bulkhead.ts"
import * as Configuration from "../../Configuration.ts"
import type { DeadlineExceeded } from "../../Deadline.ts"
import * as Hedge from "../../Hedge.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import type { Options } from "../../Resilience.ts"
import * as ResiliencePolicy from "../../ResiliencePolicy.ts"
import type { RetryBudget } from "../../RetryBudget.ts"
import type { RetryPolicy } from "../../RetryPolicy.ts"
import type { Throttle } from "../../Throttle.ts"
import * as budgets from "../retry/budget.ts"
import { type Gate, makeGate } from "../retry/gate.ts"
import { retryPolicyOf } from "../retry/policyOf.ts"
import type { Throttled } from "../retry/throttled.ts"
import { throttleOf } from "../retry/throttleOf.ts"

/** A checked policy, with the budgets that it shares with others. */
export interface Checked<P extends ResiliencePolicy.ResiliencePolicy = ResiliencePolicy.ResiliencePolicy> {
  readonly policy: P
  readonly retryBudget: RetryBudget | undefined
  readonly hedgeBudget: RetryBudget | undefined
}

interface Budgeted {
  readonly budget?: RetryBudget | object | undefined
}

/** A section of options without a budget that is shared, and that budget. */
const withoutShared = <O extends Budgeted>(
  section: O | undefined
): readonly [O | undefined, RetryBudget | undefined] => {
  const budget = section?.budget
  if (section === undefined || budget === undefined || !budgets.isRetryBudget(budget)) return [section, undefined]
  const { budget: _, ...rest } = section
  // oxlint-disable-next-line no-unsafe-type-assertion -- every option of a section may be left out
  return [rest as O, budget]
}

/** Checks options by a schema. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const checker =
  <P extends ResiliencePolicy.ResiliencePolicy>(decode: (input: unknown) => Effect.Effect<P, ConfigurationError>) =>
  // An empty file has no options at all.
  (options: Pick<Options, "hedge" | "retry"> | null | undefined): Effect.Effect<Checked<P>, ConfigurationError> => {
    const [retry, retryBudget] = withoutShared(options?.retry)
    const [hedge, hedgeBudget] = withoutShared(options?.hedge)
    const isPlain = retryBudget === undefined && hedgeBudget === undefined
    return Effect.map(
      decode(isPlain ? options : { ...options, retry, hedge }),
      (policy) => ({ policy, retryBudget, hedgeBudget })
    )
  }

export const check = checker(Configuration.decode(ResiliencePolicy.ResiliencePolicy))

/** Makes a part, or returns the one of the policy before it whose options are equal. `key` names the part. */
export type Keep = <A, E, R>(key: string, options: unknown, make: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Every part is made anew. */
export const anew: Keep = (_key, _options, make) => make

/** The parts that each called service has. Nothing is built for a part that is left out. */
export interface Parts {
  readonly retry: RetryPolicy<unknown, DeadlineExceeded> | undefined
  readonly breaker: Breaker.Breaker | undefined
  readonly bulkhead: Bulkhead.Bulkhead | undefined
  readonly limit: AdaptiveLimit.AdaptiveLimit | undefined
  readonly throttle: Throttle | undefined
  readonly gate: Gate<Throttled> | undefined
}

/** Retries with one budget for all calls: the shared one, or the one of the policy. */
export const makeRetry = (
  { policy, retryBudget }: Checked,
  keep: Keep
): Effect.Effect<RetryPolicy<unknown, DeadlineExceeded> | undefined> => {
  const { retry } = policy
  if (retry === undefined) return Effect.succeed(undefined)
  const { budget: options, ...rest } = retry
  const policyOf = (budget: RetryBudget | undefined) => {
    const own = retryPolicyOf({ ...policy, retry: rest })
    return own === undefined || budget === undefined ? own : { ...own, budget }
  }
  if (retryBudget !== undefined || options === undefined) return Effect.succeed(policyOf(retryBudget))
  return Effect.map(keep("budget", options, Effect.sync(() => budgets.fromPolicy(options))), policyOf)
}

/** Makes the parts that each called service has. */
export const makeParts = Effect.fnUntraced(function*(
  name: string,
  policy: ResiliencePolicy.ResiliencePolicy,
  retry: RetryPolicy<unknown, DeadlineExceeded> | undefined,
  keep: Keep
): Effect.fn.Return<Parts, ConfigurationError, BreakerStore | Scope.Scope> {
  const { breaker, bulkhead, limit, throttle } = policy
  const gate = throttle === undefined ? undefined : yield* keep("throttle", throttle, makeGate(name, throttle))
  return {
    retry,
    breaker: breaker?.enabled === true ? yield* keep("breaker", breaker, Breaker.make(name, breaker)) : undefined,
    bulkhead: bulkhead === undefined ? undefined : yield* keep("bulkhead", bulkhead, Bulkhead.make(name, bulkhead)),
    limit: limit === undefined ? undefined : yield* keep("limit", limit, AdaptiveLimit.make(name, limit)),
    throttle: throttle === undefined || gate === undefined ? undefined : throttleOf(name, throttle, gate),
    gate
  }
})

/** Makes the hedge of a call, which is around all its endpoints. */
export const makeHedge = (
  name: string,
  { hedgeBudget, policy: { hedge } }: Checked,
  keep: Keep
): Effect.Effect<Hedge.Hedge | undefined, ConfigurationError, Scope.Scope> =>
  hedge?.enabled !== true
    ? Effect.succeed(undefined)
    : keep(
      "hedge",
      [hedge, hedgeBudget],
      Hedge.make(name, hedgeBudget === undefined ? hedge : { ...hedge, budget: hedgeBudget })
    )
