import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Admission, Answer, Caller, Rejection } from "../../BreakerStore.ts"
import { nowOf } from "./circuit.ts"
import type { CircuitOpen } from "./circuitOpen.ts"
import { ignored, type Outcome } from "./effectBreaker.ts"
import { longestMillis } from "./openFor.ts"
import { admitted, type CircuitRecord } from "./record.ts"

/** A half-open circuit checks the lease of its probe at each rejection whose number is a multiple of this. */
const checkedProbe = 100

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

/** What a store answers, as an effect. */
export const answered = <A>(answer: Answer<A>): Effect.Effect<A, Error> =>
  Effect.isEffect(answer) ? answer : Effect.succeed(answer)

/**
 * Runs a call between a store's `admit` and `record`.
 *
 * A call through a closed circuit in memory gets only two continuations and no finalizer, since an interrupted call has nothing
 * to record there. A call that is a probe, or whose store is elsewhere, is admitted and recorded
 * where it cannot be interrupted, so that every admission is recorded.
 */
export const executeCall = <A, E, R>(
  record: CircuitRecord,
  self: Effect.Effect<A, E, R>,
  classify: Classify<A, E>
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.withFiber((fiber): Effect.Effect<A, E | CircuitOpen, R> => {
    record.calls++
    const { policy, store } = record.kind
    const answer = store.answer?.(record.name, policy, fiber)
    if (answer === undefined) return guarded(record, fiber, self, classify)
    if (typeof answer !== "number") return Effect.fail(record.reject(answer))
    const { resets } = record
    const startedAt = policy.slowCallDuration === undefined ? 0 : nowOf(fiber)
    return Effect.matchCauseEffect(self, {
      onSuccess: (value) => settle(record, answer, resets, startedAt, fiber, Exit.succeed(value), classify),
      onFailure: (cause) => settle(record, answer, resets, startedAt, fiber, Exit.failCause(cause), classify)
    })
  })

/** Throws for a value that is not an outcome. A `classify` in JavaScript may return one. */
const checked = (outcome: Outcome): Outcome => {
  const { _tag } = outcome
  if (_tag === "Success" || _tag === "Failure" || _tag === "Ignored") return outcome
  throw new TypeError("classify must return an outcome")
}

/** Records an outcome, and ends as the call did. If `classify` throws, the call dies, and its outcome is ignored. */
const settle = <A, E>(
  record: CircuitRecord,
  generation: number,
  resets: number,
  startedAt: number,
  caller: Caller,
  exit: Exit.Exit<A, E>,
  classify: Classify<A, E>
): Effect.Effect<A, E> => {
  const { policy, store } = record.kind
  let outcome = ignored
  let end = exit
  if (exit._tag === "Success" || !Cause.hasInterruptsOnly(exit.cause)) {
    try {
      outcome = checked(classify(exit))
    } catch (thrown) {
      const defect = Cause.die(thrown)
      end = Exit.failCause(exit._tag === "Failure" ? Cause.combine(exit.cause, defect) : defect)
    }
  }
  const isSlow = policy.slowCallDuration !== undefined &&
    nowOf(caller) - startedAt >= Duration.toMillis(policy.slowCallDuration)
  record.note(outcome._tag, isSlow, resets)
  const answer = store.record({
    key: record.name,
    policy,
    generation,
    outcome: outcome._tag,
    isSlow,
    retryAfter: outcome._tag === "Failure" ? outcome.retryAfter : undefined
  }, caller)
  if (Array.isArray(answer)) {
    const publish = record.moved(answer)
    return publish === undefined ? end : Effect.andThen(publish, end)
  }
  return Effect.matchCauseEffect(answered(answer), {
    onSuccess: (transitions) => Effect.andThen(record.moved(transitions) ?? Effect.void, end),
    onFailure: () => Effect.andThen(Effect.logDebug("Could not record the outcome of a call in the breaker store"), end)
  })
}

/** Runs a call that must be recorded, whatever happens to its fiber. */
const guarded = <A, E, R>(
  record: CircuitRecord,
  caller: Caller,
  self: Effect.Effect<A, E, R>,
  classify: Classify<A, E>
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.uninterruptibleMask((restore) => {
    const { policy, store } = record.kind
    const run = (answer: Admission | Rejection): Effect.Effect<A, E | CircuitOpen, R> => {
      if (answer._tag === "Rejected") return reject(record, answer)
      const publish = admitted(record, answer, () => nowOf(caller))
      const { resets } = record
      const startedAt = policy.slowCallDuration === undefined ? 0 : nowOf(caller)
      const { generation, release } = answer
      const call = Effect.flatMap(Effect.exit(restore(self)), (exit) => {
        const settled = Effect.suspend(() => settle(record, generation, resets, startedAt, caller, exit, classify))
        return release === undefined ? settled : Effect.onExit(settled, () => release)
      })
      return publish === undefined ? call : Effect.andThen(publish, call)
    }
    const answer = store.admit(record.name, policy, caller)
    if (!Effect.isEffect(answer)) return run(answer)
    return Effect.matchEffect(answer, {
      // A failing store rejects no calls. The stores of this package never fail.
      onFailure: (): Effect.Effect<A, E | CircuitOpen, R> => restore(self),
      onSuccess: run
    })
  })

/**
 * Fails with a rejection by a store that other processes write. If the rejection lasts longer than the policy allows, the store
 * shortens it. The lease of a probe is not part of a rejection, so it is checked at every hundredth rejection.
 */
const reject = (record: CircuitRecord, rejection: Rejection): Effect.Effect<never, CircuitOpen> => {
  const { policy, store } = record.kind
  const { retryAfterMillis, state } = rejection
  const publish = record.moved(rejection.transitions) ?? Effect.void
  if (state === "ISOLATED" || store.hold === undefined) {
    return Effect.andThen(publish, Effect.fail(record.reject(rejection)))
  }
  // Rounded up, since stores return whole milliseconds.
  const longest = Math.ceil(longestMillis(policy))
  const isSane = state === "OPEN"
    ? retryAfterMillis > 0 && retryAfterMillis <= longest
    : (record.rejections + 1) % checkedProbe !== 0
  if (isSane) return Effect.andThen(publish, Effect.fail(record.reject(rejection)))
  const held = state === "OPEN" ? { ...rejection, retryAfterMillis: longest } : rejection
  return Effect.andThen(store.hold(record.name, Duration.millis(longest)), Effect.fail(record.reject(held)))
}
