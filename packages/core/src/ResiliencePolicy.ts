/**
 * One policy for calls to a service: deadline, circuit breaker, retry and attempt timeout.
 */
import * as Schema from "effect/Schema"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import {
  isCapAboveBase,
  isClassCapAboveBase,
  isDeadlineAboveAttempt,
  timeFields
} from "./internal/retry/policyChecks.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Decoders from "./unstable/Decoders.ts"

/** The retries of a policy. Its times are those of the whole policy. */
export interface RetryOptions extends RetryPolicy.RetryOptions {}

/** The options of a policy. A part that is left out is not there: no retry, no breaker, no deadline. */
export interface Options extends RetryPolicy.TimeOptions {
  /** Retries; `{}` for the defaults of a retry policy. Without it there is one attempt. Default none. */
  readonly retry?: RetryOptions | undefined
  /** A circuit breaker; `{}` for the defaults of a breaker policy. Without it there is none. Default none. */
  readonly breaker?: BreakerPolicy.Options | undefined
}

const { attemptTimeout: _, deadline: __, detach: ___, ...retryFields } = RetryPolicy.Data.fields

/** Checked options. */
export const ResiliencePolicy = Schema.Struct({
  ...timeFields,
  retry: Schema.optionalKey(Schema.Struct(retryFields).check(isCapAboveBase, isClassCapAboveBase)),
  breaker: Schema.optionalKey(BreakerPolicy.BreakerPolicy)
}).check(isDeadlineAboveAttempt)
export type ResiliencePolicy = typeof ResiliencePolicy.Type

const fromCode = Decoders.maker<Options, typeof ResiliencePolicy>(ResiliencePolicy)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A policy with retries and a breaker)
 *
 * ```ts import.meta.vitest
 * import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
 *
 * const policy = ResiliencePolicy.make({ deadline: "5 seconds", retry: { maxAttempts: 2 }, breaker: {} })
 * policy.breaker?.failureThreshold // => 5
 * ```
 */
export const make: (options?: Options) => ResiliencePolicy = fromCode
