/**
 * The state machine of one circuit in this process. `redisScripts` implements the same rules in Redis; one model tests both.
 *
 * Everything is synchronous. A healthy circuit reads no clock and allocates nothing for a call.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Random from "effect/Random"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { Admission, Caller, CircuitState, Rejection, StoreRequest, Transition } from "../../BreakerStore.ts"
import { askedMillis, jitterOf, openMillis } from "./openFor.ts"
import type { State } from "./snapshot.ts"
import { countsAt, isOver, type Window, windowOf } from "./window.ts"

/** The monotonic time of a caller, in whole milliseconds. */
export const nowOf = (caller: Caller): number =>
  Math.floor(Number(caller.getRef(Clock.Clock).monotonicTimeNanosUnsafe()) / 1_000_000)

/** Returns a random number from 0 to 1, for jitter. */
export const randomOf = (caller: Caller) => (): number => caller.getRef(Random.Random).nextDoubleUnsafe()

/** How long a circuit without calls is remembered, in milliseconds. */
export const idleMillis = 3_600_000

/** What a circuit needs to remember once it has opened. */
interface Openings {
  /** When an open circuit admits a probe, or when the running probe must have ended. */
  until: number
  /** How often it opened without having recovered. */
  count: number
  /** How long it was last open for. */
  millis: number
  /** When a circuit that closed has recovered. */
  recoveredAt: number
  isProbing: boolean
  /** The probes of this half-open period that succeeded and failed. */
  passed: number
  failed: number
}

/** The number of probes that must succeed. */
export const neededOf = (policy: BreakerPolicy): number => policy.probeSuccesses ?? policy.probes

export class Circuit {
  state: State = "CLOSED"
  generation: number
  /** Whether it was called since idle circuits were last removed. */
  isActive = true
  #streak = 0
  /** When a call was last counted, for windows and failures in a row. */
  #countedAt = 0
  #window: Window | undefined = undefined
  #openings: Openings | undefined = undefined
  readonly #nextGeneration: () => number

  constructor(nextGeneration: () => number) {
    this.#nextGeneration = nextGeneration
    this.generation = nextGeneration()
  }

  /** Rejects a call that `admit` would reject without a change of state. */
  rejection(policy: BreakerPolicy, caller: Caller): Rejection | undefined {
    if (this.state === "ISOLATED") return isolated(policy)
    const openings = this.#openings
    if (openings === undefined || this.state === "CLOSED") return undefined
    const left = openings.until - nowOf(caller)
    if (left <= 0) return undefined
    if (this.state === "OPEN") return { _tag: "Rejected", state: "OPEN", retryAfterMillis: left }
    return openings.isProbing ? probing : undefined
  }

