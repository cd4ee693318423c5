/**
 * Retry policies: how often to retry, after which delays, which statuses, and for how long in all.
 *
 * A policy is plain data from code, a file or the environment; in code it may also have an Effect `Schedule`.
 */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Backoff from "./Backoff.ts"
import type { DeadlineExceeded } from "./Deadline.ts"
import { isRetryBudget } from "./internal/retry/budget.ts"
import {
  isCapAboveBase,
  isClassCapAboveBase,
  isDeadlineAboveAttempt,
  timeFields
} from "./internal/retry/policyChecks.ts"
import * as policyOf from "./internal/retry/policyOf.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"
import * as RetryPresets from "./unstable/RetryPresets.ts"

/** How long attempts and calls may take. A `ResiliencePolicy` has these options once for all its parts. */
export interface TimeOptions {
  /**
   * Upper bound of one attempt. Without it only the deadline bounds an attempt. From 1 milli to 1 hour. Default none.
   */
  readonly attemptTimeout?: Field.DurationInput | undefined
  /**
   * Upper bound of a call with all its attempts and delays, without the finalizers of the interrupted attempt. From 1
   * milli to 24 hours. Default none.
   */
  readonly deadline?: Field.DurationInput | undefined
  /** Whether a call ends exactly at its deadline, while finalizers run in the background. Default false. */
  readonly detach?: boolean | undefined
}

/** How retries after failures of one class differ from other retries. Every one may be left out. */
export interface ClassOptions {
  /** Replaces `initialDelay` of the policy. From 0 millis to 24 hours. Default none. */
  readonly initialDelay?: Field.DurationInput | undefined
  /** Replaces `maxDelay` of the policy. From 0 millis to 24 hours. Default none. */
  readonly maxDelay?: Field.DurationInput | undefined
  /** What a retry takes from the budget; a retry after any other failure takes 1. From 0 to 100. Default 1. */
  readonly cost?: number | undefined
}

/** Checked options of a class. */
export const ClassPolicy = Schema.Struct({
  initialDelay: Schema.optionalKey(Field.duration("0 millis", "24 hours")),
  maxDelay: Schema.optionalKey(Field.duration("0 millis", "24 hours")),
  cost: Field.defaulted(Field.number(0, 100), 1)
})
export type ClassPolicy = typeof ClassPolicy.Type

/** What is retried, how often, and after which delays. */
export interface RetryOptions extends Backoff.Options {
  /** Whether to retry at all; with false there is one attempt. Default true. */
  readonly enabled?: boolean | undefined
  /** Upper bound of attempts, the first one included. From 1 to 100. Default 3. */
  readonly maxAttempts?: number | undefined
  /**
   * The HTTP statuses that `HttpRetry` and `Resilience.http` retry. Each from 400 to 599. Default 429, 502, 503, 504.
   */
  readonly statuses?: ReadonlyArray<number> | undefined
  /** The longest `Retry-After` that is waited for. From 0 millis to 24 hours. Default 1 minute. */
  readonly retryAfterCeiling?: Field.DurationInput | undefined
  /** What happens above the ceiling: `stop` retrying, or `clamp` to the ceiling. Default stop. */
  readonly retryAfterBeyond?: "stop" | "clamp" | undefined
  /** Bounds retries to a share of calls. Without it they are not bounded. Default none. */
  readonly budget?: RetryBudget.Options | undefined
  /**
   * For failures with which the service asks for fewer calls: a 429, a response that says how long to wait, or an error with
   * a code such as `RATE_LIMITED`. Default none.
   */
  readonly throttled?: ClassOptions | undefined
  /** For attempts that timed out here or at the service: errors with the code `TIMEOUT`. Default none. */
  readonly timedOut?: ClassOptions | undefined
}

/** The options that a file or the environment may give. Every one may be left out. */
export interface DataOptions extends RetryOptions, TimeOptions {}

/** Checked options of a policy. */
export const Data = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, true),
  maxAttempts: Field.defaulted(Field.int(1, 100), 3),
  ...Backoff.Backoff.fields,
  statuses: Field.defaulted(Schema.Array(Field.int(400, 599)), [429, 502, 503, 504]),
  retryAfterCeiling: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(60)),
  retryAfterBeyond: Field.defaulted(Schema.Literals(["stop", "clamp"]), "stop"),
  budget: Schema.optionalKey(RetryBudget.Policy),
  throttled: Schema.optionalKey(ClassPolicy),
  timedOut: Schema.optionalKey(ClassPolicy),
  ...timeFields
}).check(isCapAboveBase, isClassCapAboveBase, isDeadlineAboveAttempt)
export type Data = typeof Data.Type

