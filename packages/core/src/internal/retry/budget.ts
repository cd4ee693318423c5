import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { Policy, RetryBudget } from "../../RetryBudget.ts"

/** Whether a value is a budget, and not the options of one. */
export const isRetryBudget = (u: unknown): u is RetryBudget => Predicate.hasProperty(u, "reserve")

/** The number of slices that the window is counted in. */
const slices = 10

/** Costs are counted in whole parts, since sums of fractions are not exact. */
const parts = 1_000_000

const inParts = (cost: number): number => Math.round(cost * parts)

/** Makes a budget of a checked policy. */
export const fromPolicy = (policy: Policy): RetryBudget => {
  const width = Duration.toNanosUnsafe(policy.window) / BigInt(slices)
  const floor = policy.minPerSecond * Duration.toSeconds(policy.window)
  // One slice more than the window: a withdrawal counts for at least the window, a deposit for at most the window.
  const size = slices + 1
  const deposits = new Float64Array(size)
  const withdrawals = new Float64Array(size)
  let current = 0

  const advance = (now: bigint): void => {
    const slice = Number(now / width)
    // Counts steps, since a number from a broken clock may be too large for `+ 1` to change it.
    const steps = Math.min(slice - current, size)
    for (let step = 1; step <= steps; step++) {
      const slot = (current + step) % size
      deposits[slot] = 0
      withdrawals[slot] = 0
    }
    if (slice > current) current = slice
  }
  /** What is left, in retries of cost 1. */
  const balance = (now: bigint): number => {
    advance(now)
    const oldest = (current + 1) % size
    let deposited = 0
    let withdrawn = 0
    for (let slot = 0; slot < size; slot++) {
      if (slot !== oldest) deposited += deposits[slot]!
      withdrawn += withdrawals[slot]!
    }
    return floor + deposited * policy.ratio - withdrawn / parts
  }
  return {
    policy,
    deposit(now) {
      advance(now)
      deposits[current % size]!++
    },
    reserve(now, cost = 1) {
      if (balance(now) < cost) return undefined
      withdrawals[current % size]! += inParts(cost)
      return current
    },
    refund(reservation, cost = 1) {
      if (current - reservation < size) withdrawals[reservation % size]! -= inParts(cost)
    },
    available: (now) => Math.max(0, Math.floor(balance(now)))
  }
}
