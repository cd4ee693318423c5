/**
 * When a token is refreshed, and how long callers get it.
 *
 * A token is due for a refresh once its remaining lifetime is at most the threshold: two minutes or a fifth of the lifetime,
 * whichever is less, unless the options set another. Callers get the token until it counts as expired, which is `maxSkew`
 * before its end.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** Options of a refresh policy. Every one may be left out. */
export interface Options {
  /**
   * How much of the lifetime remains when a token is refreshed. A token with a shorter lifetime is rejected. Without
   * `threshold` and `buffer`: 2 minutes or a fifth of the lifetime, whichever is less. From 1 milli to 24 hours. Default none.
   */
  readonly threshold?: Field.DurationInput | undefined
  /**
   * Like `threshold`, but limited to half of the lifetime instead of rejecting a token. Zero refreshes a token once it has
   * expired. Excludes `threshold`. From 0 millis to 1 hour. Default none.
   */
  readonly buffer?: Field.DurationInput | undefined
  /**
   * Minimum time between a refresh and the next one ahead of time, limited to half of the time that a token is usable. It does
   * not delay a forced refresh or the refresh of an expired token. From 0 millis to 24 hours. Default 5 minutes.
   */
  readonly cooldown?: Field.DurationInput | undefined
  /**
   * How far the clock of a server that checks the token may be ahead. A token counts as expired that much earlier, by at
   * most half of the threshold. Must be below `threshold`. From 0 millis to 1 hour. Default 30 seconds.
   */
  readonly maxSkew?: Field.DurationInput | undefined
  /**
   * How much earlier a refresh may happen, as a share of the threshold, so that many processes do not refresh at once. Drawn
   * once for each provider. From 0 to 0.1. Default 0.1.
   */
  readonly jitter?: number | undefined
  /** Lifetime of a token whose response states none. From 30 seconds to 24 hours. Default 1 hour. */
  readonly defaultLifetime?: Field.DurationInput | undefined
  /**
   * Lower bound of a token's lifetime; a token with a shorter one is rejected. A token that the server returns again is used until
   * it ends, however short its remainder. From 1 second to 1 hour. Default 1 minute.
   */
  readonly minLifetime?: Field.DurationInput | undefined
  /**
   * Upper bound of a token's lifetime; a longer one is limited to it, with a warning. From 1 minute to 8760 hours. Default 24
   * hours.
   */
  readonly maxLifetime?: Field.DurationInput | undefined
  /**
   * Delay before the next refresh ahead of time after a failed acquisition. Doubles with each further failure. From 100 millis
   * to 1 hour. Default 1 second.
   */
  readonly failureDelay?: Field.DurationInput | undefined
  /** Upper bound of `failureDelay`, also when a `Retry-After` extends it. From 100 millis to 24 hours. Default 1 minute. */
  readonly maxFailureDelay?: Field.DurationInput | undefined
  /**
   * Minimum time between two replacements of tokens that a server rejected. Zero requests a new token after every 401,
   * also from a server that rejects every token. From 0 millis to 1 hour. Default 30 seconds.
   */
  readonly refusalCooldown?: Field.DurationInput | undefined
  /** Number of consecutive failures that is escalated to operators. From 1 to 1000. Default 3. */
  readonly escalateAfter?: number | undefined
}

const Fields = Schema.Struct({
  threshold: Schema.optionalKey(Field.duration("1 millis", "24 hours")),
  buffer: Schema.optionalKey(Field.duration("0 millis", "1 hour")),
  cooldown: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.minutes(5)),
  maxSkew: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(30)),
  jitter: Field.defaulted(Field.number(0, 0.1), 0.1),
  defaultLifetime: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.hours(1)),
  minLifetime: Field.defaulted(Field.duration("1 second", "1 hour"), Duration.minutes(1)),
  maxLifetime: Field.defaulted(Field.duration("1 minute", "8760 hours"), Duration.hours(24)),
  failureDelay: Field.defaulted(Field.duration("100 millis", "1 hour"), Duration.seconds(1)),
  maxFailureDelay: Field.defaulted(Field.duration("100 millis", "24 hours"), Duration.seconds(60)),
  refusalCooldown: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(30)),
  escalateAfter: Field.defaulted(Field.int(1, 1_000), 3)
})
type Fields = typeof Fields.Type

const isOneForm = Schema.makeFilter((o: Pick<Fields, "buffer" | "threshold">) =>
  o.threshold === undefined || o.buffer === undefined ||
  { path: ["buffer"], issue: "left out where threshold is given" }
)

const isSkewBelowThreshold = Schema.makeFilter((o: Pick<Fields, "maxSkew" | "threshold">) =>
  o.threshold === undefined || Duration.isLessThan(o.maxSkew, o.threshold) ||
  { path: ["maxSkew"], issue: `below threshold, which is ${Field.written(o.threshold)}` }
)

type DurationField = "defaultLifetime" | "failureDelay" | "maxFailureDelay" | "maxLifetime" | "minLifetime"

