/** What the end of a call says: `success` has a latency, `dropped` ran out of time or was refused, `ignored` says nothing. */
export type Sample = "success" | "dropped" | "ignored"

/** The checked options of the rule. */
export interface GradientOptions {
  readonly minLimit: number
  readonly maxLimit: number
  readonly initialLimit: number
  /** How far latency may rise above the baseline before the limit shrinks, as a factor. */
  readonly tolerance: number
  /** Milliseconds. */
  readonly window: number
  readonly minSamples: number
}

/** Latency and calls in flight of a window, against which the next one is compared. */
interface Reference {
  readonly latency: number
  readonly inFlight: number
  /** The limit to return to. */
  readonly limit: number
  /** Whether latency was above tolerance, or this is a periodic test of the baseline. */
  readonly isCongested: boolean
}

/** From this share of dropped calls on, a window shrinks the limit. */
const shrinkingDrops = 0.1
/** From this share on it does not grow. */
const holdingDrops = 0.05
/** The most that one window takes away. */
const maxStep = 0.5
/** What a periodic test of the baseline leaves of the limit, for one window. */
const testStep = 0.7
/** How many windows at the limit lie between two tests of the baseline: more as long as the baseline proves right. */
const testsFrom = 4
const testsTo = 32
/** How much of a lower latency the baseline takes over from one window. */
const falling = 0.1
/** Below this share of the baseline, a latency becomes the baseline at once: the service is faster than it was. */
const faster = 0.7
/** How many mean latencies after a change of the limit the next window opens. */
const settling = 2
/** A latency counts as at most this multiple of the baseline, so that one slow call does not decide. */
const outlier = 10

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

/**
 * The rule of the adaptive limit. Once per window it compares mean latency with its baseline, the latency without queueing.
 *
 * A latency above tolerance has two possible causes, and one window cannot tell them apart: calls queue in the service, or
 * the service became slower. So the limit shrinks, and the next window decides. Where calls queue, latency falls with the
 * calls in flight (Little's law), and the smaller limit stays. Otherwise fewer calls do not help: the latency becomes the new
 * baseline and the limit returns. The same test runs now and then at the limit, as a small step of one window: it corrects
 * a baseline that was measured under load, and never takes the limit to its minimum.
 */
export class Gradient {
  limit: number
  /** Milliseconds; `undefined` before the first window. */
  baseline: number | undefined
  readonly #options: GradientOptions
  #decreased = -Infinity
  #reference: Reference | undefined
  /** Until latency rises or calls are dropped for the first time, the limit grows faster. */
  #isWarmUp = true
  #testEvery = testsFrom
  #untilTest = testsFrom
  // The current window.
  #opens = -Infinity
  #count = 0
  #drops = 0
  #latency = 0
  #flights = 0
  #peak = 0

  constructor(options: GradientOptions) {
    this.#options = options
    this.limit = options.initialLimit
  }

