import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { BreakerStore, HeldAdmission, Rejection } from "../../BreakerStore.ts"
import type { CircuitOpen } from "./circuitOpen.ts"
import { type BreakerError, consecutive, ignored, type Outcome, rate, type Transition } from "./effectBreaker.ts"
import type { Recorder } from "./record.ts"

/** A policy in the form that Effect's stores take. */
export const toTripPolicy = (policy: BreakerPolicy) =>
  policy.strategy === "consecutive"
    ? consecutive(policy.failureThreshold)
    : rate({ threshold: policy.failureRatio, size: policy.windowSize, minimumCalls: policy.minimumCalls })

/** After how many rejections in a row for a probe its lease is checked. */
const checkedProbe = 100

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

/**
 * Runs a call between a store's `admit` and `record`, as Effect's breaker does. It creates no scope, generator or schedule
 * for a call, which take most of the time of a successful call through Effect's breaker.
 *
 * An interrupted call is recorded as ignored, so that another probe is admitted.
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
        onFailure: () =>
          Effect.andThen(Effect.logDebug("Could not record the outcome of a call in the breaker store"), done)
      }
    )
  }

  const longest = Duration.max(policy.openDuration, policy.maxOpenDuration)
  const longestMillis = Duration.toMillis(longest)
  /** Rejections in a row by a probe that runs elsewhere. */
  let probing = 0

  /**
   * Fails with a rejection by a store that other processes write. If it makes no sense for the policy, the circuit is held to
   * the policy; the lease of a probe cannot be seen from here, and is checked now and then.
   */
  const reject = (rejection: Rejection): Effect.Effect<never, CircuitOpen> => {
    const { retryAfterMillis, state } = rejection
    probing = state === "OPEN" ? 0 : probing + 1
    const isSane = state === "OPEN"
      ? retryAfterMillis > 0 && retryAfterMillis <= longestMillis
      : probing % checkedProbe !== 0
    if (isSane || store.hold === undefined) return Effect.fail(recorder.reject(rejection))
    const held = state === "OPEN" ? { state, retryAfterMillis: longestMillis } : rejection
    return Effect.andThen(store.hold(name, longest), Effect.fail(recorder.reject(held)))
  }

  const guarded = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    classify: Classify<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R> =>
    Effect.uninterruptibleMask((restore) => {
      return Effect.matchEffect(store.admit(name), {
        // A failing store rejects no calls. The stores of this package never fail.
        onFailure: ({ reason }): Effect.Effect<A, E | CircuitOpen, R> =>
          reason._tag === "CircuitBreakerStoreError"
            ? restore(self)
            : reject(rejectionOf(reason)),
        onSuccess: (admission) => {
          const { resets } = recorder.totals
          const run = Effect.flatMap(Effect.exit(restore(self)), (exit) => settle(admission, exit, classify, resets))
          return admission.transition === undefined ? run : Effect.andThen(publish(admission.transition), run)
        }
      })
    })
  return <A, E, R>(self: Effect.Effect<A, E, R>, classify: Classify<A, E>): Effect.Effect<A, E | CircuitOpen, R> =>
    Effect.withFiber((fiber): Effect.Effect<A, E | CircuitOpen, R> => {
      recorder.totals.calls++
      const rejection = store.rejection?.(name, fiber.getRef(Clock.Clock))
      return rejection === undefined ? guarded(self, classify) : Effect.fail(recorder.reject(rejection))
    })
}

const rejectionOf = (reason: Exclude<BreakerError["reason"], { _tag: "CircuitBreakerStoreError" }>): Rejection =>
  reason._tag === "CircuitOpen"
    ? { state: "OPEN", retryAfterMillis: Duration.toMillis(reason.retryAfter) }
    : { state: "HALF_OPEN", retryAfterMillis: 0 }

/** The outcome to record. If `classify` throws, the outcome is ignored and the call dies with what was thrown. */
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
