import { codeOf } from "../../ErrorCode.ts"

/** What happened in one entry of the timeline. */
export interface Entry {
  /** Calls that began in it. */
  calls: number
  /** Those of them that succeeded in time. */
  good: number
  /** Those of them that had not ended when the simulation ended. */
  unfinished: number
  /** Requests that arrived at the server. */
  requests: number
  /** Requests that the server finished after their callers had given up. */
  wasted: number
  /** The most requests in work and waiting, as seen when one arrived. */
  load: number
  openCircuits: number
  /** How long the good calls took, in milliseconds. */
  readonly latencies: Array<number>
  /** The calls that failed, by the code of their error. */
  readonly errors: Map<string, number>
  /** What the clients counted. */
  readonly counts: Map<string, number>
}

const makeEntry = (): Entry => ({
  calls: 0,
  good: 0,
  unfinished: 0,
  requests: 0,
  wasted: 0,
  load: 0,
  openCircuits: 0,
  latencies: [],
  errors: new Map(),
  counts: new Map()
})

export const add = (counts: Map<string, number>, name: string, by: number): void => {
  counts.set(name, (counts.get(name) ?? 0) + by)
}

/** A call that has begun. */
export interface OpenCall {
  readonly begin: number
  readonly entry: Entry
}

/** Counts by entries of the timeline. Times are in nanoseconds. */
export class Ledger {
  readonly entries: ReadonlyArray<Entry>
  readonly #width: number
  readonly #goodWithin: number

  constructor(duration: number, width: number, goodWithin: number) {
    this.#width = width
    this.#goodWithin = goodWithin
    this.entries = Array.from({ length: Math.ceil(duration / width) }, makeEntry)
  }

  /** The entry of a moment. What happens while the processes stop belongs to the last one. */
  at(now: number): Entry {
    return this.entries[Math.min(Math.floor(now / this.#width), this.entries.length - 1)]!
  }

  begin(now: number): OpenCall {
    const entry = this.at(now)
    entry.calls++
    return { begin: now, entry }
  }

  succeeded({ begin, entry }: OpenCall, now: number): void {
    const took = now - begin
    if (took > this.#goodWithin) return add(entry.errors, "TOO_LATE", 1)
    entry.good++
    entry.latencies.push(took / 1e6)
  }

  failed({ entry }: OpenCall, error: unknown): void {
    add(entry.errors, codeOf(error) ?? "OTHER", 1)
  }

  /** A call that still runs at the end of the simulation: failed if it is already late, else unfinished. */
  cut(call: OpenCall, now: number): void {
    if (now - call.begin > this.#goodWithin) add(call.entry.errors, "TOO_LATE", 1)
    else call.entry.unfinished++
  }
}
