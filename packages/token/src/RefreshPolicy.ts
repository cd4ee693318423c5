/**
 * When a token is refreshed, and until when it is handed out: pure, from checked options.
 *
 * A token is due once what remains of it is at most the threshold: the lesser of two minutes and a fifth of its lifetime,
 * unless the options name another. Until it counts as expired, which the skew makes it a little early, callers get it at
 * once.
 */
import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** The fields of a policy. */
export const fields = {
  /**
   * How much of a token remains when it is refreshed; a token that lives shorter than that is refused. Without it and
   * without a `buffer` it is the lesser of 2 minutes and a fifth of the lifetime. From 1 milli to 24 hours. Default none.
   */
  threshold: Schema.optionalKey(Field.duration("1 millis", "24 hours")),
  /**
   * The same, cut to half of the lifetime where a token lives shorter. Zero refreshes a token once it has expired. Not with
   * a `threshold`. From 0 millis to 1 hour. Default none.
   */
  buffer: Schema.optionalKey(Field.duration("0 millis", "1 hour")),
  /**
   * How long after a refresh no other one is made ahead of time; at most half of the time that a token is handed out. It
   * holds up neither a forced refresh nor one of an expired token. From 0 millis to 24 hours. Default 5 minutes.
   */
  cooldown: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.minutes(5)),
  /**
   * How far the clock of a server that checks the token may be ahead: so much earlier it counts as expired, up to half of
   * the threshold. Below `threshold`. From 0 millis to 1 hour. Default 30 seconds.
   */
  maxSkew: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(30)),
  /**
   * How much earlier a refresh may come, as a share of the threshold, so that many processes don't refresh at once. It is
   * drawn once for each provider. From 0 to 0.1. Default 0.1.
   */
  jitter: Field.defaulted(Field.number(0, 0.1), 0.1),
  /** The lifetime of a token whose response has no `expires_in`. From 30 seconds to 24 hours. Default 1 hour. */
  defaultLifetime: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.hours(1)),
  /** The least lifetime of a token; one that lives shorter is refused. From 30 seconds to 1 hour. Default 1 minute. */
  minLifetime: Field.defaulted(Field.duration("30 seconds", "1 hour"), Duration.minutes(1)),
  /**
   * The longest lifetime that is believed; a longer one is cut to it, with a warning. From 1 minute to 8760 hours. Default
   * 24 hours.
   */
  maxLifetime: Field.defaulted(Field.duration("1 minute", "8760 hours"), Duration.hours(24)),
  /**
   * How long no other refresh is made ahead of time after one that failed; it doubles with each further one. From 100
   * millis to 1 hour. Default 1 second.
   */
  failureDelay: Field.defaulted(Field.duration("100 millis", "1 hour"), Duration.seconds(1)),
  /** The longest that it grows to, and that a `Retry-After` may make it. From 100 millis to 24 hours. Default 1 minute. */
  maxFailureDelay: Field.defaulted(Field.duration("100 millis", "24 hours"), Duration.seconds(60)),
  /**
   * For how long after a token was replaced, since a server refused it, no other one is replaced for that: a server that
   * refuses every token does not cause a request for one each time, as it would with zero. From 0 millis to 1 hour. Default 30 seconds.
   */
  refusalCooldown: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(30)),
  /** How many failures in a row escalate. From 1 to 1000. Default 3. */
  escalateAfter: Field.defaulted(Field.int(1, 1_000), 3)
}

const AllFields = Schema.Struct(fields)
type AllFields = typeof AllFields.Type

const isOneForm = Schema.makeFilter((o: Pick<AllFields, "buffer" | "threshold">) =>
  o.threshold === undefined || o.buffer === undefined ||
  { path: ["buffer"], issue: "left out where threshold is given" }
)

const isSkewBelowThreshold = Schema.makeFilter((o: Pick<AllFields, "maxSkew" | "threshold">) =>
  o.threshold === undefined || Duration.isLessThan(o.maxSkew, o.threshold) ||
  { path: ["maxSkew"], issue: `below threshold, which is ${Field.written(o.threshold)}` }
)

type DurationField = "defaultLifetime" | "failureDelay" | "maxFailureDelay" | "maxLifetime" | "minLifetime"

