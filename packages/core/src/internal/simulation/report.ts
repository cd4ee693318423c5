import * as Duration from "effect/Duration"
import type { FleetOptions } from "../../testing/FleetOptions.ts"
import type { Moment, Phase, Report } from "../../testing/Simulate.ts"
import { add, type Entry } from "./ledger.ts"

/** Over how many entries of the timeline shares are taken, so that an entry with few calls is no evidence. */
const smoothing = 5
/** A fleet has recovered when this share of the success before the cause is there again. */
const recoveredShare = 0.9

/** The value below which a share of the values lies; 0 without values. */
const quantile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const rounded = (value: number, digits: number): number => {
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}

const sum = (entries: ReadonlyArray<Entry>, field: "calls" | "good" | "requests" | "unfinished" | "wasted"): number =>
  entries.reduce((total, entry) => total + entry[field], 0)

const most = (values: ReadonlyArray<number>): number => values.reduce((a, b) => Math.max(a, b), 0)

const countsOf = (entries: ReadonlyArray<Entry>, field: "errors" | "counts"): Readonly<Record<string, number>> => {
  const counts = new Map<string, number>()
  for (const entry of entries) for (const [name, count] of entry[field]) add(counts, name, count)
  return Object.fromEntries([...counts].toSorted(([a], [b]) => a < b ? -1 : 1))
}

const latenciesOf = (entries: ReadonlyArray<Entry>): Float64Array =>
  Float64Array.from(entries.flatMap(({ latencies }) => latencies)).sort()

/** Requests per call: the highest of any `smoothing` entries in a row. */
const peakPerCall = (entries: ReadonlyArray<Entry>): number =>
  most(entries.map((_, index) => {
    const window = entries.slice(index, index + smoothing)
    const calls = sum(window, "calls")
    return window.length < Math.min(smoothing, entries.length) || calls === 0 ? 0 : sum(window, "requests") / calls
  }))

interface Shape {
  /** The length of an entry, and of the simulation, in nanoseconds. */
  readonly width: number
  readonly duration: number
  readonly entries: ReadonlyArray<Entry>
}

const phaseOf = ({ duration, entries, width }: Shape, begin: number, end: number): Phase => {
  const own = entries.slice(begin, end)
  // The last entry is shorter if the duration is not a multiple of the resolution.
  const [beginsAt, endsAt] = [Math.min(begin * width, duration), Math.min(end * width, duration)]
  const seconds = (endsAt - beginsAt) / 1e9
  const calls = sum(own, "calls")
  const good = sum(own, "good")
  const unfinished = sum(own, "unfinished")
  const requests = sum(own, "requests")
  const latencies = latenciesOf(own)
  return {
    beginMillis: beginsAt / 1e6,
    endMillis: endsAt / 1e6,
    calls,
    good,
    failed: calls - good - unfinished,
    unfinished,
    goodShare: calls === unfinished ? 1 : rounded(good / (calls - unfinished), 4),
    goodPerSecond: seconds === 0 ? 0 : rounded(good / seconds, 2),
    requests,
    requestsPerCall: calls === 0 ? 0 : rounded(requests / calls, 3),
    peakRequestsPerCall: rounded(peakPerCall(own), 3),
    peakRequestsPerSecond: rounded(most(own.map((entry) => entry.requests)) * 1e9 / width, 2),
    wasted: sum(own, "wasted"),
    p50Millis: rounded(quantile(latencies, 0.5), 2),
    p99Millis: rounded(quantile(latencies, 0.99), 2),
    peakOpenCircuits: most(own.map(({ openCircuits }) => openCircuits)),
    errors: countsOf(own, "errors"),
    counts: countsOf(own, "counts")
  }
}

const momentOf = ({ entries, width }: Shape, index: number): Moment => {
  const entry = entries[index]!
  const latencies = latenciesOf([entry])
  return {
    atMillis: index * width / 1e6,
    calls: entry.calls,
    good: entry.good,
    requests: entry.requests,
    load: entry.load,
    openCircuits: entry.openCircuits,
    p50Millis: rounded(quantile(latencies, 0.5), 2),
    p99Millis: rounded(quantile(latencies, 0.99), 2)
  }
}

/** Where the cause begins and ends: an outage, a surge, or both. */
const causeOf = ({ load, outage }: FleetOptions): readonly [begin: number, end: number] | undefined => {
  const causes = [outage, load?.surge].filter((cause) => cause !== undefined)
  if (causes.length === 0) return undefined
  const millis = (pick: "begin" | "end") => causes.map((cause) => Duration.toMillis(cause[pick]))
  return [Math.min(...millis("begin")) * 1e6, Math.max(...millis("end")) * 1e6]
}

/**
 * The entry from which on success is back and stays: in every `smoothing` entries in a row, up to the last ones that can be
 * judged. `undefined` if there is none.
 */
const recoveredAt = ({ entries }: Shape, end: number, healthy: number): number | undefined => {
  const judged = entries.findLastIndex(({ calls, unfinished }) => calls > 0 && unfinished === 0) + 1
  let found: number | undefined
  for (let index = judged - smoothing; index >= end; index--) {
    const window = entries.slice(index, index + smoothing)
    const calls = sum(window, "calls")
    if (calls > 0 && sum(window, "good") / calls < healthy) break
    found = index
  }
  return found
}

/** The report of a simulation. */
export const reportOf = (options: FleetOptions, entries: ReadonlyArray<Entry>): Report => {
  const width = Duration.toMillis(options.resolution) * 1e6
  const shape: Shape = { width, duration: Duration.toMillis(options.duration) * 1e6, entries }
  const cause = causeOf(options)
  const indexOf = (nanos: number, round: (value: number) => number) => Math.min(round(nanos / width), entries.length)
  const begin = cause === undefined ? entries.length : indexOf(cause[0], Math.floor)
  const end = cause === undefined ? entries.length : indexOf(cause[1], Math.ceil)
  const before = phaseOf(shape, 0, begin)
  const found = cause === undefined ? undefined : recoveredAt(shape, end, before.goodShare * recoveredShare)
  const isOver = end < entries.length
  return {
    processes: options.processes,
    seed: options.seed,
    durationMillis: Duration.toMillis(options.duration),
    resolutionMillis: width / 1e6,
    total: phaseOf(shape, 0, entries.length),
    before,
    during: phaseOf(shape, begin, end),
    after: phaseOf(shape, end, entries.length),
    recoveryMillis: found === undefined ? null : (found - end) * width / 1e6,
    metastable: isOver && found === undefined,
    timeline: entries.map((_, index) => momentOf(shape, index))
  }
}
