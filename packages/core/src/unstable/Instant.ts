/**
 * Moments on two clocks, and how old things are by them.
 */
import type * as Clock from "effect/Clock"

/**
 * One moment on both clocks. The monotonic one stands still while a machine is suspended, and the wall clock can be set:
 * age is the larger of what passed on the two, so that a set-back wall clock changes nothing and a suspended machine does
 * not keep keys.
 */
export interface Instant {
  /** Nanoseconds. */
  readonly monotonic: bigint
  /** Milliseconds. */
  readonly wall: number
}

/** This moment. */
export const now = (clock: Clock.Clock): Instant => ({
  monotonic: clock.monotonicTimeNanosUnsafe(),
  wall: clock.currentTimeMillisUnsafe()
})

/** The moment so many milliseconds after another; before it where they are negative. */
export const after = ({ monotonic, wall }: Instant, millis: number): Instant => ({
  monotonic: monotonic + BigInt(Math.round(millis * 1_000_000)),
  wall: wall + millis
})

/** The earlier of two moments. */
export const earlier = (a: Instant, b: Instant): Instant => a.monotonic < b.monotonic ? a : b

/** The later of two moments. */
export const later = (a: Instant, b: Instant): Instant => a.monotonic < b.monotonic ? b : a

/** Whether a moment has come, on either clock. */
export const hasCome = (moment: Instant, clock: Clock.Clock): boolean =>
  clock.monotonicTimeNanosUnsafe() >= moment.monotonic || clock.currentTimeMillisUnsafe() >= moment.wall

/** Whether a moment has come on both clocks: for what must not end before its time, whichever of them is wrong. */
export const hasComeOnBoth = (moment: Instant, clock: Clock.Clock): boolean =>
  clock.monotonicTimeNanosUnsafe() >= moment.monotonic && clock.currentTimeMillisUnsafe() >= moment.wall

/** Milliseconds until a moment on the clock that reaches it first; zero once it has come. */
export const until = (moment: Instant, at: Instant): number =>
  Math.max(0, Math.min(Number(moment.monotonic - at.monotonic) / 1_000_000, moment.wall - at.wall))

/** Where the wall clock is, seen from the monotonic one: milliseconds. */
export const offset = ({ monotonic, wall }: Instant): number => wall - Number(monotonic) / 1_000_000
