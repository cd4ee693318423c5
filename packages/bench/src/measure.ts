/** Measures contestants in turns, so that a slow phase of the machine affects all of them. */
import { setImmediate } from "node:timers/promises"
import type { Loop } from "./contestant.ts"

const rounds = 25

/** Nanoseconds per call, one figure per round. */
export type Times = ReadonlyArray<number>

/** A clock in milliseconds. */
export type Stopwatch = () => number

const wall: Stopwatch = () => performance.now()

const millisOf = ({ system, user }: NodeJS.CpuUsage): number => (user + system) / 1000

/** CPU time of all threads. Hardly depends on the load of the machine. */
export const processor: Stopwatch = () => millisOf(process.cpuUsage())

/** CPU time of this thread alone, which blocks everything else in an application. */
export const mainThread: Stopwatch = () => millisOf(process.threadCpuUsage())

/** The options of a measurement. */
export interface How {
  readonly sampleMillis?: number
  /** How long each loop runs before the measurement. Long code takes longer to compile. */
  readonly warmUpMillis?: number
  readonly stopwatch?: Stopwatch
}

/** Collects garbage before each sample, so that one contestant's garbage is not collected in the next one's time. */
const timed = async (loop: Loop, times: number, stopwatch: Stopwatch): Promise<number> => {
  globalThis.gc?.({ type: "minor" })
  await setImmediate()
  const began = stopwatch()
  await loop(times)
  return stopwatch() - began
}

/** Warms up a loop and returns the number of calls per sample. */
const calibrate = async (loop: Loop, { sampleMillis, stopwatch, warmUpMillis }: Required<How>): Promise<number> => {
  let times = 1
  const end = performance.now() + warmUpMillis
  let millis = await timed(loop, times, stopwatch)
  while (millis < sampleMillis || performance.now() < end) {
    if (millis < sampleMillis) times = Math.ceil(times * Math.min(10, 1.2 * sampleMillis / Math.max(millis, 0.01)))
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    millis = await timed(loop, times, stopwatch)
  }
  return Math.max(1, Math.round(times * sampleMillis / millis))
}

/** Runs every loop once per round, each round starting with the next loop. */
export const measure = async (
  loops: ReadonlyArray<Loop>,
  { sampleMillis = 10, stopwatch = wall, warmUpMillis = 120 }: How = {}
): Promise<ReadonlyArray<Times>> => {
  const contestants = []
  for (const loop of loops) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const times = await calibrate(loop, { sampleMillis, stopwatch, warmUpMillis })
    contestants.push({ loop, times, found: new Array<number>() })
  }
  for (let round = 0; round < rounds; round++) {
    const first = round % contestants.length
    for (const { found, loop, times } of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      found.push(await timed(loop, times, stopwatch) * 1_000_000 / times)
    }
  }
  return contestants.map(({ found }) => found)
}

/** A figure with its spread: half of the rounds were from `low` to `high`. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export const spread = (values: Times): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN
  return { median: at(0.5), low: at(0.25), high: at(0.75) }
}

/** Combines times round by round, so that only samples close in time are compared. */
export const each = (a: Times, b: Times, f: (a: number, b: number) => number): Times =>
  a.map((value, round) => f(value, b[round] ?? Number.NaN))
