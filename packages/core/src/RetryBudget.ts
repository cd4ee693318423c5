/**
 * A bound on retries as a share of calls, shared by everything that calls the same dependency: when it is down, retries
 * add a known fraction to its load instead of multiplying it.
 *
 * Calls deposit and retries withdraw within a sliding window on the monotonic clock; a floor lets a quiet client retry.
 * A retry is reserved before its delay, so that a thousand sleeping retries can't all wake to a budget that is gone.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Configuration from "./Configuration.ts"
import * as Field from "./unstable/Field.ts"

/** The options of a budget. Every one may be left out. */
export interface Options {
  /** Retries allowed for each call of the window. From 0 to 10. Default 0.2. */
  readonly ratio?: number | undefined
  /** Retries allowed per second even if there are few calls. From 0 to 10000. Default 1. */
  readonly minPerSecond?: number | undefined
  /** How long a call counts. From 1 second to 10 minutes. Default 10 seconds. */
  readonly window?: Field.DurationInput | undefined
}

/** Checked options of a budget. */
export const Policy = Schema.Struct({
  ratio: Field.defaulted(Field.number(0, 10), 0.2),
  minPerSecond: Field.defaulted(Field.number(0, 10_000), 1),
  window: Field.defaulted(Field.duration("1 second", "10 minutes"), Duration.seconds(10))
})
export type Policy = typeof Policy.Type

const decoders = Configuration.decoders<Options, typeof Policy>(Policy)

/** A place taken in the budget, which `refund` gives back. */
export type Reservation = number

/** The shared bucket. Its methods are plain and synchronous; `now` is monotonic nanoseconds. */
export interface RetryBudget {
  readonly policy: Policy
  /** A call begins. */
  readonly deposit: (now: bigint) => void
  /** Takes a place for one retry; `undefined` where the budget is spent. */
  readonly reserve: (now: bigint) => Reservation | undefined
  /** Gives a place back that was not used, since the retry was interrupted in its delay. */
  readonly refund: (reservation: Reservation) => void
  /** How many retries are allowed at this moment. */
  readonly available: (now: bigint) => number
}

/**
 * A service for one budget that an application shares. Hand it to policies as their `budget`: provided alone, it bounds
 * nothing.
 */
export const RetryBudget = Context.Service<RetryBudget>("@keelson/core/RetryBudget")

/** Whether a value is a budget, and not the options of one. */
export const isRetryBudget = (u: RetryBudget | Options): u is RetryBudget => "reserve" in u

const slices = 10

/** Throws `ConfigurationError` (`INVALID_CONFIG`). */
export const make = (options: Options = {}): RetryBudget => fromPolicy(decoders.make(options))

/** A budget of its own from a checked policy. */
export const fromPolicy = (policy: Policy): RetryBudget => {
  const width = Duration.toNanosUnsafe(policy.window) / BigInt(slices)
  const floor = policy.minPerSecond * Duration.toSeconds(policy.window)
  // One slice more than the window: a withdrawal counts for at least the window, a deposit for at most.
  const size = slices + 1
  const deposits = new Float64Array(size)
  const withdrawals = new Float64Array(size)
  let current = 0

  const advance = (now: bigint): void => {
    const slice = Number(now / width)
    // The steps are counted, since a slice of a clock gone wild may be beyond what `+ 1` changes.
    const steps = Math.min(slice - current, size)
    for (let step = 1; step <= steps; step++) {
      const slot = (current + step) % size
      deposits[slot] = 0
      withdrawals[slot] = 0
    }
    if (slice > current) current = slice
  }
  const available = (now: bigint): number => {
    advance(now)
    const oldest = (current + 1) % size
    let deposited = 0
    let withdrawn = 0
    for (let slot = 0; slot < size; slot++) {
      if (slot !== oldest) deposited += deposits[slot]!
      withdrawn += withdrawals[slot]!
    }
    return Math.max(0, Math.floor(floor + deposited * policy.ratio - withdrawn))
  }
  return {
    policy,
    deposit(now) {
      advance(now)
      deposits[current % size]!++
    },
    reserve(now) {
      if (available(now) < 1) return undefined
      withdrawals[current % size]!++
      return current
    },
    refund(reservation) {
      if (current - reservation < size) withdrawals[reservation % size]!--
    },
    available
  }
}

/** A shared budget as a layer. */
export const layer = (options?: Options): Layer.Layer<RetryBudget> => Layer.sync(RetryBudget, () => make(options))

/** How many retries a budget allows at this moment. */
export const available = (budget: RetryBudget): Effect.Effect<number> =>
  Effect.map(Clock.monotonicTimeNanos, budget.available)
