import { LatencyWindow, type Measurement } from "./latencyWindow.ts"

/** How a call counts at its end: `success` by its latency, `dropped` as timed out or rejected, `ignored` not at all. */
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

/** A test: the limit shrank, to see whether latency follows. */
interface Test {
  /** Whether latency was above tolerance, or this is a periodic test of the baseline. */
  readonly isCongested: boolean
  /** The limit before the test, and the latency at it. */
  readonly limit: number
  readonly latency: number
  /** The window against which the next one is compared; `undefined` until latency has settled after it rose. */
  readonly before: Measurement | undefined
  /** Whether a periodic test has shrunk the limit twice, which is the most. */
  readonly isSecondStep: boolean
}

/** From this share of dropped calls on, a window shrinks the limit. */
const shrinkingDrops = 0.1
/** From this share on it does not grow. */
const holdingDrops = 0.05
/** The smallest share of the limit that one window leaves. */
const maxStep = 0.5
/** The share of the limit that a step of a periodic test leaves: small enough for latency to fall to the baseline. */
const testStep = (tolerance: number): number => clamp(0.9 / tolerance, maxStep, 0.8)
/** The share of the limit that the second step of a test leaves, once latency has settled after it rose. */
const settledStep = 0.7
/** The range around the baseline in which a lower latency confirms it. */
const confirmed = [0.95, 1.1] as const
/** How many windows at the limit lie between two tests of the baseline: twice as many after each test that confirms it. */
const testsFrom = 8
const testsTo = 64
/** A test without a clear result continues until it has this multiple of `minSamples`. */
const longestTest = 4
/** From this elasticity on, latency follows the calls in flight: 1 where they queue, and 0 where they do not. */
const queueing = 0.5
/** How much of a lower latency the baseline takes over from one window. */
const falling = 0.1
/** Below this share of the baseline, a latency becomes the baseline at once: the service is faster than it was. */
const faster = 0.7
/** How many mean latencies after a change of the limit the next window opens. */
const settling = 2
/** A latency counts as at most this multiple of the baseline, so that one slow call does not decide. */
const outlier = 10

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

const isConfirmed = (baseline: number, latency: number): boolean =>
  latency >= confirmed[0] * baseline && latency <= confirmed[1] * baseline

/**
 * The rule of the adaptive limit. Once per window it compares mean latency with its baseline, the latency without queueing.
 *
 * A latency above tolerance has two possible causes, and one window cannot distinguish them: calls queue in the service, or
 * the service became slower. So the limit shrinks, and the next window decides. Where calls queue, latency falls with the
 * calls in flight (Little's law), and the smaller limit stays. Otherwise fewer calls do not help: the latency becomes the new
 * baseline and the limit returns. The same test runs periodically at the limit, in at most two
 * steps to about 0.6 and only as long as latency follows: it corrects a baseline that was measured under load.
 */
export class Gradient {
  limit: number
  /** Milliseconds; `undefined` before the first window. */
  baseline: number | undefined
  readonly #options: GradientOptions
  /** When the limit last shrank. */
  #shrank = -Infinity
  #test: Test | undefined
  #testEvery = testsFrom
  #untilTest = 4
  /** Until latency rises or calls are dropped for the first time, the limit grows faster. */
  #isWarmUp = true
  #window = new LatencyWindow(-Infinity)

  constructor(options: GradientOptions) {
    this.#options = options
    this.limit = options.initialLimit
  }

  /** A call begins; `inFlight` includes it. */
  start(inFlight: number): void {
    this.#window.start(inFlight)
  }

