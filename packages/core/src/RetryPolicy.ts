/**
 * One object for everything about retrying: how often, how long to wait, which statuses, for how long in all.
 *
 * A policy is plain data from code, a file or the environment, or it carries any Effect `Schedule` of your own.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Backoff from "./Backoff.ts"
import * as Configuration from "./Configuration.ts"
import type { DeadlineExceeded } from "./Deadline.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Field from "./unstable/Field.ts"

/** The fields about time, which a `Resilience` policy has in one place for all its parts. */
export const timeFields = {
  /**
   * How long one attempt may take. Without it only the deadline bounds an attempt. From 1 milli to 1 hour. Default
   * none.
   */
  attemptTimeout: Schema.optionalKey(Field.duration("1 millis", "1 hour")),
  /**
   * How long a call may take with all its attempts and delays, up to the finalizers of the attempt that is cut. From 1
   * milli to 24 hours. Default none.
   */
  deadline: Schema.optionalKey(Field.duration("1 millis", "24 hours")),
  /** Whether a call ends at its deadline exactly, leaving finalizers to end in the background. Default false. */
  detach: Field.defaulted(Schema.Boolean, false)
}

/** The fields about retrying. */
export const retryFields = {
  /** Whether to retry at all; false makes one attempt. Default true. */
  enabled: Field.defaulted(Schema.Boolean, true),
  /** How many calls there are at most, the first one included. From 1 to 100. Default 3. */
  maxAttempts: Field.defaulted(Field.int(1, 100), 3),
  ...Backoff.fields,
  /**
   * The HTTP statuses that are retried, by `HttpRetry` and `Resilience.http`. Each from 400 to 599. Default 429, 502,
   * 503, 504.
   */
  statuses: Field.defaulted(Schema.Array(Field.int(400, 599)), [429, 502, 503, 504]),
  /** The longest `Retry-After` that is waited for. From 0 millis to 24 hours. Default 1 minute. */
  retryAfterCeiling: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(60)),
  /** What to do above the ceiling: `stop` retrying, or `clamp` to the ceiling. Default stop. */
  retryAfterBeyond: Field.defaulted(Schema.Literals(["stop", "clamp"]), "stop"),
  /** A bound on retries as a share of calls. Without it there is none. Default none. */
  budget: Schema.optionalKey(RetryBudget.Policy)
}

/** `attemptTimeout` is not above `deadline`. */
export const isDeadlineAboveAttempt = Schema.makeFilter(
  (o: { readonly attemptTimeout?: Duration.Duration; readonly deadline?: Duration.Duration }) =>
    o.attemptTimeout === undefined || o.deadline === undefined ||
    Duration.isLessThanOrEqualTo(o.attemptTimeout, o.deadline) ||
    { path: ["attemptTimeout"], issue: `at most deadline, which is ${Field.written(o.deadline)}` }
)

/** Checked options of a policy. */
export const Options = Schema.Struct({ ...retryFields, ...timeFields })
  .check(Backoff.isCapAboveBase, isDeadlineAboveAttempt)
export type Options = typeof Options.Type

/**
 * `E` are the errors that a schedule of its own looks at. `Cut` is `DeadlineExceeded` where the policy cuts attempts.
 */
export interface RetryPolicy<in E = unknown, out Cut = never> extends Omit<Options, "budget"> {
  /** Takes the place of the backoff. Attempts, deadline, budget and history stay. */
  readonly schedule?: Schedule.Schedule<unknown, E> | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly "~Cut"?: Cut
}

/** What `make` takes. Every option may be left out; durations are `Duration` values or text with a unit. */
export type MakeOptions<E = unknown> =
  & {
    readonly [K in Exclude<keyof Options, "budget">]?:
      | (Duration.Duration extends Options[K] ? Field.DurationInput : Options[K])
      | undefined
  }
  & {
    /** Any schedule. It takes the place of strategy, delays and jitter, which then have no effect. */
    readonly schedule?: Schedule.Schedule<unknown, E> | undefined
    /** A budget to share with other policies, or the options of one for the calls with this policy. */
    readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
  }

