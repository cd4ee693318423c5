/** Times of contestants that take turns, so that what slows the machine down slows all of them down. */
import { setImmediate } from "node:timers/promises"
import type { Loop } from "./contestant.ts"

const rounds = 25

/** Nanoseconds per call, one figure a round. */
export type Times = ReadonlyArray<number>

/** What is measured, in milliseconds. */
export type Stopwatch = () => number

const wall: Stopwatch = () => performance.now()

const millisOf = ({ system, user }: NodeJS.CpuUsage): number => (user + system) / 1000

/** The processor's time, of all threads. It hardly depends on what else the machine does. */
export const processor: Stopwatch = () => millisOf(process.cpuUsage())

/** The processor's time of this thread alone, on which everything else of an application waits. */
export const mainThread: Stopwatch = () => millisOf(process.threadCpuUsage())

/** How it is measured. */
export interface How {
  readonly sampleMillis?: number
  /** How long each loop runs before: long code takes long to be compiled. */
  readonly warmUpMillis?: number
  readonly stopwatch?: Stopwatch
}

/** Each sample begins with a clean heap: one contestant's garbage must not be collected in the time of the next. */
const timed = async (loop: Loop, times: number, stopwatch: Stopwatch): Promise<number> => {
  globalThis.gc?.({ type: "minor" })
  await setImmediate()
  const began = stopwatch()
  await loop(times)
  return stopwatch() - began
}

/** Warms a loop up and finds how many calls make a sample. */
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

/** Each round runs every loop once, beginning with another one each time. */
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

/** Round by round, so that only neighbours in time are compared. */
export const each = (a: Times, b: Times, f: (a: number, b: number) => number): Times =>
  a.map((value, round) => f(value, b[round] ?? Number.NaN))
