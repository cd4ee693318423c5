/** The documented rules of a circuit, as simply as they can be written: a list of calls, and the time. */
import fc from "fast-check"
import type { Breaker, BreakerPolicy } from "../../src/index.ts"

/** The unit in which everything is measured; what it stands for is up to the test. */
export interface Rules {
  readonly strategy: "consecutive" | "ratio" | "timeWindow"
  readonly failureThreshold: number
  readonly failureRatio: number
  readonly windowSize: number
  readonly minimumCalls: number
  /** The width of a tenth of the time window. */
  readonly bucket: number
  readonly slowAfter: number | undefined
  readonly slowRatio: number
  readonly open: number
  readonly maxOpen: number
  readonly multiplier: number
  readonly probes: number
  readonly successes: number
  readonly probeLimit: number
}

export type Outcome = "ok" | "fail" | "ignored"

export interface Admission {
  readonly era: number
  readonly startedAt: number
  readonly isProbe: boolean
}

/** One circuit. An `era` ends with each change of state and each probe: outcomes of calls of older ones change nothing. */
export class Model {
  now = 0
  state: Breaker.State = "CLOSED"
  era = 0
  until = 0
  openings = 0
  openedFor = 0
  recoveredAt = 0
  probeUntil: number | undefined
  passed = 0
  failed = 0
  calls: Array<{ readonly at: number; readonly failed: boolean; readonly slow: boolean }> = []
  readonly rules: Rules

  constructor(rules: Rules) {
    this.rules = rules
  }
  get isLate(): boolean {
    return this.state === "HALF_OPEN" && this.probeUntil !== undefined && this.now >= this.probeUntil
  }
  admit(): Admission | undefined {
    if (this.state === "ISOLATED") return undefined
    if (this.state === "CLOSED") return this.admission(false)
    if (this.isLate) this.opens(this.probeUntil!)
    if (this.state === "OPEN" && this.now < this.until) return undefined
    if (this.state === "OPEN") {
      this.move("HALF_OPEN")
      this.passed = 0
      this.failed = 0
    } else if (this.probeUntil !== undefined) return undefined
    this.probeUntil = this.now + this.rules.probeLimit
    this.era++
    return this.admission(true)
  }
  record({ era, startedAt }: Admission, outcome: Outcome): void {
    if (era !== this.era) return
    const { failureThreshold, probes, slowAfter, strategy, successes } = this.rules
    const slow = slowAfter !== undefined && this.now - startedAt >= slowAfter
    const failed = outcome === "fail"
    if (this.state === "HALF_OPEN") {
      if (this.isLate) return this.opens(this.probeUntil!)
      this.probeUntil = undefined
      this.era++
      if (outcome === "ignored") return
      if (failed || slow) this.failed++
      else this.passed++
      if (this.passed >= successes) {
        this.recoveredAt = this.now + this.openedFor
        this.move("CLOSED")
      } else if (this.failed > probes - successes) this.opens(this.now)
      return
    }
    if (outcome === "ignored") return
    this.calls.push({ at: this.now, failed, slow })
    const last = this.calls.slice(-failureThreshold)
    const isOver = strategy === "consecutive"
      ? last.length === failureThreshold && last.every((call) => call.failed)
      : this.isWindowOver()
    if (isOver) this.opens(this.now)
  }
  /** The calls that the strategy looks at. */
  get window(): { readonly calls: number; readonly failures: number; readonly slow: number } {
    const { bucket, strategy, windowSize } = this.rules
    const number = (at: number) => Math.floor(at / bucket)
    const counted = strategy === "ratio"
      ? this.calls.slice(-windowSize)
      : this.calls.filter(({ at }) => number(at) > number(this.now) - 10)
    return {
      calls: counted.length,
      failures: counted.filter(({ failed }) => failed).length,
      slow: counted.filter(({ slow }) => slow).length
    }
  }
  reset(): void {
    this.move("CLOSED")
    this.openings = 0
    this.recoveredAt = 0
  }
  isolate(): void {
    this.move("ISOLATED")
    this.openings = 0
  }
  /** What a breaker shows. A probe that took too long has opened the circuit, whether or not a call has come since. */
  get shown(): Breaker.State {
    return this.isLate ? "OPEN" : this.state
  }
  get shownOpenings(): number {
    return this.openings + (this.isLate ? 1 : 0)
  }
  private admission(isProbe: boolean): Admission {
    return { era: this.era, startedAt: this.now, isProbe }
  }
  private isWindowOver(): boolean {
    const { failureRatio, minimumCalls, slowAfter, slowRatio } = this.rules
    const { calls, failures, slow } = this.window
    if (calls < minimumCalls) return false
    return (failures > 0 && failures / calls >= failureRatio) ||
      (slowAfter !== undefined && slow > 0 && slow / calls >= slowRatio)
  }
  private opens(at: number): void {
    const { maxOpen, multiplier, open } = this.rules
    if (this.state === "CLOSED" && at >= this.recoveredAt) this.openings = 0
    this.openings++
    this.openedFor = Math.min(open * multiplier ** (this.openings - 1), Math.max(open, maxOpen))
    this.until = at + this.openedFor
    this.move("OPEN")
  }
  private move(to: Breaker.State): void {
    this.state = to
    this.era++
    this.calls = []
    this.probeUntil = undefined
  }
}

