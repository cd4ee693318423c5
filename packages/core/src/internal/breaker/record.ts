import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as PubSub from "effect/PubSub"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { Admission, BreakerStore, CircuitState, Rejection, StoreRequest, Transition } from "../../BreakerStore.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as SharedError from "../../unstable/SharedError.ts"
import { CircuitOpen } from "./circuitOpen.ts"
import type { Snapshot, State } from "./snapshot.ts"

type Store = BreakerStore["Service"]

/** What breakers of one policy in one store share. */
export interface Kind {
  readonly policy: BreakerPolicy
  readonly store: Store
}

/** The kinds of each store. Breakers of equal policies share the policy, which is larger than a breaker. */
const kinds = new WeakMap<Store, Array<Kind>>()

/** The most kinds that a store remembers. */
const mostKinds = 64

export const kindOf = (store: Store, policy: BreakerPolicy): Kind => {
  const known = kinds.get(store) ?? []
  kinds.set(store, known)
  const equal = known.find((kind) => Equal.equals(kind.policy, policy))
  if (equal !== undefined) return equal
  const kind = { policy, store }
  if (known.length < mostKinds) known.push(kind)
  return kind
}

/** What few circuits need: those that opened, and those whose transitions somebody follows. */
interface Rare {
  readonly moves: Map<string, number>
  probes: number
  /** The monotonic millisecond at which the last probe of this process must have ended. */
  probeUntil: number
  /** The error of the last rejection. Calls that are rejected within the same millisecond share it. */
  last: { readonly state: State; readonly millis: number; readonly error: CircuitOpen } | undefined
  followers: PubSub.PubSub<Transition> | undefined
}

const rejected = (server: string, { retryAfterMillis, state }: Rejection): CircuitOpen =>
  SharedError.make(() => new CircuitOpen({ server, state, retryAfter: Duration.millis(retryAfterMillis) }))

/** The counts of a circuit in this process, in plain fields that are read when metrics are read. */
export class CircuitRecord implements MetricSeries.Member {
  readonly name: string
  readonly kind: Kind
  calls = 0
  successes = 0
  rejections = 0
  slow = 0
  /** Failures in a row. */
  streak = 0
  resets = 0
  /** The last known state of the store. */
  state: State = "CLOSED"
  #isClosed = false
  #rare: Rare | undefined = undefined

  constructor(name: string, kind: Kind) {
    this.name = name
    this.kind = kind
  }

