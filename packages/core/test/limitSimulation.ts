import { Gradient, type GradientOptions } from "../src/internal/limit/gradient.ts"

/** A server with workers and a queue, calls that arrive at random, and a limit in front of them; on virtual time. */

/** A seeded generator of numbers from 0 to 1. */
export const seeded = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A limit under test. Times are in milliseconds. */
export interface Limiter {
  readonly limit: () => number
  /** A call begins; `inFlight` includes it. Returns what to call at its end. */
  readonly start: (now: number, inFlight: number) => (now: number, inFlight: number, isDropped: boolean) => void
}

/** A time in which the server has a capacity. */
export interface Phase {
  readonly millis: number
  readonly workers: number
  /** Mean service time in milliseconds. */
  readonly service: number
}

export interface Load {
  readonly phases: ReadonlyArray<Phase>
  /** Calls per second. */
  readonly rate: number
  /** After how long a caller gives up. The server works on such a call all the same. */
  readonly timeout: number
  readonly seed: number
}

/** What happened in a phase. */
export interface PhaseResult {
  /** Calls that were answered in time, per second. */
  readonly goodput: number
  readonly rejected: number
  readonly timedOut: number
  /** The limit, sampled at every arrival. */
  readonly least: number
  readonly mean: number
  readonly last: number
}

type Event = { readonly at: number; readonly order: number; readonly run: () => void }

/** A binary heap of events by time, then by the order of their making. */
const makeQueue = () => {
  const heap: Array<Event> = []
  const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order)
  let order = 0
  return {
    add(at: number, run: () => void) {
      heap.push({ at, order: order++, run })
      let index = heap.length - 1
      while (index > 0) {
        const parent = (index - 1) >> 1
        if (!isBefore(heap[index]!, heap[parent]!)) break
        ;[heap[index], heap[parent]] = [heap[parent]!, heap[index]!]
        index = parent
      }
    },
    next(): Event | undefined {
      const first = heap[0]
      const last = heap.pop()
      if (first === undefined || last === undefined || heap.length === 0) return first
      heap[0] = last
      let index = 0
      for (;;) {
        const left = 2 * index + 1
        let least = index
        if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left
        if (left + 1 < heap.length && isBefore(heap[left + 1]!, heap[least]!)) least = left + 1
        if (least === index) return first
        ;[heap[index], heap[least]] = [heap[least]!, heap[index]!]
        index = least
      }
    }
  }
}

/** Runs the load through a limiter. The same seed gives the same result. */
export const simulate = ({ phases, rate, seed, timeout }: Load, limiter: Limiter): ReadonlyArray<PhaseResult> => {
  const random = seeded(seed)
  const exponential = (mean: number) => -mean * Math.log(1 - random())
  const events = makeQueue()
  const waiting: Array<() => void> = []
  let head = 0
  let busy = 0
  let inFlight = 0
  let index = 0
  let now = 0
  const tallies = phases.map(() => ({
    good: 0,
    rejected: 0,
    timedOut: 0,
    least: Infinity,
    sum: 0,
    arrivals: 0,
    last: 0
  }))

  const serve = () => {
    while (busy < phases[index]!.workers && head < waiting.length) {
      const begin = waiting[head++]!
      busy++
      begin()
    }
  }
  const call = () => {
    inFlight++
    const end = limiter.start(now, inFlight)
    let isOver = false
    const finish = (isDropped: boolean) => {
      if (isOver) return
      isOver = true
      end(now, inFlight--, isDropped)
      tallies[index]![isDropped ? "timedOut" : "good"]++
    }
    events.add(now + timeout, () => finish(true))
    waiting.push(() => {
      events.add(now + exponential(phases[index]!.service), () => {
        busy--
        finish(false)
        serve()
      })
    })
    serve()
  }
  const arrive = () => {
    const tally = tallies[index]!
    const limit = limiter.limit()
    tally.arrivals++
    tally.sum += limit
    tally.least = Math.min(tally.least, limit)
    tally.last = limit
    if (inFlight >= limit) tally.rejected++
    else call()
    events.add(now + exponential(1000 / rate), arrive)
  }

  const end = phases.reduce((sum, { millis }) => sum + millis, 0)
  let boundary = 0
  phases.forEach(({ millis }, number) => {
    if (number > 0) {
      events.add(boundary, () => {
        index = number
        serve()
      })
    }
    boundary += millis
  })
  events.add(0, arrive)
  for (let event = events.next(); event !== undefined && event.at < end; event = events.next()) {
    now = event.at
    event.run()
  }
  return tallies.map((tally, number) => ({
    goodput: tally.good / phases[number]!.millis * 1000,
    rejected: tally.rejected,
    timedOut: tally.timedOut,
    least: tally.least,
    mean: tally.sum / tally.arrivals,
    last: tally.last
  }))
}

/** A limit that never changes. */
export const fixed = (limit: number): Limiter => ({ limit: () => limit, start: () => () => {} })

/**
 * The published rule of Netflix's concurrency-limits (`Gradient2Limit` in a `WindowedLimit`), after its description: windows
 * of one second with at least ten samples, gradient of a long average to the window's mean, smoothing of 0.2, a queue of 4.
 */
export const gradient2 = (
  options: { readonly initial: number; readonly min: number; readonly max: number }
): Limiter => {
  let estimated = options.initial
  let long = 0
  let warm = 0
  let next = 0
  let count = 0
  let sum = 0
  let peak = 0
  let fastest = Infinity
  const update = (short: number, inFlight: number) => {
    if (warm < 10) long += (short - long) / ++warm
    else long += (short - long) * 2 / 601
    const baseline = long
    if (baseline / short > 2) long *= 0.9
    if (inFlight < estimated / 2) return
    const gradient = Math.max(0.5, Math.min(1, baseline / short))
    const wanted = estimated * gradient + 4
    estimated = Math.max(options.min, Math.min(options.max, estimated * 0.8 + wanted * 0.2))
  }
  return {
    limit: () => Math.floor(estimated),
    start: (at, inFlight) => (now) => {
      count++
      sum += now - at
      fastest = Math.min(fastest, now - at)
      peak = Math.max(peak, inFlight)
      if (now <= next) return
      next = now + Math.min(Math.max(fastest * 2, 1000), 1000)
      if (count >= 10) update(sum / count, peak)
      count = 0
      sum = 0
      peak = 0
      fastest = Infinity
    }
  }
}

/** The rule of `AdaptiveLimit`. */
export const adaptive = (options: Partial<GradientOptions> = {}): Limiter & { readonly rule: Gradient } => {
  const rule = new Gradient({
    minLimit: 5,
    maxLimit: 1000,
    initialLimit: 20,
    tolerance: 1.5,
    window: 500,
    minSamples: 50,
    ...options
  })
  return {
    rule,
    limit: () => Math.floor(rule.limit),
    start: (at, inFlight) => {
      rule.start(inFlight)
      return (now, left, isDropped) => void rule.end(at, now, left, isDropped ? "dropped" : "success")
    }
  }
}