  /** A call begins; `inFlight` includes it. */
  start(inFlight: number): void {
    if (inFlight > this.#peak) this.#peak = inFlight
  }

  /** A call that began at `at` ended; `inFlight` includes it. Returns whether the limit changed. */
  end(at: number, now: number, inFlight: number, sample: Sample): boolean {
    if (sample === "ignored") return false
    if (sample === "dropped") {
      // The calls of one overload shrink the limit once.
      if (at >= this.#decreased) this.#drops++
    } else if (now >= this.#opens) {
      const latency = Math.max(now - at, 0.001)
      this.#count++
      this.#flights += inFlight
      this.#latency += this.baseline === undefined ? latency : Math.min(latency, outlier * this.baseline)
    }
    if (this.#opens === -Infinity) this.#opens = now
    const { minSamples, window } = this.#options
    if (this.#count + this.#drops < minSamples || now - this.#opens < window) return false
    return this.#close(now)
  }

  #close(now: number): boolean {
    const before = Math.floor(this.limit)
    const latency = this.#count === 0 ? 0 : this.#latency / this.#count
    this.#decide()
    this.limit = clamp(this.limit, this.#options.minLimit, this.#options.maxLimit)
    const after = Math.floor(this.limit)
    if (after < before) this.#decreased = now
    // Until the calls of the old limit have ended, what ends is too slow, or too fast: the slow ones are still running.
    this.#opens = after === before ? now : now + settling * latency
    this.#count = 0
    this.#drops = 0
    this.#latency = 0
    this.#flights = 0
    this.#peak = 0
    return after !== before
  }

  #decide(): void {
    const drops = this.#drops / (this.#count + this.#drops)
    if (drops >= shrinkingDrops) {
      this.#isWarmUp = false
      this.#reference = undefined
      this.limit *= Math.max(maxStep, 1 - drops)
      return
    }
    const latency = this.#latency / this.#count
    const inFlight = this.#flights / this.#count
    this.baseline ??= latency
    if (this.#reference === undefined || !this.#compare(this.#reference, this.baseline, latency, inFlight)) {
      this.#judge(this.baseline, latency, inFlight, drops < holdingDrops)
    }
  }

  /** Compares a window with the one before the limit shrank. Returns whether that decides about the limit. */
  #compare(reference: Reference, baseline: number, latency: number, inFlight: number): boolean {
    const fewer = reference.inFlight / inFlight
    const tolerated = this.#options.tolerance * baseline
    if (reference.isCongested && latency <= tolerated) {
      this.#reference = undefined
      return false
    }
    if (fewer < 1.2) {
      this.#reference = undefined
      if (!reference.isCongested) this.limit = reference.limit
      return !reference.isCongested
    }
    const elasticity = Math.log(reference.latency / latency) / Math.log(fewer)
    if (elasticity < 0.3) {
      this.#setBaseline(reference.isCongested ? latency : (latency + reference.latency) / 2)
      this.#reference = undefined
      this.limit = reference.limit
      return true
    }
    if (reference.isCongested) {
      this.limit *= clamp(tolerated / latency, maxStep, 1)
      if (this.limit <= this.#options.minLimit) this.#reference = undefined
      return true
    }
    this.#reference = undefined
    if (latency < baseline) this.#setBaseline(latency)
    this.limit = reference.limit * clamp(this.#options.tolerance * this.baseline! / reference.latency, maxStep, 1)
    return true
  }

  /** A baseline that a test changes much is tested again soon. */
  #setBaseline(latency: number): void {
    const change = latency / this.baseline!
    this.#testEvery = change > 1.25 || change < 0.8 ? testsFrom : Math.min(testsTo, this.#testEvery * 2)
    this.#untilTest = this.#testEvery
    this.baseline = latency
  }

  /** A lower latency moves the baseline. A higher one does not: it may be queueing. */
  #track(baseline: number, latency: number): void {
    if (latency < faster * baseline) this.baseline = latency
    else if (latency < baseline) this.baseline = baseline + falling * (latency - baseline)
  }

  #judge(baseline: number, latency: number, inFlight: number, mayGrow: boolean): void {
    const { minLimit, tolerance } = this.#options
    this.#track(baseline, latency)
    const gradient = tolerance * this.baseline! / latency
    const isUsed = this.#peak >= Math.floor(this.limit)
    if (gradient < 1) {
      this.#isWarmUp = false
      if (this.limit <= minLimit) {
        // There is no lower limit to measure at.
        this.baseline = baseline + 0.3 * (latency - baseline)
        return
      }
      this.#reference = { latency, inFlight, limit: this.limit, isCongested: true }
      this.limit = Math.min(this.limit, this.#peak) * Math.max(maxStep, gradient)
    } else if (isUsed && --this.#untilTest <= 0 && this.limit > minLimit) {
      this.#untilTest = this.#testEvery
      this.#reference = { latency, inFlight, limit: this.limit, isCongested: false }
      this.limit *= testStep
    } else if (isUsed && mayGrow) {
      this.limit += this.#isWarmUp ? this.limit / 2 : Math.max(1, Math.sqrt(this.limit))
    }
  }
}