const isAtMost = (lower: DurationField, upper: DurationField) =>
  Schema.makeFilter((o: Pick<AllFields, DurationField>) =>
    Duration.isLessThanOrEqualTo(o[lower], o[upper]) ||
    { path: [lower], issue: `at most ${upper}, which is ${Field.written(o[upper])}` }
  )

/** Checked options. */
export const RefreshPolicy = AllFields.check(
  isOneForm,
  isSkewBelowThreshold,
  isAtMost("minLifetime", "maxLifetime"),
  isAtMost("minLifetime", "defaultLifetime"),
  isAtMost("defaultLifetime", "maxLifetime"),
  isAtMost("failureDelay", "maxFailureDelay")
)
export type RefreshPolicy = typeof RefreshPolicy.Type

/** What `make` takes. Every option may be left out; durations are `Duration` values or text with a unit. */
export type Options = {
  readonly [K in keyof RefreshPolicy]?:
    | (Duration.Duration extends RefreshPolicy[K] ? Field.DurationInput : RefreshPolicy[K])
    | undefined
}

/** A policy from options in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options = {}): RefreshPolicy => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(RefreshPolicy)

/** A policy from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<RefreshPolicy, KeelsonError.ConfigurationError> = Configuration
  .decode(RefreshPolicy)

/** A policy from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<RefreshPolicy, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(RefreshPolicy, input)

/** A policy from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<RefreshPolicy, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(RefreshPolicy, path)

/**
 * Tokens that a client signs for itself, as for services that take key-pair JWTs: lifetimes from 30 seconds to 1 hour,
 * refreshed 30 seconds before their end.
 */
export const selfSigned: RefreshPolicy = make({
  buffer: "30 seconds",
  minLifetime: "30 seconds",
  maxLifetime: "1 hour"
})

const cap = Duration.minutes(2)
const share = 0.2

/**
 * How much of a token of a lifetime remains when it is due for a refresh.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) where the policy's `threshold` is above the lifetime.
 */
export const thresholdOf = (
  { buffer, threshold }: Pick<RefreshPolicy, "buffer" | "threshold">,
  lifetime: Duration.Duration
): Result.Result<Duration.Duration, KeelsonError.ConfigurationError> => {
  if (buffer !== undefined) return Result.succeed(Duration.min(buffer, Duration.times(lifetime, 0.5)))
  if (threshold === undefined) return Result.succeed(Duration.min(cap, Duration.times(lifetime, share)))
  return Duration.isGreaterThan(threshold, lifetime)
    ? Result.fail(outOfRange("threshold", `at most the token's lifetime, which is ${Field.written(lifetime)}`))
    : Result.succeed(threshold)
}

const outOfRange = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `Invalid configuration: ${path} must be ${expected}`,
    details: { path, expected }
  })

/** What a policy makes of one token. All counted from the moment it was asked for. */
export interface Plan {
  /** As it is believed. */
  readonly lifetime: Duration.Duration
  /** From when on it is refreshed ahead of time. */
  readonly refreshAfter: Duration.Duration
  /** Until when it is handed out. */
  readonly usableFor: Duration.Duration
  /** Whether its lifetime was cut to `maxLifetime`. */
  readonly isCut: boolean
}

/**
 * The plan for a token that lives so long; `undefined` where its response did not say. `random`, on [0, 1), is the
 * provider's share of the jitter.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`): a lifetime below `minLifetime`, or below `threshold`.
 */
export const plan = (
  policy: RefreshPolicy,
  lifetime: Duration.Duration | undefined,
  random: number
): Result.Result<Plan, KeelsonError.ConfigurationError> => {
  const stated = lifetime ?? policy.defaultLifetime
  if (Duration.isLessThan(stated, policy.minLifetime)) {
    return Result.fail(outOfRange("lifetime", `at least minLifetime, which is ${Field.written(policy.minLifetime)}`))
  }
  const believed = Duration.min(stated, policy.maxLifetime)
  return Result.map(thresholdOf(policy, believed), (threshold) => {
    const skew = Duration.min(policy.maxSkew, Duration.times(threshold, 0.5))
    const usableFor = Duration.subtract(believed, skew)
    const due = Duration.subtract(believed, Duration.times(threshold, 1 + policy.jitter * random))
    const cooldown = Duration.min(policy.cooldown, Duration.times(usableFor, 0.5))
    return {
      lifetime: believed,
      refreshAfter: Duration.max(due, cooldown),
      usableFor,
      isCut: Duration.isLessThan(believed, stated)
    }
  })
}