const isBudget = (u: RetryBudget.RetryBudget | RetryBudget.Options): u is RetryBudget.RetryBudget => "reserve" in u

/** A policy of checked options, with a budget of its own if they have one. */
export const fromOptions = ({ budget, ...options }: Options): RetryPolicy<unknown, DeadlineExceeded> => ({
  ...options,
  budget: budget === undefined ? undefined : RetryBudget.fromPolicy(budget)
})

type WithoutSchedule = { readonly schedule?: undefined }
type WithoutCut = { readonly attemptTimeout?: undefined; readonly deadline?: undefined }

/**
 * A policy from options in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * Its type names the errors that the `schedule` looks at, and `DeadlineExceeded` where it has a time to cut at.
 */
export const make: {
  (options?: MakeOptions & WithoutSchedule & WithoutCut): RetryPolicy
  (options: MakeOptions & WithoutSchedule): RetryPolicy<unknown, DeadlineExceeded>
  <E>(options: MakeOptions<E> & WithoutCut): RetryPolicy<E>
  <E>(options: MakeOptions<E>): RetryPolicy<E, DeadlineExceeded>
} = <E>({ budget, schedule, ...options }: MakeOptions<E> = {}): RetryPolicy<E> => {
  const shared = budget !== undefined && isBudget(budget)
  const { "~Cut": _, ...policy } = fromOptions(decodeUnsafe(shared ? options : { ...options, budget }))
  return { ...policy, ...(shared ? { budget } : undefined), schedule }
}
const decodeUnsafe = Configuration.decodeUnsafe(Options)

/** A policy from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode = (input: unknown): Effect.Effect<RetryPolicy<unknown, DeadlineExceeded>, ConfigurationError> =>
  Effect.map(Configuration.decode(Options)(input), fromOptions)

/** A policy from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (
  input: Configuration.Text
): Effect.Effect<RetryPolicy<unknown, DeadlineExceeded>, ConfigurationError> =>
  Effect.map(Configuration.decodeText(Options, input), fromOptions)

/** A policy from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (
  path: Configuration.Path
): Effect.Effect<RetryPolicy<unknown, DeadlineExceeded>, ConfigurationError> =>
  Effect.map(Configuration.fromEnvironment(Options, path), fromOptions)

/**
 * The delays of a policy as one Schedule, for Effect's own `retry`: it ends after `maxAttempts` - 1 delays. Deadline,
 * budget and history are `Retry.retry`'s.
 */
export const toSchedule = <E>(policy: RetryPolicy<E, unknown>): Schedule.Schedule<unknown, E> =>
  (policy.schedule ?? Backoff.schedule(policy)).pipe(
    Schedule.upTo({ times: policy.enabled ? policy.maxAttempts - 1 : 0 })
  )

/** Services in general: 4 attempts, 1 s doubling to 30 s, ± 20 %; 429, 502, 503, 504. */
export const standard: RetryPolicy = make({
  maxAttempts: 4,
  initialDelay: "1 second",
  maxDelay: "30 seconds",
  jitter: "proportional",
  jitterRatio: 0.2
})

/** Key sets: 3 attempts of at most 3 s within 8 s, 250 ms doubling to 2 s, full jitter. */
export const jwks: RetryPolicy<unknown, DeadlineExceeded> = make({
  maxAttempts: 3,
  initialDelay: "250 millis",
  maxDelay: "2 seconds",
  attemptTimeout: "3 seconds",
  deadline: "8 seconds"
})

/** Tokens: 4 attempts, 200 ms growing by 1.8 to 5 s, full jitter. */
export const tokenGuard: RetryPolicy = make({
  maxAttempts: 4,
  initialDelay: "200 millis",
  multiplier: 1.8,
  maxDelay: "5 seconds"
})

/** Object stores: 3 attempts, 100 ms doubling to 1 s, full jitter; 500 too. */
export const objectStore: RetryPolicy = make({
  maxAttempts: 3,
  initialDelay: "100 millis",
  maxDelay: "1 second",
  statuses: [429, 500, 502, 503, 504]
})
