import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { BreakerStore, HeldAdmission } from "../../BreakerStore.ts"
import type { CircuitOpen } from "../../CircuitOpen.ts"
import { consecutive, ignored, type Outcome, rate, type Transition } from "./effectBreaker.ts"
import type { Recorder } from "./record.ts"

/** The policy in the terms of Effect's stores. */
export const toTripPolicy = (policy: BreakerPolicy) =>
  policy.strategy === "consecutive"
    ? consecutive(policy.failureThreshold)
    : rate({ threshold: policy.failureRatio, size: policy.windowSize, minimumCalls: policy.minimumCalls })

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

/**
 * Runs a call between a store's `admit` and `record`, as Effect's breaker does. The state machine is the store's; this
 * makes no scope, no generator and no schedule for a call, which took most of the time of one that succeeds.
 *
 * A call that is only interrupted is recorded as ignored, which frees the place of a probe.
 */
export const makeExecuteCall = (
  name: string,
  policy: BreakerPolicy,
  store: BreakerStore["Service"],
  recorder: Recorder,
  transitions: PubSub.PubSub<Transition>
) => {
  const tripPolicy = toTripPolicy(policy)

  const publish = (transition: Transition): Effect.Effect<void> => {
    recorder.moved(transition)
    return Effect.asVoid(PubSub.publish(transitions, transition))
  }

  const openFor = (outcome: Outcome): Duration.Duration =>
    outcome._tag === "Failure" && outcome.retryAfter !== undefined
      ? Duration.max(policy.openDuration, Duration.min(outcome.retryAfter, policy.maxOpenDuration))
      : policy.openDuration

  const settle = <A, E>(
    { generation, release }: HeldAdmission,
    exit: Exit.Exit<A, E>,
    classify: Classify<A, E>,
    resets: number
  ): Effect.Effect<A, E> => {
    const { defect, outcome } = judge(exit, classify)
    recorder.note(outcome, resets)
    const end: Effect.Effect<A, E> = defect === undefined ? exit : Effect.failCause(defect)
    const done = release === undefined ? end : Effect.andThen(release, end)
    return Effect.matchCauseEffect(
      store.record({ key: name, generation, outcome: outcome._tag, tripPolicy, openFor: openFor(outcome) }),
      {
        onSuccess: (transition) => transition === undefined ? done : Effect.andThen(publish(transition), done),
        onFailure: () => Effect.andThen(Effect.logDebug("A breaker's outcome could not be recorded"), done)
      }
    )
  }

  return <A, E, R>(self: Effect.Effect<A, E, R>, classify: Classify<A, E>): Effect.Effect<A, E | CircuitOpen, R> =>
    Effect.uninterruptibleMask((restore) => {
      recorder.totals.calls++
      return Effect.matchEffect(store.admit(name), {
        // A store that fails locks nobody out. The stores of this package never fail.
        onFailure: (error): Effect.Effect<A, E | CircuitOpen, R> =>
          error.reason._tag === "CircuitBreakerStoreError" ? restore(self) : Effect.fail(recorder.reject(error)),
        onSuccess: (admission) => {
          const { resets } = recorder.totals
          const run = Effect.flatMap(Effect.exit(restore(self)), (exit) => settle(admission, exit, classify, resets))
          return admission.transition === undefined ? run : Effect.andThen(publish(admission.transition), run)
        }
      })
    })
}

/** What to record; a classification that throws says nothing of the service and is the call's own defect. */
const judge = <A, E>(
  exit: Exit.Exit<A, E>,
  classify: Classify<A, E>
): { readonly outcome: Outcome; readonly defect?: Cause.Cause<E> } => {
  if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return { outcome: ignored }
  try {
    return { outcome: classify(exit) }
  } catch (thrown) {
    const defect = Cause.die(thrown)
    return { outcome: ignored, defect: Exit.isFailure(exit) ? Cause.combine(exit.cause, defect) : defect }
  }
}
