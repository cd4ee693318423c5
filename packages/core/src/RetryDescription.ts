/**
 * Describes what a retry policy will do: its delays and the longest duration of a call.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { backoffFor } from "./internal/retry/failureClass.ts"
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

/** The policy as it is for failures of each class. */
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
