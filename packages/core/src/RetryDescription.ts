/**
 * Describes what a policy will do before anything runs: the delays of its retries, and the longest duration of a call.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Configuration from "./Configuration.ts"
import { backoffFor } from "./internal/retry/failureClass.ts"
import { retryPolicyOf } from "./internal/retry/policyOf.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as ResiliencePolicy from "./ResiliencePolicy.ts"
import { type RetryPolicy, toSchedule } from "./RetryPolicy.ts"

/** The interval from which the delay after one attempt is drawn. */
export interface DelayBand {
  /** The attempt that failed, from 1. */
  readonly attempt: number
  readonly min: Duration.Duration
  readonly max: Duration.Duration
}

/** The delays of a policy and its worst case. */
export interface Description {
  readonly maxAttempts: number
  readonly delays: ReadonlyArray<DelayBand>
  /** The sum of all delays at their maximum. */
  readonly longestDelays: Duration.Duration
  /** The longest duration of a call, without finalizers; infinite without a deadline and an attempt timeout. */
  readonly worstCase: Duration.Duration
}

/** A `Random` that always returns the same number. */
const constant = (value: number) => ({
  nextDoubleUnsafe: () => value,
  nextIntUnsafe: () => Math.floor(value * Number.MAX_SAFE_INTEGER)
})

const delaysWith = <E>(policy: RetryPolicy<E, unknown>, error: E | undefined, random: number) =>
  Effect.provideService(
    Effect.gen(function*() {
      // oxlint-disable-next-line no-unsafe-type-assertion -- a schedule that needs no error takes none
      const schedule = toSchedule(policy) as Schedule.Schedule<unknown, E | undefined>
      const step = yield* Schedule.toStep(schedule)
      const delays: Array<Duration.Duration> = []
      let now = 0
      while (delays.length < policy.maxAttempts) {
        const delay = yield* Pull.matchEffect(step(now, error), {
          onSuccess: ([, duration]) => Effect.succeed(duration),
          onDone: () => Effect.succeed(undefined),
          onFailure: Effect.failCause
        })
        if (delay === undefined) break
        delays.push(delay)
        now += Duration.toMillis(delay)
      }
      return delays
    }),
    Random.Random,
    constant(random)
  )

/** The policy with the delays of each class of failures. */
const byClass = <E>(policy: RetryPolicy<E, unknown>): ReadonlyArray<RetryPolicy<E, unknown>> => [
  policy,
  ...[policy.throttled, policy.timedOut].filter((own) => own !== undefined).map((own) => ({
    ...policy,
    ...backoffFor(policy, own)
  }))
]

/**
 * The delays of a policy with their intervals, and the longest duration of a call. The intervals cover every class of
 * failures. `Retry-After` is not included. A policy's `schedule` is stepped with `error`, once with the least and once with
 * the greatest randomness.
 *
 * **Example** (The worst case of a preset)
 *
 * ```ts import.meta.vitest
 * import * as RetryDescription from "@keelson/core/RetryDescription"
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 * import * as Duration from "effect/Duration"
 * import * as Effect from "effect/Effect"
 *
 * const description = await Effect.runPromise(RetryDescription.describe(RetryPolicy.jwks))
 * const worst = Duration.toSeconds(description.worstCase) // => 8
 * ```
 */
export const describe = Effect.fnUntraced(function*<E>(
  policy: RetryPolicy<E, unknown>,
  error?: E
): Effect.fn.Return<Description> {
  const least = yield* Effect.forEach(byClass(policy), (one) => delaysWith(one, error, 0))
  const most = yield* Effect.forEach(byClass(policy), (one) => delaysWith(one, error, 1 - Number.EPSILON))
  const delays = (most[0] ?? []).map((_, index) => ({
    attempt: index + 1,
    min: least.map((delays) => delays[index] ?? Duration.zero).reduce(Duration.min),
    max: most.map((delays) => delays[index] ?? Duration.zero).reduce(Duration.max)
  }))
  const longestDelays = delays.reduce((sum, { max }) => Duration.sum(sum, max), Duration.zero)
  const attempts = policy.attemptTimeout === undefined
    ? Duration.infinity
    : Duration.times(policy.attemptTimeout, delays.length + 1)
  return {
    maxAttempts: delays.length + 1,
    delays,
    longestDelays,
    worstCase: Duration.min(policy.deadline ?? Duration.infinity, Duration.sum(longestDelays, attempts))
  }
})

/** A description as text: a table of delays, and the worst case. */
export const format = (description: Description): string => {
  const rows = [
    ["least", "most"] as const,
    ...description.delays.map(({ max, min }) => [Duration.format(min), Duration.format(max)] as const)
  ]
  const width = Math.max(9, ...rows.map(([least]) => least.length + 1))
  return [
    ...rows.map(([least, most], row) =>
      `${String(row === 0 ? "after attempt" : row).padEnd(15)}${least.padEnd(width)}${most}`
    ),
    `at most ${description.maxAttempts} attempts, ${Duration.format(description.longestDelays)} of delays, ` +
    (Duration.isFinite(description.worstCase)
      ? `${Duration.format(description.worstCase)} in all`
      : "attempts are not bounded in time")
  ].join("\n")
}

