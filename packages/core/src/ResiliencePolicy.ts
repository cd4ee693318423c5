/**
 * One policy for all that stands between a caller and a service: deadline, breaker, retry and attempt timeout.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Backoff from "./Backoff.ts"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import * as Configuration from "./Configuration.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type * as Field from "./unstable/Field.ts"

/** Checked options. A part that is left out is not there: no retry, no breaker, no deadline. */
export const ResiliencePolicy = Schema.Struct({
  ...RetryPolicy.timeFields,
  /** Retries, see the retry options. Without it there is one attempt. Default none. */
  retry: Schema.optionalKey(Schema.Struct(RetryPolicy.retryFields).check(Backoff.isCapAboveBase)),
  /** A circuit breaker, see the breaker options. Without it there is none. Default none. */
  breaker: Schema.optionalKey(BreakerPolicy.BreakerPolicy)
}).check(RetryPolicy.isDeadlineAboveAttempt)
export type ResiliencePolicy = typeof ResiliencePolicy.Type

/** Options of the retry part. The times are the whole policy's, and a budget to share is given to `Resilience.make`. */
interface RetryOptions
  extends Omit<RetryPolicy.MakeOptions, "schedule" | "budget" | keyof typeof RetryPolicy.timeFields>
{
  readonly budget?: RetryBudget.Options | undefined
}

/** What `make` takes: every option may be left out, and durations are `Duration` values or text with a unit. */
export interface Options {
  readonly attemptTimeout?: Field.DurationInput | undefined
  readonly deadline?: Field.DurationInput | undefined
  readonly detach?: boolean | undefined
  readonly retry?: RetryOptions | undefined
  readonly breaker?: BreakerPolicy.Options | undefined
}

/** A policy from options in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options = {}): ResiliencePolicy => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(ResiliencePolicy)

/** A policy from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<ResiliencePolicy, ConfigurationError> = Configuration.decode(
  ResiliencePolicy
)

/** A policy from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<ResiliencePolicy, ConfigurationError> =>
  Configuration.decodeText(ResiliencePolicy, input)

/** A policy from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<ResiliencePolicy, ConfigurationError> =>
  Configuration.fromEnvironment(ResiliencePolicy, path)

/** The retry part as a policy of its own, with the times of the whole. */
export const retryPolicy = (
  policy: ResiliencePolicy
): ReturnType<typeof RetryPolicy.fromOptions> | undefined => {
  const { attemptTimeout, deadline, detach, retry } = policy
  return retry === undefined ? undefined : RetryPolicy.fromOptions({
    ...retry,
    detach,
    ...(attemptTimeout === undefined ? undefined : { attemptTimeout }),
    ...(deadline === undefined ? undefined : { deadline })
  })
}
