/** What is found out. */
import type { Spread } from "./measure.ts"

/** What is compared: the time of a call, or what a policy adds to a bare call of its own kind. */
export type Measure = "time" | "added"

/** Keelson's figure over another's. */
export interface Comparison {
  readonly group: string
  /** Of what kind the call is, where there are several. */
  readonly workload?: string
  readonly measure: Measure
  readonly other: string
  readonly ratio: Spread
  readonly target: number | undefined
}

/** What a figure may be at the most, at the least, or has to be. */
export interface Aim {
  readonly is: "at most" | "at least" | "exactly"
  readonly value: number
}

/** A figure that stands by itself. */
export interface Finding {
  readonly group: string
  readonly what: string
  readonly value: number
  readonly unit: "" | "%" | "KiB" | "ms" | "µs" | "per second"
  readonly aim?: Aim
}

export const isMet = (value: number, aim: Aim): boolean => {
  if (aim.is === "at most") return value <= aim.value
  return aim.is === "at least" ? value >= aim.value : value === aim.value
}

export interface Figures {
  readonly comparisons: ReadonlyArray<Comparison>
  /** Nanoseconds per call, for who looks for what to improve; they depend on the machine and the day. */
  readonly nanoseconds: ReadonlyArray<{ readonly what: string; readonly contestant: string; readonly median: number }>
  readonly findings: ReadonlyArray<Finding>
}

export const merge = (all: ReadonlyArray<Figures>): Figures => ({
  comparisons: all.flatMap(({ comparisons }) => comparisons),
  nanoseconds: all.flatMap(({ nanoseconds }) => nanoseconds),
  findings: all.flatMap(({ findings }) => findings)
})
