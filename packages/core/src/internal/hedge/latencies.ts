/** Buckets per factor of two, which makes a quantile at most 4.5 % too large and never too small. */
const perOctave = 16
/** From a microsecond to two minutes. */
const size = 27 * perOctave
/** After how many latencies a quantile is computed again. */
const refresh = 16

/** Upper bound of a bucket, in nanoseconds. */
const upperBound = (bucket: number): number => 2 ** (bucket / perOctave) * 1000

const bucketOf = (nanos: number): number =>
  nanos <= 1000 ? 0 : Math.min(size - 1, Math.ceil(Math.log2(nanos / 1000) * perOctave))

/** The latencies of the last calls, counted in buckets of two generations: 3.5 KB for any number of calls. */
export class Latencies {
  readonly #window: number
  readonly #quantile: number
  #current: Uint32Array | undefined
  #currentCount = 0
  #previous: Uint32Array | undefined
  #previousCount = 0
  #untilRefresh = 0
  #last = 0

  /** Keeps at least `window` latencies, and fewer than twice as many. */
  constructor(window: number, quantile: number) {
    this.#window = window
    this.#quantile = quantile
  }

  get count(): number {
    return this.#currentCount + this.#previousCount
  }

  /** Adds a latency in nanoseconds. */
  add(nanos: number): void {
    this.#current ??= new Uint32Array(size)
    this.#current[bucketOf(nanos)]!++
    this.#untilRefresh--
    if (++this.#currentCount < this.#window) return
    const oldest = this.#previous
    this.#previous = this.#current
    this.#previousCount = this.#currentCount
    this.#current = oldest?.fill(0)
    this.#currentCount = 0
    this.#untilRefresh = 0
  }

  /** The latency that the quantile of them does not exceed, in nanoseconds; zero without any. */
  quantile(): number {
    if (this.#untilRefresh > 0) return this.#last
    this.#untilRefresh = refresh
    return this.#last = this.#compute()
  }

  #compute(): number {
    const rank = Math.ceil(this.#quantile * this.count)
    if (rank === 0) return 0
    let seen = 0
    for (let bucket = 0; bucket < size; bucket++) {
      seen += (this.#current?.[bucket] ?? 0) + (this.#previous?.[bucket] ?? 0)
      if (seen >= rank) return upperBound(bucket)
    }
    return upperBound(size - 1)
  }
}
