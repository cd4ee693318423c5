import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { AdaptiveLimit, CallOptions, Policy, Priority, Sample } from "../../AdaptiveLimit.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as SharedError from "../../unstable/SharedError.ts"
import { Gate } from "./gate.ts"
import { Gradient } from "./gradient.ts"
import { LimitExceeded } from "./limitExceeded.ts"
import { enter, type WaitReason } from "./place.ts"
import { classify } from "./sample.ts"

const priorities = ["critical", "high", "normal", "low"] as const satisfies ReadonlyArray<Priority>
const normal = priorities.indexOf("normal")

/** The class of a priority; an unknown word from outside counts as normal. */
const classOf = (priority: Priority | undefined): number => {
  if (priority === undefined) return normal
  const index = priorities.indexOf(priority)
  return index === -1 ? normal : index
}

const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The rejections of a limit: counted by priority. Callers that are rejected for one reason at one limit share an error. */
const makeRejections = (name: string, { retryAfter }: Policy, gate: Gate) => {
  const counts = priorities.map(() => 0)
  const errors = new Map<WaitReason, LimitExceeded>()
  return {
    counts,
    reject: (priority: number) => (reason: WaitReason): Effect.Effect<never, LimitExceeded> => {
      counts[priority]!++
      const { limit } = gate
      const known = errors.get(reason)
      if (known?.limit === limit) return Effect.fail(known)
      const error = SharedError.make(() => new LimitExceeded({ server: name, reason, limit, retryAfter }))
      errors.set(reason, error)
      return Effect.fail(error)
    }
  }
}

/** Makes an adaptive limit of a checked policy. */
export const makeAdaptiveLimit = Effect.fnUntraced(function*(
  name: string,
  policy: Policy
): Effect.fn.Return<AdaptiveLimit, never, Scope.Scope> {
  const gate = new Gate(policy.initialLimit, policy.maxQueued, priorities.length)
  const rule = new Gradient({ ...policy, window: Duration.toMillis(policy.window) })
  const rejections = makeRejections(name, policy, gate)
  const maxWaitNanos = Duration.toMillis(policy.maxWait) * 1e6
  const entrances = priorities.map((_, index) => ({ gate, maxWaitNanos, reject: rejections.reject(index) }))
  yield* MetricSeries.register("adaptiveLimit", { server: name }, () => gate.limit)
  yield* MetricSeries.register("adaptiveLimitInFlight", { server: name }, () => gate.inFlight)
  yield* MetricSeries.register("adaptiveLimitQueued", { server: name }, () => gate.queued)
  yield* MetricSeries.register("adaptiveLimitBaseline", { server: name }, () => (rule.baseline ?? 0) / 1000)
  for (const [index, priority] of priorities.entries()) {
    const labels = { server: name, priority }
    yield* MetricSeries.register("adaptiveLimitRejections", labels, () => rejections.counts[index]!)
  }

  /** An interrupted call counts as dropped if it was slower than tolerated: its caller probably timed out. */
  const ofInterrupted = (elapsed: number): Sample =>
    rule.baseline !== undefined && elapsed > policy.tolerance * rule.baseline ? "dropped" : "ignored"

  const sampleOf = <A, E>(
    exit: Exit.Exit<A, E>,
    elapsed: number,
    own: (exit: Exit.Exit<A, E>) => Sample
  ): Sample => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? ofInterrupted(elapsed) : own(exit)

  const run = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: CallOptions<A, E> | undefined
  ): Effect.Effect<A, E | LimitExceeded, R> => {
    const priority = classOf(options?.priority)
    const judge: (exit: Exit.Exit<A, E>) => Sample = options?.classify ?? classify
    const measured = Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const began = millisOf(clock)
      rule.start(gate.inFlight)
      return Effect.onExitPrimitive(self, (exit) => {
        const now = millisOf(clock)
        if (rule.end(began, now, gate.inFlight, sampleOf(exit, now - began, judge))) gate.resize(Math.floor(rule.limit))
        return undefined
      })
    })
    return enter(measured, entrances[priority]!, priority)
  }

  return {
    name,
    policy,
    execute: (self, options) => Effect.suspend(() => run(self, options)),
    snapshot: Effect.sync(() => ({
      limit: gate.limit,
      inFlight: gate.inFlight,
      queued: gate.queued,
      rejected: rejections.counts.reduce((sum, count) => sum + count, 0),
      baseline: rule.baseline === undefined ? undefined : Duration.millis(rule.baseline)
    }))
  }
})
