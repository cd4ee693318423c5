import type * as Metric from "effect/Metric"

/** Upper bounds of the buckets of every histogram, in seconds. */
export const boundaries: ReadonlyArray<number> = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10
]

/**
 * A histogram of durations for a source of a series. It has buckets up to that of the longest duration only: most of ten
 * thousand key sets are fetched in less than 100 milliseconds.
 */
export class Durations {
  /** How many durations are in each bucket, without those in the buckets before it. */
  #buckets: ReadonlyArray<number> = []
  #count = 0
  #sum = 0
  #min = Number.MAX_VALUE
  #max = -Number.MAX_VALUE

  /** Adds a duration, in seconds. */
  add(seconds: number): void {
    const found = boundaries.findIndex((boundary) => seconds <= boundary)
    const index = found < 0 ? boundaries.length : found
    const length = Math.max(this.#buckets.length, index + 1)
    this.#buckets = Array.from({ length }, (_, at) => (this.#buckets[at] ?? 0) + (at === index ? 1 : 0))
    this.#count++
    this.#sum += seconds
    this.#min = Math.min(this.#min, seconds)
    this.#max = Math.max(this.#max, seconds)
  }
  /** Returns a new histogram with the durations of both. */
  plus(other: Durations): Durations {
    const sum = new Durations()
    const length = Math.max(this.#buckets.length, other.#buckets.length)
    sum.#buckets = Array.from({ length }, (_, at) => (this.#buckets[at] ?? 0) + (other.#buckets[at] ?? 0))
    sum.#count = this.#count + other.#count
    sum.#sum = this.#sum + other.#sum
    sum.#min = Math.min(this.#min, other.#min)
    sum.#max = Math.max(this.#max, other.#max)
    return sum
  }
  /** The state of the metric: each bucket includes those before it. */
  get state(): Metric.HistogramState {
    let cumulated = 0
    const buckets = boundaries.map((boundary, at): [number, number] => {
      cumulated += this.#buckets[at] ?? 0
      return [boundary, cumulated]
    })
    return { buckets, count: this.#count, min: this.#min, max: this.#max, sum: this.#sum }
  }
}