/** The policy that the rules describe, with a unit of time in milliseconds. */
export const policyOf = (rules: Rules, unit: number): BreakerPolicy.Options => {
  const time = (units: number) => `${units * unit} millis` as const
  return {
    strategy: rules.strategy,
    failureThreshold: rules.failureThreshold,
    failureRatio: rules.failureRatio,
    windowSize: rules.windowSize,
    windowDuration: time(rules.bucket * 10),
    minimumCalls: rules.minimumCalls,
    ...(rules.slowAfter === undefined
      ? undefined
      : { slowCallDuration: time(rules.slowAfter), slowCallRatio: rules.slowRatio }),
    openDuration: time(rules.open),
    maxOpenDuration: time(rules.maxOpen),
    openMultiplier: rules.multiplier,
    probes: rules.probes,
    probeSuccesses: rules.successes,
    probeTimeout: time(rules.probeLimit)
  }
}

/** Rules of circuits that open and close often. */
export const rules = (
  times: Pick<Rules, "bucket" | "probeLimit" | "maxOpen"> & { readonly open: ReadonlyArray<number> }
) =>
  fc.record({
    strategy: fc.constantFrom("consecutive" as const, "ratio" as const, "timeWindow" as const),
    failureThreshold: fc.integer({ min: 1, max: 3 }),
    failureRatio: fc.constantFrom(0.3, 0.5, 1),
    windowSize: fc.integer({ min: 1, max: 5 }),
    minimumCalls: fc.integer({ min: 1, max: 3 }),
    slow: fc.option(fc.constantFrom(1, 3), { nil: undefined }),
    slowRatio: fc.constantFrom(0.5, 1),
    open: fc.constantFrom(...times.open),
    multiplier: fc.constantFrom(1, 2, 3),
    probes: fc.integer({ min: 1, max: 4 }),
    successes: fc.integer({ min: 1, max: 4 })
  }).map(({ minimumCalls, probes, slow, successes, ...rest }): Rules => ({
    ...rest,
    ...times,
    open: rest.open,
    probes,
    successes: Math.min(successes, probes),
    minimumCalls: rest.strategy === "ratio" ? Math.min(minimumCalls, rest.windowSize) : minimumCalls,
    slowAfter: rest.strategy === "consecutive" ? undefined : slow
  }))

/** One step: a call that ends at once, a call left running, the end of one, time, a reset, an isolation. */
export type Step =
  | { readonly _tag: "call"; readonly how: Outcome }
  | { readonly _tag: "start" }
  | { readonly _tag: "end"; readonly index: number; readonly how: Outcome | "interrupt" }
  | { readonly _tag: "wait"; readonly units: number }
  | { readonly _tag: "reset" }
  | { readonly _tag: "isolate" }

const how = fc.constantFrom("ok" as const, "ok" as const, "fail" as const, "fail" as const, "ignored" as const)

export const step = (longest: number): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 7, arbitrary: fc.record({ _tag: fc.constant("call" as const), how }) },
    { weight: 3, arbitrary: fc.record({ _tag: fc.constant("start" as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        _tag: fc.constant("end" as const),
        index: fc.nat(5),
        how: fc.oneof(how, fc.constant("interrupt" as const))
      })
    },
    {
      weight: 4,
      arbitrary: fc.record({
        _tag: fc.constant("wait" as const),
        units: fc.oneof(fc.integer({ min: 1, max: longest }), fc.constantFrom(1, 2, 9, 10))
      })
    },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("reset" as const, "isolate" as const) }) }
  )
