/**
 * One policy for calls to a service: deadline, throttle, hedges, circuit breaker, bulkhead, adaptive limit, retries and
 * attempt timeout.
 */
import * as Schema from "effect/Schema"
import * as AdaptiveLimit from "./AdaptiveLimit.ts"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import * as Bulkhead from "./Bulkhead.ts"
import * as HedgePolicy from "./HedgePolicy.ts"
import {
  isCapAboveBase,
  isClassCapAboveBase,
  isDeadlineAboveAttempt,
  timeFields
} from "./internal/retry/policyChecks.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Throttle from "./Throttle.ts"
import * as Decoders from "./unstable/Decoders.ts"

/** The retries of a policy. Its times are those of the whole policy. */
export interface RetryOptions extends RetryPolicy.RetryOptions {}

/** The options of a policy. A part that is left out is not there. */
export interface Options extends RetryPolicy.TimeOptions {
  /** Retries; `{}` for the defaults of a retry policy. Without it there is one attempt. Default none. */
  readonly retry?: RetryOptions | undefined
  /** A circuit breaker; `{}` for the defaults of a breaker policy. Without it there is none. Default none. */
  readonly breaker?: BreakerPolicy.Options | undefined
  /** A fixed limit of calls in flight; `{}` for the defaults of a bulkhead. Without it there is none. Default none. */
  readonly bulkhead?: Bulkhead.Options | undefined
  /**
   * A limit of calls in flight that follows latency; `{}` for the defaults of an adaptive limit. Without it there is none.
   * Default none.
   */
  readonly limit?: AdaptiveLimit.Options | undefined
  /**
   * A second execution beside a call that takes long; `{}` for the defaults of a hedge policy. Without it there is none.
   * Default none.
   */
  readonly hedge?: HedgePolicy.Options | undefined
  /**
   * Holds all calls back while the service asks its callers to wait; `{}` for the defaults of a throttle. Without it only the
   * call that was asked waits. Default none.
   */
  readonly throttle?: Throttle.Options | undefined
}

const { attemptTimeout: _, deadline: __, detach: ___, ...retryFields } = RetryPolicy.Data.fields

/** Checked options. */
export const ResiliencePolicy = Schema.Struct({
  ...timeFields,
  retry: Schema.optionalKey(Schema.Struct(retryFields).check(isCapAboveBase, isClassCapAboveBase)),
  breaker: Schema.optionalKey(BreakerPolicy.BreakerPolicy),
  bulkhead: Schema.optionalKey(Bulkhead.Policy),
  limit: Schema.optionalKey(AdaptiveLimit.Policy),
  hedge: Schema.optionalKey(HedgePolicy.HedgePolicy),
  throttle: Schema.optionalKey(Throttle.Policy)
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