  admit(policy: BreakerPolicy, caller: Caller): Admission | Rejection {
    this.isActive = true
    if (this.state === "CLOSED") return { _tag: "Admitted", generation: this.generation, isProbe: false }
    const rejected = this.rejection(policy, caller)
    if (rejected !== undefined) return rejected
    const now = nowOf(caller)
    const late = this.#endLateProbe(policy, caller, now)
    const openings = this.#openings!
    if (this.state === "OPEN" && now < openings.until) {
      return { _tag: "Rejected", state: "OPEN", retryAfterMillis: openings.until - now, transitions: late }
    }
    const transitions = this.state === "OPEN" ? [...late, this.#move("HALF_OPEN")] : late
    if (transitions.length > 0) {
      openings.passed = 0
      openings.failed = 0
    }
    openings.isProbing = true
    openings.until = now + Duration.toMillis(policy.probeTimeout)
    this.generation = this.#nextGeneration()
    return { _tag: "Admitted", generation: this.generation, isProbe: true, transitions }
  }

  /** Records the outcome of a call. One that was admitted before the last change of state changes nothing. */
  record(request: StoreRequest, caller: Caller): ReadonlyArray<Transition> {
    if (request.generation !== this.generation) return none
    if (this.state === "CLOSED") return this.#recordClosed(request, caller)
    return this.state === "HALF_OPEN" ? this.#recordProbe(request, caller) : none
  }

  /** The state at a moment: a probe that took too long has opened the circuit, whether or not a call has come since. */
  view(policy: BreakerPolicy, caller: Caller): CircuitState {
    const openings = this.#openings
    const now = nowOf(caller)
    const isLate = this.state === "HALF_OPEN" && openings!.isProbing && now >= openings!.until
    const isProbed = this.state === "HALF_OPEN" && !isLate
    return {
      state: isLate ? "OPEN" : this.state,
      openings: (openings?.count ?? 0) + (isLate ? 1 : 0),
      passedProbes: isProbed ? openings!.passed : 0,
      failedProbes: isProbed ? openings!.failed : 0,
      window: this.#window === undefined || this.state !== "CLOSED" || policy.strategy === "consecutive"
        ? undefined
        : countsAt(this.#window, now)
    }
  }

  /** Closes the circuit and forgets what was recorded, or isolates it. */
  set(state: "CLOSED" | "ISOLATED"): Transition | undefined {
    const transition = this.state === state ? undefined : this.#move(state)
    this.generation = this.#nextGeneration()
    this.#openings = undefined
    this.#forget()
    return transition
  }

  /** Whether a circuit that is not active can be forgotten. */
  isIdle(now: number): boolean {
    if (this.state === "CLOSED") return true
    return this.state !== "ISOLATED" && now - this.#openings!.until >= idleMillis
  }

  #recordClosed({ isSlow, outcome, policy, retryAfter }: StoreRequest, caller: Caller): ReadonlyArray<Transition> {
    if (outcome === "Ignored") return none
    if (policy.strategy === "consecutive" && outcome === "Success") {
      this.#streak = 0
      return none
    }
    const now = nowOf(caller)
    if (now - this.#countedAt >= idleMillis) this.#forget()
    this.#countedAt = now
    if (policy.strategy === "consecutive") {
      this.#streak++
      if (this.#streak < policy.failureThreshold) return none
    } else {
      const window = windowOf(policy, this.#window)!
      this.#window = window
      window.add(outcome === "Failure", isSlow === true, now)
      if (!isOver(policy, window)) return none
    }
    return [this.#open(policy, caller, now, askedMillis(policy, retryAfter))]
  }

  #recordProbe({ isSlow, outcome, policy, retryAfter }: StoreRequest, caller: Caller): ReadonlyArray<Transition> {
    const now = nowOf(caller)
    const late = this.#endLateProbe(policy, caller, now)
    if (late.length > 0) return late
    const openings = this.#openings!
    openings.isProbing = false
    this.generation = this.#nextGeneration()
    if (outcome === "Ignored") return none
    if (outcome === "Failure" || isSlow === true) openings.failed++
    else openings.passed++
    if (openings.passed >= neededOf(policy)) {
      openings.recoveredAt = now + openings.millis
      return [this.#move("CLOSED")]
    }
    return openings.failed > policy.probes - neededOf(policy)
      ? [this.#open(policy, caller, now, askedMillis(policy, retryAfter))]
      : none
  }

  /** Opens the circuit if its probe took too long, as of the moment when the probe should have ended. */
  #endLateProbe(policy: BreakerPolicy, caller: Caller, now: number): ReadonlyArray<Transition> {
    const openings = this.#openings
    if (this.state !== "HALF_OPEN" || openings?.isProbing !== true || now < openings.until) return none
    return [this.#open(policy, caller, openings.until, 0)]
  }

  #open(policy: BreakerPolicy, caller: Caller, at: number, asked: number): Transition {
    const openings = this.#openings ??= {
      until: 0,
      count: 0,
      millis: 0,
      recoveredAt: 0,
      isProbing: false,
      passed: 0,
      failed: 0
    }
    if (this.state === "CLOSED" && at >= openings.recoveredAt) openings.count = 0
    openings.count++
    openings.millis = openMillis(policy, openings.count, asked, jitterOf(policy, randomOf(caller)))
    openings.until = at + openings.millis
    openings.isProbing = false
    return this.#move("OPEN")
  }

  #move(to: State): Transition {
    const from = this.state
    this.state = to
    this.generation = this.#nextGeneration()
    this.#forget()
    return { from, to }
  }

  #forget(): void {
    this.#streak = 0
    this.#window = undefined
  }
}

const none: ReadonlyArray<Transition> = []

const probing: Rejection = { _tag: "Rejected", state: "HALF_OPEN", retryAfterMillis: 0 }

/** The rejection by an isolated circuit. The time of its reset is not known, so callers retry after the open duration. */
export const isolated = (policy: BreakerPolicy): Rejection => ({
  _tag: "Rejected",
  state: "ISOLATED",
  retryAfterMillis: Duration.toMillis(policy.openDuration)
})
