/** The results of a benchmark. */
import type { Spread } from "./measure.ts"

/**
 * The compared measure: the time of a call, the time that a policy adds to a bare call of the same kind, or the processor time
 * of a call, in all threads or on the main one.
 */
export type Measure = "time" | "added" | "processor" | "mainThread"

/** Keelson's figure divided by another contestant's. */
export interface Comparison {
  readonly group: string
  /** The workload, if the group has several. */
  readonly workload?: string
  readonly measure: Measure
  readonly other: string
  readonly ratio: Spread
  readonly target: number | undefined
}

/** The target of a figure: an upper bound, a lower bound or an exact value. */
export interface Aim {
  readonly is: "at most" | "at least" | "exactly"
  readonly value: number
}

/** A figure without a comparison. */
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
  /** Nanoseconds per call, for finding what to improve. They depend on the machine and its load. */
  readonly nanoseconds: ReadonlyArray<{ readonly what: string; readonly contestant: string; readonly median: number }>
  readonly findings: ReadonlyArray<Finding>
}

export const merge = (all: ReadonlyArray<Figures>): Figures => ({
  comparisons: all.flatMap(({ comparisons }) => comparisons),
  nanoseconds: all.flatMap(({ nanoseconds }) => nanoseconds),
  findings: all.flatMap(({ findings }) => findings)
})
