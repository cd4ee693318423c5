/**
 * The order of the parts around a call. This is the only place that has it:
 *
 * `deadline > throttle > hedge > breaker > bulkhead > limit > retry > attempt`
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Scope from "effect/Scope"
import type { BreakerStore } from "../../BreakerStore.ts"
import { CurrentDeadline } from "../../Deadline.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import type { CallOptions, Failure, Resilience } from "../../Resilience.ts"
import type { ResiliencePolicy } from "../../ResiliencePolicy.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { sooner } from "../retry/deadline.ts"
import type { Gate } from "../retry/gate.ts"
import { wrapHttp } from "../retry/httpAttempt.ts"
import { limitAttempt } from "../retry/limitAttempt.ts"
import { type LoopOptions, retryLoop } from "../retry/retryLoop.ts"
import type { Throttled } from "../retry/throttled.ts"
import { throttledCall } from "../retry/throttledCall.ts"
import { type Checked, type Keep, makeHedge, makeParts, makeRetry, type Parts } from "./parts.ts"

/** What the parts are told of a call. */
export type Telling<A, E> = Pick<CallOptions<A, E>, "bulkheadKey" | "classify" | "ignore" | "priority">

/** Runs a call under the parts that each called service has: `breaker > bulkhead > limit > retry > attempt`. */
export type Inner = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  loop: LoopOptions<E, never>,
  options: Telling<A, E> | undefined
) => Effect.Effect<A, Failure<E>, R>

export const makeInner = (
  { attemptTimeout, deadline, detach }: ResiliencePolicy,
  { breaker, bulkhead, gate, limit, retry }: Parts
): Inner => {
  const limits = {
    detach,
    ...(attemptTimeout === undefined ? undefined : { attemptTimeout }),
    ...(deadline === undefined ? undefined : { deadline })
  }
  const once = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(CurrentDeadline, (until) => limitAttempt(self, limits, until, ignore))
  const attempts = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    loop: LoopOptions<E, never>
  ): Effect.Effect<A, Failure<E>, R> => {
    if (retry === undefined) return once(gate === undefined ? self : throttledCall(self, gate, loop))
    const gated: LoopOptions<E, never, Throttled> = gate === undefined ? loop : { ...loop, gate }
    return retryLoop(self, retry, gated)
  }
  return <A, E, R>(
    self: Effect.Effect<A, E, R>,
    loop: LoopOptions<E, never>,
    options: Telling<A, E> | undefined
  ): Effect.Effect<A, Failure<E>, R> => {
    let call: Effect.Effect<A, Failure<E>, R> = attempts(self, loop)
    if (limit !== undefined) {
      const priority = options?.priority
      call = limit.execute(call, priority === undefined ? undefined : { priority })
    }
    if (bulkhead !== undefined) {
      const key = options?.bulkheadKey
      call = bulkhead.execute(call, key === undefined ? undefined : { key })
    }
    return breaker === undefined ? call : breaker.execute(call, options)
  }
}

const ignore = (): void => {}

/** Stands around all executions of a call. */
export type Outer = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Throttled, R>

/** The deadline and the pause of the service, around the hedges; and the count of failed calls. */
export const makeOuter = (name: string, { deadline }: ResiliencePolicy, gate: Gate<Throttled> | undefined): Outer => {
  const counted = <E>(cause: Cause.Cause<E>): Effect.Effect<never, E> => {
    const error = Cause.findErrorOption(cause)
    const failed = Effect.failCause(cause)
    return error._tag === "None" ? failed : Effect.andThen(MetricSeries.countError(error.value, name), failed)
  }
  return (self) => {
    const open = gate === undefined ? self : afterPause(self, gate)
    return Effect.catchCause(deadline === undefined ? open : until(open, deadline), counted)
  }
}

/** Waits for the end of a pause before a call holds any place, and before it is measured. */
export const afterPause = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  gate: Gate<Throttled>
): Effect.Effect<A, E | Throttled, R> =>
  Effect.withFiber((fiber) =>
    gate.isClosed(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe())
      ? Effect.andThen(gate.pass(fiber.getRef(CurrentDeadline)), self)
      : self
  )

/** Sets the current deadline for an effect, which interrupts nothing itself. */
const until = <A, E, R>(self: Effect.Effect<A, E, R>, deadline: Duration.Duration): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const own = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(deadline)
    return Effect.provideService(self, CurrentDeadline, sooner(fiber.getRef(CurrentDeadline), own))
  })

/** Makes what runs calls to one service. */
export const makeResilience = Effect.fnUntraced(function*(
  name: string,
  checked: Checked,
  keep: Keep
): Effect.fn.Return<Resilience, ConfigurationError, BreakerStore | Scope.Scope> {
  const { policy } = checked
  const retry = yield* makeRetry(checked, keep)
  const parts = yield* makeParts(name, policy, retry, keep)
  const hedge = yield* makeHedge(name, checked, keep)
  const inner = makeInner(policy, parts)
  const outer = makeOuter(name, policy, parts.gate)
  // Made once, since most calls have no options.
  const plain = { server: name, obeysOuter: true }
  return {
    name,
    policy,
    breaker: parts.breaker,
    bulkhead: parts.bulkhead,
    limit: parts.limit,
    hedge,
    throttle: parts.throttle,
    execute: (self, options) => {
      const call = inner(self, options === undefined ? plain : { ...options, ...plain }, options)
      return outer(hedge === undefined || options?.hedge === false ? call : hedge.execute(call))
    },
    http: (self, options) => {
      const statuses = retry ?? { statuses: [] }
      const own = { ...options, server: name }
      if (hedge === undefined) {
        return wrapHttp(
          self,
          statuses,
          own,
          ({ attempt, loop }) => outer(inner(attempt, { ...loop, obeysOuter: true }, options)),
          parts.gate
        )
      }
      const execution = wrapHttp(
        self,
        statuses,
        own,
        ({ attempt, loop }) => inner(attempt, { ...loop, obeysOuter: true }, options),
        parts.gate
      )
      const hedged = hedge.http(execution, { allowUnsafe: options?.hedgeUnsafe })
      return HttpClient.makeWith((request) => outer(hedged.postprocess(request)), hedged.preprocess)
    }
  }
})