const isAtMost = (lower: DurationField, upper: DurationField) =>
  Schema.makeFilter((o: Pick<Fields, DurationField>) =>
    Duration.isLessThanOrEqualTo(o[lower], o[upper]) ||
    { path: [lower], issue: `at most ${upper}, which is ${Field.written(o[upper])}` }
  )

/** Checked options of a refresh policy. */
export const RefreshPolicy = Fields.check(
  isOneForm,
  isSkewBelowThreshold,
  isAtMost("minLifetime", "maxLifetime"),
  isAtMost("minLifetime", "defaultLifetime"),
  isAtMost("defaultLifetime", "maxLifetime"),
  isAtMost("failureDelay", "maxFailureDelay")
)
export type RefreshPolicy = typeof RefreshPolicy.Type

const fromCode = Decoders.maker<Options, typeof RefreshPolicy>(RefreshPolicy)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (When a token is refreshed)
 *
 * ```ts import.meta.vitest
 * import { RefreshPolicy } from "@keelson/token"
 * import { Duration, Result } from "effect"
 *
 * const policy = RefreshPolicy.make({ threshold: "1 minute", cooldown: "30 seconds", maxSkew: "10 seconds" })
 * const plan = RefreshPolicy.plan(policy, Duration.minutes(5), 0)
 * const { refreshAfter, usableFor } = Result.getOrThrow(plan)
 *
 * Duration.toSeconds(refreshAfter) // => 240
 * Duration.toSeconds(usableFor) // => 290
 * ```
 */
export const make: (options?: Options) => RefreshPolicy = fromCode

/**
 * The policy for `SelfSignedJwt`: lifetimes from 30 seconds to 1 hour, refreshed 30 seconds before the token expires.
 */
export const selfSigned: RefreshPolicy = make({
  buffer: "30 seconds",
  minLifetime: "30 seconds",
  maxLifetime: "1 hour"
})

const defaultThreshold = Duration.minutes(2)
const defaultShare = 0.2

/** How much of the lifetime remains when a token is due for a refresh. Fails if the policy's `threshold` is longer. */
const thresholdOf = (
  { buffer, threshold }: Pick<RefreshPolicy, "buffer" | "threshold">,
  lifetime: Duration.Duration
): Result.Result<Duration.Duration, KeelsonError.ConfigurationError> => {
  if (buffer !== undefined) return Result.succeed(Duration.min(buffer, Duration.times(lifetime, 0.5)))
  if (threshold === undefined) {
    return Result.succeed(Duration.min(defaultThreshold, Duration.times(lifetime, defaultShare)))
  }
  return Duration.isGreaterThan(threshold, lifetime)
    ? Result.fail(
      InvalidConfig.option("threshold", `at most the token's lifetime, which is ${Field.written(lifetime)}`, {
        message: `The token's lifetime is ${Field.written(lifetime)}, and the policy's threshold is ${
          Field.written(threshold)
        }: set a lower threshold, or buffer instead`
      })
    )
    : Result.succeed(threshold)
}

/** How a policy treats one token. Durations count from the moment the token was requested. */
export interface Plan {
  /** The token's lifetime, at most `maxLifetime`. */
  readonly lifetime: Duration.Duration
  /** When the token is due for a refresh. */
  readonly refreshAfter: Duration.Duration
  /** How long callers get the token. */
  readonly usableFor: Duration.Duration
  /** Whether the stated lifetime was longer than `maxLifetime`. */
  readonly isLimited: boolean
}

/**
 * Plans the refresh of a token with this lifetime; `undefined` if its response states none. `random`, from 0 to below 1, scales
 * the jitter.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if the lifetime is below `minLifetime` or `threshold`.
 */
export const plan = (
  policy: RefreshPolicy,
  lifetime: Duration.Duration | undefined,
  random: number
): Result.Result<Plan, KeelsonError.ConfigurationError> => {
  const stated = lifetime ?? policy.defaultLifetime
  if (Duration.isLessThan(stated, policy.minLifetime)) {
    return Result.fail(
      InvalidConfig.option("lifetime", `at least minLifetime, which is ${Field.written(policy.minLifetime)}`, {
        message: `The token's lifetime is ${Field.written(stated)}, and the policy's minLifetime is ${
          Field.written(policy.minLifetime)
        }: let the server issue tokens that live longer, or set a lower minLifetime`
      })
    )
  }
  const effective = Duration.min(stated, policy.maxLifetime)
  return Result.map(thresholdOf(policy, effective), (threshold) => {
    const skew = Duration.min(policy.maxSkew, Duration.times(threshold, 0.5))
    const usableFor = Duration.subtract(effective, skew)
    const due = Duration.subtract(effective, Duration.times(threshold, 1 + policy.jitter * random))
    const cooldown = Duration.min(policy.cooldown, Duration.times(usableFor, 0.5))
    return {
      lifetime: effective,
      refreshAfter: Duration.max(due, cooldown),
      usableFor,
      isLimited: Duration.isLessThan(effective, stated)
    }
  })
}