  /** A call that began at `at` ended; `inFlight` includes it. Returns whether the limit changed. */
  end(at: number, now: number, inFlight: number, sample: Sample): boolean {
    if (sample === "ignored") return false
    const window = this.#window
    if (window.opens === -Infinity) window.opens = now
    if (sample === "dropped") {
      // The calls of one overload shrink the limit once.
      if (at >= this.#shrank) window.drops++
    } else if (now >= window.opens) {
      const latency = Math.max(now - at, 0.001)
      window.add(this.baseline === undefined ? latency : Math.min(latency, outlier * this.baseline), inFlight)
    }
    const { minSamples, window: least } = this.#options
    return window.count + window.drops >= minSamples && now - window.opens >= least && this.#close(window, now)
  }

  #close(window: LatencyWindow, now: number): boolean {
    const { dropShare } = window
    const before = Math.floor(this.limit)
    let latency = 0
    if (dropShare >= shrinkingDrops) this.#shrinkBy(dropShare)
    else {
      const found = window.measurement
      ;({ latency } = found)
      this.baseline ??= latency
      if (this.#test !== undefined && !this.#isClear(this.#test, found, window.count)) return false
      if (this.#test === undefined || !this.#settle(this.#test, this.baseline, found)) {
        this.#judge(this.baseline, found, dropShare < holdingDrops)
      }
    }
    this.limit = clamp(this.limit, this.#options.minLimit, this.#options.maxLimit)
    const after = Math.floor(this.limit)
    if (after < before) this.#shrank = now
    // Until the calls of the old limit have ended, the calls that end are not typical: the slow ones of the new limit still run.
    this.#window = new LatencyWindow(after === before ? now : now + settling * latency)
    return after !== before
  }

  #shrinkBy(dropShare: number): void {
    this.#isWarmUp = false
    this.#test = undefined
    this.limit *= Math.max(maxStep, 1 - dropShare)
  }

  /** Whether a test has enough samples: its elasticity is a standard error away from the threshold. */
  #isClear({ before }: Test, found: Measurement, count: number): boolean {
    if (before === undefined || count >= longestTest * this.#options.minSamples) return true
    const fewer = Math.log(before.inFlight / found.inFlight)
    const error = Math.hypot(before.error, found.error) / fewer
    const elasticity = Math.log(before.latency / found.latency) / fewer
    return fewer < 0.1 || Math.abs(elasticity - queueing) > error
  }

  /** Ends or continues a test. Returns false if the window is to be judged as any other. */
  #settle(test: Test, baseline: number, found: Measurement): boolean {
    const { before, isCongested, limit } = test
    const tolerated = this.#options.tolerance * baseline
    if (isCongested && found.latency <= tolerated) {
      this.#test = undefined
      return false
    }
    if (before === undefined) {
      this.#test = { ...test, before: found }
      this.limit *= settledStep
      return true
    }
    const fewer = Math.log(before.inFlight / found.inFlight)
    if (fewer < 0.1) {
      // The calls in flight are not fewer: there is nothing to compare.
      this.#test = undefined
      if (!isCongested) this.limit = limit
      return !isCongested
    }
    if (Math.log(before.latency / found.latency) < queueing * fewer) {
      this.#endTest(test, isCongested ? found.latency : (found.latency + before.latency) / 2)
    } else if (isCongested) {
      if (this.limit <= this.#options.minLimit) this.#test = undefined
      this.limit *= clamp(tolerated / found.latency, maxStep, 1)
    } else if (isConfirmed(baseline, found.latency)) this.#endTest(test, Math.min(baseline, found.latency))
    else if (test.isSecondStep || this.limit <= this.#options.minLimit) {
      this.#endTest(test, Math.min(baseline, found.latency))
      // Calls queue at this limit too. The next test begins there.
      this.#untilTest = 1
    } else {
      this.#test = { ...test, before: found, isSecondStep: true }
      this.limit *= testStep(this.#options.tolerance)
    }
    return true
  }

  /** Sets the baseline, and the limit at which latency is as tolerated: where calls queue, they are proportional. */
  #endTest({ latency, limit }: Test, baseline: number): void {
    this.#test = undefined
    this.#setBaseline(baseline)
    this.limit = limit * Math.min(1, this.#options.tolerance * baseline / latency)
  }

  /** A baseline that a test changes much is tested again soon. */
  #setBaseline(latency: number): void {
    const change = latency / this.baseline!
    this.#testEvery = change > 1.25 || change < 0.8 ? testsFrom : Math.min(testsTo, this.#testEvery * 2)
    this.#untilTest = this.#testEvery
    this.baseline = latency
  }

  #judge(baseline: number, found: Measurement, mayGrow: boolean): void {
    const { minLimit, tolerance } = this.#options
    const { error, latency, peak } = found
    // A lower latency moves the baseline. A higher one does not: it may be queueing.
    if (latency < faster * baseline) this.baseline = latency
    else if (latency < baseline) this.baseline = baseline + falling * (latency - baseline)
    const gradient = tolerance * this.baseline! / latency
    const isUsed = peak >= Math.floor(this.limit)
    if (gradient < 1 - error) {
      this.#isWarmUp = false
      // At the minimum there is no lower limit to measure at.
      if (this.limit <= minLimit) this.baseline = baseline + 0.3 * (latency - baseline)
      else {
        this.#test = { isCongested: true, limit: this.limit, latency, before: undefined, isSecondStep: false }
        this.limit = Math.min(this.limit, peak) * Math.max(maxStep, gradient)
      }
    } else if (isUsed && --this.#untilTest <= 0 && this.limit > minLimit) {
      this.#untilTest = this.#testEvery
      this.#test = { isCongested: false, limit: this.limit, latency, before: found, isSecondStep: false }
      this.limit *= testStep(tolerance)
    } else if (isUsed && mayGrow && gradient >= 1) {
      this.limit += this.#isWarmUp ? this.limit / 2 : Math.max(1, Math.sqrt(this.limit))
    }
  }
}
