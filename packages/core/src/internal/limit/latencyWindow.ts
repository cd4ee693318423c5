/** What a window measured. */
export interface Measurement {
  /** Mean latency in milliseconds. */
  readonly latency: number
  /** The standard error of the mean, as a share of it. */
  readonly error: number
  /** Mean number of calls in flight. */
  readonly inFlight: number
  /** The most calls that were in flight. */
  readonly peak: number
}

/** Sums over the calls that ended in a window. */
export class LatencyWindow {
  /** When the window opens, in milliseconds; calls that end before do not count. */
  opens: number
  count = 0
  drops = 0
  #sum = 0
  #squares = 0
  #inFlight = 0
  #peak = 0

  constructor(opens: number) {
    this.opens = opens
  }

  start(inFlight: number): void {
    if (inFlight > this.#peak) this.#peak = inFlight
  }

  add(latency: number, inFlight: number): void {
    this.start(inFlight)
    this.count++
    this.#sum += latency
    this.#squares += latency * latency
    this.#inFlight += inFlight
  }

  get dropShare(): number {
    return this.drops / (this.count + this.drops)
  }

  /** Only for a window with calls. */
  get measurement(): Measurement {
    const { count } = this
    const latency = this.#sum / count
    const variance = Math.max(0, this.#squares / count - latency * latency)
    return { latency, error: Math.sqrt(variance / count) / latency, inFlight: this.#inFlight / count, peak: this.#peak }
  }
}