const fromCode = Decoders.maker<DataOptions, typeof Data>(Data)

/**
 * A policy as `Retry` and `HttpRetry` take it. `E` are the errors that its `schedule` accepts. `Cut` is
 * `DeadlineExceeded` if the policy has a time to interrupt attempts at, else `never`.
 */
export interface RetryPolicy<in E = unknown, out Cut = never> extends Omit<Data, "budget"> {
  /** Replaces the backoff. Attempts, deadline, budget and history stay. */
  readonly schedule?: Schedule.Schedule<unknown, E> | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly "~Cut"?: Cut
}

/** The options that code may give. Every one may be left out. */
export interface Options<E = unknown> extends Omit<DataOptions, "budget"> {
  /** A schedule of delays, which replaces `strategy`, delays and jitter. Default none. */
  readonly schedule?: Schedule.Schedule<unknown, E> | undefined
  /** A budget shared with other policies, or the options of one for the calls of this policy. Default none. */
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
}

type WithoutSchedule = { readonly schedule?: undefined }
type WithoutCut = { readonly attemptTimeout?: undefined; readonly deadline?: undefined }

/**
 * Makes a policy of options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * The type of the policy names the errors that its `schedule` accepts, and `DeadlineExceeded` if `attemptTimeout` or
 * `deadline` is set.
 *
 * **Example** (A policy with a deadline)
 *
 * ```ts import.meta.vitest
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 *
 * const policy = RetryPolicy.make({ maxAttempts: 4, initialDelay: "200 millis", deadline: "5 seconds" })
 * policy.statuses // => [429, 502, 503, 504]
 * ```
 */
export const make: {
  (options?: Options & WithoutSchedule & WithoutCut): RetryPolicy
  (options: Options & WithoutSchedule): RetryPolicy<unknown, DeadlineExceeded>
  <E>(options: Options<E> & WithoutCut): RetryPolicy<E>
  <E>(options: Options<E>): RetryPolicy<E, DeadlineExceeded>
} = <E>({ budget, schedule, ...options }: Options<E> = {}): RetryPolicy<E> => {
  const shared = budget !== undefined && isRetryBudget(budget)
  const { "~Cut": _, ...policy } = policyOf.fromData(fromCode(shared ? options : { ...options, budget }))
  return { ...policy, ...(shared ? { budget } : undefined), schedule }
}

/**
 * A policy of checked data: `Effect.map(Configuration.decodeText(RetryPolicy.Data, text), RetryPolicy.fromData)`. A `budget` in
 * the data becomes a new budget for the calls of this policy.
 */
export const fromData: (data: Data) => RetryPolicy<unknown, DeadlineExceeded> = policyOf.fromData

/**
 * The delays of a policy as a `Schedule` for Effect's own `retry`. It ends after `maxAttempts` - 1 delays, and has no
 * deadline, budget or history.
 */
export const toSchedule = <E>(policy: RetryPolicy<E, unknown>): Schedule.Schedule<unknown, E> =>
  (policy.schedule ?? Backoff.schedule(policy)).pipe(
    Schedule.upTo({ times: policy.enabled ? policy.maxAttempts - 1 : 0 })
  )

/** For services in general: 4 attempts, delays of 1 s doubling to 30 s, ± 20 %; 429, 502, 503, 504. */
export const standard: RetryPolicy = make({
  maxAttempts: 4,
  initialDelay: "1 second",
  maxDelay: "30 seconds",
  jitter: "proportional",
  jitterRatio: 0.2
})

/** For key sets: 3 attempts of at most 3 s within 8 s, delays of 250 ms doubling to 2 s, full jitter. */
export const jwks: RetryPolicy<unknown, DeadlineExceeded> = make(RetryPresets.jwks)

/** For tokens: 4 attempts, delays of 200 ms growing by a factor of 1.8 to 5 s, full jitter. */
export const tokenGuard: RetryPolicy = make({
  maxAttempts: 4,
  initialDelay: "200 millis",
  multiplier: 1.8,
  maxDelay: "5 seconds"
})

/** For object stores: 3 attempts, delays of 100 ms doubling to 1 s, full jitter; retries 500 too. */
export const objectStore: RetryPolicy = make({
  maxAttempts: 3,
  initialDelay: "100 millis",
  maxDelay: "1 second",
  statuses: [429, 500, 502, 503, 504]
})
