import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { Rejection } from "../../BreakerStore.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as SharedError from "../../unstable/SharedError.ts"
import { CircuitOpen } from "./circuitOpen.ts"
import type { Outcome, Transition } from "./effectBreaker.ts"
import type { Snapshot, State } from "./snapshot.ts"

const gauge = { CLOSED: 0, OPEN: 1, HALF_OPEN: 2 } as const
/** The names of the states of Effect's breaker. */
export const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN" } as const

/** The possible changes of state. */
const changes = [["CLOSED", "OPEN"], ["OPEN", "HALF_OPEN"], ["HALF_OPEN", "OPEN"], ["HALF_OPEN", "CLOSED"]] as const

const rejected = (server: string, { retryAfterMillis, state }: Rejection): CircuitOpen =>
  SharedError.make(() => new CircuitOpen({ server, state, retryAfter: Duration.millis(retryAfterMillis) }))

/** Counts of a circuit in this process, in plain fields that are read when metrics are read. */
export const makeRecord = Effect.fnUntraced(function*(
  name: string,
  policy: BreakerPolicy
): Effect.fn.Return<Recorder, never, Scope.Scope> {
  const totals = { calls: 0, successes: 0, rejected: 0, streak: 0, resets: 0 }
  const moves = new Map<string, number>()
  let state: State = "CLOSED"
  /** The error of the last rejection. Calls that are rejected within the same millisecond share it. */
  let last: { readonly state: State; readonly millis: number; readonly error: CircuitOpen } | undefined
  const seen = (next: State): State => state = next
  const moved = (transition: Transition): void => {
    const change = `${states[transition.from]} ${seen(states[transition.to])}`
    moves.set(change, (moves.get(change) ?? 0) + 1)
  }
  yield* MetricSeries.register("circuitBreakerState", { server: name }, () => gauge[state])
  yield* MetricSeries.register("circuitBreakerCalls", { server: name }, () => totals.calls)
  yield* MetricSeries.register("circuitBreakerRejections", { server: name }, () => totals.rejected)
  for (const [from, to] of changes) {
    yield* MetricSeries.register(
      "circuitBreakerTransitions",
      { server: name, from, to },
      () => moves.get(`${from} ${to}`) ?? 0
    )
  }
  return {
    totals,
    seen,
    moved,
    note(outcome, resets) {
      if (outcome._tag === "Success") totals.successes++
      if (outcome._tag === "Ignored" || resets !== totals.resets) return
      totals.streak = outcome._tag === "Failure" ? totals.streak + 1 : 0
    },
    reject(rejection) {
      totals.rejected++
      state = rejection.state
      if (last?.state !== state || last.millis !== rejection.retryAfterMillis) {
        last = { state, millis: rejection.retryAfterMillis, error: rejected(name, rejection) }
      }
      return last.error
    },
    snapshot: (current) => ({
      state: current,
      failureCount: totals.streak,
      failureThreshold: policy.strategy === "ratio" ? policy.failureRatio : policy.failureThreshold,
      totalCalls: totals.calls,
      successCount: totals.successes,
      rejectedCount: totals.rejected,
      openDuration: policy.openDuration
    }),
    reset() {
      totals.resets++
      totals.streak = 0
      seen("CLOSED")
    }
  }
})

export interface Recorder {
  readonly totals: { calls: number; successes: number; rejected: number; streak: number; resets: number }
  /** Sets the last known state of the store. */
  readonly seen: (state: State) => State
  /** Counts a change of state by this process. */
  readonly moved: (transition: Transition) => void
  /** Counts the outcome of a call. A call that was running at a reset does not count as a failure in a row. */
  readonly note: (outcome: Outcome, resets: number) => void
  readonly reject: (rejection: Rejection) => CircuitOpen
  readonly snapshot: (state: State) => Snapshot
  readonly reset: () => void
}
