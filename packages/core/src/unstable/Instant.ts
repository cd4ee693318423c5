/**
 * Instants on two clocks, to measure ages correctly after the machine was suspended or the wall clock was changed.
 */
import type * as Clock from "effect/Clock"

/**
 * One instant on both clocks. The monotonic clock stops while a machine is suspended, and the wall clock can be set. An age
 * is the larger of the two differences: setting the wall clock back changes nothing, and keys expire during a suspension.
 */
export interface Instant {
  /** Nanoseconds. */
  readonly monotonic: bigint
  /** Milliseconds. */
  readonly wall: number
}

/** The current instant. */
export const now = (clock: Clock.Clock): Instant => ({
  monotonic: clock.monotonicTimeNanosUnsafe(),
  wall: clock.currentTimeMillisUnsafe()
})

/** The instant some milliseconds after another, or before it if they are negative. */
export const after = ({ monotonic, wall }: Instant, millis: number): Instant => ({
  monotonic: monotonic + BigInt(Math.round(millis * 1_000_000)),
  wall: wall + millis
})

/** The earlier of two instants. */
export const earlier = (a: Instant, b: Instant): Instant => a.monotonic < b.monotonic ? a : b

/** The later of two instants. */
export const later = (a: Instant, b: Instant): Instant => a.monotonic < b.monotonic ? b : a

/** Whether an instant has passed on either clock. */
export const hasCome = (moment: Instant, clock: Clock.Clock): boolean =>
  clock.monotonicTimeNanosUnsafe() >= moment.monotonic || clock.currentTimeMillisUnsafe() >= moment.wall

/** Whether an instant has passed on both clocks: for a period that must not end early even if one clock is wrong. */
export const hasComeOnBoth = (moment: Instant, clock: Clock.Clock): boolean =>
  clock.monotonicTimeNanosUnsafe() >= moment.monotonic && clock.currentTimeMillisUnsafe() >= moment.wall

/** Milliseconds until an instant, on the clock that reaches it first; zero once it has passed. */
export const until = (moment: Instant, at: Instant): number =>
  Math.max(0, Math.min(Number(moment.monotonic - at.monotonic) / 1_000_000, moment.wall - at.wall))

/** The difference between the wall clock and the monotonic clock, in milliseconds. */
export const offset = ({ monotonic, wall }: Instant): number => wall - Number(monotonic) / 1_000_000