  get #kept(): Rare {
    return this.#rare ??= { moves: new Map(), probes: 0, probeUntil: 0, last: undefined, followers: undefined }
  }
  get probes(): number {
    return this.#rare?.probes ?? 0
  }

  /** The number of changes between two states. */
  moves(from: State, to: State): number {
    return this.#rare?.moves.get(`${from} ${to}`) ?? 0
  }

  /** The state for metrics: a probe of this process that took too long has opened the circuit. */
  stateAt(context: Context.Context<never>): State {
    const until = this.#rare?.probeUntil ?? 0
    const now = Number(Context.get(context, Clock.Clock).monotonicTimeNanosUnsafe()) / 1_000_000
    return this.state === "HALF_OPEN" && until > 0 && now >= until ? "OPEN" : this.state
  }

  /** Counts changes of state by this process, and publishes them to those who follow them. */
  moved(transitions: ReadonlyArray<Transition> | undefined): Effect.Effect<unknown> | undefined {
    if (transitions === undefined || transitions.length === 0) return undefined
    const kept = this.#kept
    for (const { from, to } of transitions) {
      kept.moves.set(`${from} ${to}`, (kept.moves.get(`${from} ${to}`) ?? 0) + 1)
      this.state = to
    }
    return kept.followers === undefined ? undefined : PubSub.publishAll(kept.followers, transitions)
  }

  /** Counts an admitted probe, which must end at a monotonic millisecond. */
  probed(until: number): void {
    this.#kept.probes++
    this.#kept.probeUntil = until
    this.state = "HALF_OPEN"
  }

  /** Counts the outcome of a call. A call that was running at a reset does not count as a failure in a row. */
  note(outcome: StoreRequest["outcome"], isSlow: boolean, resets: number): void {
    if (outcome === "Success") this.successes++
    if (isSlow && outcome !== "Ignored") this.slow++
    if (outcome === "Ignored" || resets !== this.resets) return
    this.streak = outcome === "Failure" ? this.streak + 1 : 0
  }

  reject(rejection: Rejection): CircuitOpen {
    this.rejections++
    this.state = rejection.state
    const kept = this.#kept
    if (kept.last?.state !== rejection.state || kept.last.millis !== rejection.retryAfterMillis) {
      kept.last = {
        state: rejection.state,
        millis: rejection.retryAfterMillis,
        error: rejected(this.name, rejection)
      }
    }
    return kept.last.error
  }

  snapshot({ failedProbes: failed, openings, passedProbes: passed, state, window }: CircuitState): Snapshot {
    const { policy } = this.kind
    return {
      state,
      failureCount: this.streak,
      failureThreshold: policy.strategy === "consecutive" ? policy.failureThreshold : policy.failureRatio,
      totalCalls: this.calls,
      successCount: this.successes,
      rejectedCount: this.rejections,
      openDuration: policy.openDuration,
      ...(policy.slowCallDuration === undefined ? undefined : { slowCount: this.slow }),
      ...(policy.strategy === "consecutive" || state !== "CLOSED"
        ? undefined
        : { window: window ?? { calls: 0, failures: 0, slow: 0 } }),
      ...(policy.openMultiplier === 1 ? undefined : { openings }),
      ...(policy.probes === 1 || state !== "HALF_OPEN" ? undefined : { probes: { passed, failed } })
    }
  }

  reset(): void {
    this.resets++
    this.streak = 0
    this.state = "CLOSED"
  }

  /** The changes from now on; `undefined` once the breaker's scope has closed. */
  get followed(): Effect.Effect<PubSub.PubSub<Transition> | undefined> {
    return Effect.suspend(() => {
      if (this.#isClosed) return Effect.succeed(undefined)
      const { followers } = this.#kept
      return followers === undefined
        ? Effect.map(PubSub.sliding<Transition>(128), (made) => this.#kept.followers ??= made)
        : Effect.succeed(followers)
    })
  }

  get leave(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isClosed = true
      const followers = this.#rare?.followers
      return followers === undefined ? Effect.void : PubSub.shutdown(followers)
    })
  }
}

const gauge = { CLOSED: 0, OPEN: 1, HALF_OPEN: 2, ISOLATED: 3 } as const

/** The changes of state that a call can cause, and those by an operator, which few circuits have. */
const changes: ReadonlyArray<readonly [from: State, to: State, isSparse: boolean]> = [
  ["CLOSED", "OPEN", false],
  ["OPEN", "HALF_OPEN", false],
  ["HALF_OPEN", "OPEN", false],
  ["HALF_OPEN", "CLOSED", false],
  ["OPEN", "CLOSED", true],
  ["CLOSED", "ISOLATED", true],
  ["OPEN", "ISOLATED", true],
  ["HALF_OPEN", "ISOLATED", true],
  ["ISOLATED", "CLOSED", true]
]

/** Shows the metrics of a circuit while the scope is open. */
export const showMetrics = MetricSeries.makeGroup<CircuitRecord>([
  { metric: "circuitBreakerState", read: (record, context) => gauge[record.stateAt(context)] },
  { metric: "circuitBreakerCalls", read: (record) => record.calls },
  { metric: "circuitBreakerRejections", read: (record) => record.rejections },
  { metric: "circuitBreakerSlowCalls", read: (record) => record.slow, isSparse: true },
  { metric: "circuitBreakerProbes", read: (record) => record.probes, isSparse: true },
  ...changes.map(([from, to, isSparse]) => ({
    metric: "circuitBreakerTransitions" as const,
    labels: { from, to },
    read: (record: CircuitRecord) => record.moves(from, to),
    isSparse
  }))
])

/** Counts what an admission caused. */
export const admitted = (record: CircuitRecord, { isProbe, transitions }: Admission, now: () => number) => {
  const publish = record.moved(transitions)
  if (isProbe) record.probed(now() + Duration.toMillis(record.kind.policy.probeTimeout))
  return publish
}