/** The bounds of a whole policy. A duration is infinite if nothing bounds it. */
export interface PolicyDescription {
  /** The retries; `undefined` without them. */
  readonly retry: Description | undefined
  /** Upper bound of the attempts of a call, its hedges included. */
  readonly maxAttempts: number
  /** Upper bound of the executions of a call: the first one and its hedges. */
  readonly maxExecutions: number
  /** The longest wait for the end of a pause, before a call begins; zero without a throttle. */
  readonly longestPause: Duration.Duration
  /** The longest wait for a place in bulkhead and limit; zero without a queue. */
  readonly longestQueue: Duration.Duration
  /** How long a circuit that opens rejects calls; `undefined` without a breaker. */
  readonly open: { readonly min: Duration.Duration; readonly max: Duration.Duration } | undefined
  /** The longest duration of a call, without finalizers. */
  readonly worstCase: Duration.Duration
}

const queueOf = (part: { readonly maxQueued: number; readonly maxWait: Duration.Duration } | undefined) =>
  part === undefined || part.maxQueued === 0 ? Duration.zero : part.maxWait

const openOf = ({ breaker }: ResiliencePolicy.ResiliencePolicy): PolicyDescription["open"] => {
  if (breaker?.enabled !== true) return undefined
  const { maxOpenDuration, openDuration, openJitter } = breaker
  return { min: openDuration, max: Duration.times(Duration.max(openDuration, maxOpenDuration), 1 + openJitter) }
}

/** The time until the last hedge of a call begins. It is not known if it follows the latencies seen. */
const hedgesOf = (
  { hedge }: ResiliencePolicy.ResiliencePolicy
): { readonly count: number; readonly begin: Duration.Duration } =>
  hedge?.enabled !== true
    ? { count: 0, begin: Duration.zero }
    : {
      count: hedge.maxHedges,
      begin: hedge.delay === undefined ? Duration.infinity : Duration.times(hedge.delay, hedge.maxHedges)
    }

/**
 * The bounds of a whole policy: attempts with hedges, waits in queues, open circuits, and the longest duration of a call.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * The time that a server asks for (`Retry-After`) is included in `longestPause` and `open`, and not in the delays of retries.
 *
 * **Example** (The worst case of a policy with a queue)
 *
 * ```ts import.meta.vitest
 * import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
 * import * as RetryDescription from "@keelson/core/RetryDescription"
 * import * as Duration from "effect/Duration"
 * import * as Effect from "effect/Effect"
 *
 * const policy = ResiliencePolicy.make({
 *   attemptTimeout: "2 seconds",
 *   bulkhead: { maxQueued: 10, maxWait: "500 millis" },
 *   hedge: { delay: "300 millis" }
 * })
 * const description = await Effect.runPromise(RetryDescription.describePolicy(policy))
 * const bounds = [description.maxAttempts, Duration.toMillis(description.worstCase)] // => [2, 2800]
 * ```
 */
export const describePolicy = Effect.fnUntraced(function*(
  options: ResiliencePolicy.Options
): Effect.fn.Return<PolicyDescription, ConfigurationError> {
  const policy = yield* Configuration.decode(ResiliencePolicy.ResiliencePolicy)(options)
  const { attemptTimeout, bulkhead, deadline, limit, throttle } = policy
  const retries = retryPolicyOf(policy)
  const retry = retries === undefined ? undefined : yield* describe(retries)
  const hedges = hedgesOf(policy)
  const longestPause = throttle?.maxWait ?? Duration.zero
  const longestQueue = Duration.sum(queueOf(bulkhead), queueOf(limit))
  const attempts = retry === undefined ? attemptTimeout ?? Duration.infinity : retry.worstCase
  const inAll = [longestPause, hedges.begin, longestQueue, attempts].reduce((sum, one) => Duration.sum(sum, one))
  return {
    retry,
    // A hedge takes one of the attempts of the retries, and none is made beyond them.
    maxAttempts: retry?.maxAttempts ?? 1 + hedges.count,
    maxExecutions: retry === undefined ? 1 + hedges.count : Math.min(1 + hedges.count, retry.maxAttempts),
    longestPause,
    longestQueue,
    open: openOf(policy),
    worstCase: Duration.min(deadline ?? Duration.infinity, inAll)
  }
})

/** The description of a policy as text. */
export const formatPolicy = (description: PolicyDescription): string => {
  const { longestPause, longestQueue, maxAttempts, maxExecutions, open, retry, worstCase } = description
  const lines: ReadonlyArray<string | false> = [
    retry !== undefined && format(retry).split("\n").slice(0, -1).join("\n"),
    `at most ${maxAttempts} attempts${maxExecutions > 1 ? ` in ${maxExecutions} executions` : ""}`,
    !Duration.isZero(longestPause) && `at most ${Duration.format(longestPause)} waiting for a pause to end`,
    !Duration.isZero(longestQueue) && `at most ${Duration.format(longestQueue)} waiting in queues`,
    open !== undefined &&
    `an open circuit rejects calls for ${Duration.format(open.min)} to ${Duration.format(open.max)}`,
    Duration.isFinite(worstCase) ? `at most ${Duration.format(worstCase)} in all` : "a call is not bounded in time"
  ]
  return lines.filter((line) => line !== false).join("\n")
}
