import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Bulkhead, Policy } from "../../Bulkhead.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as SharedError from "../../unstable/SharedError.ts"
import { BulkheadFull } from "./bulkheadFull.ts"
import { Gate } from "./gate.ts"
import { enter, type WaitReason } from "./place.ts"

type Reason = BulkheadFull["reason"]
const reasons = ["queue", "wait", "deadline", "keys"] as const satisfies ReadonlyArray<Reason>

/** The rejections of a bulkhead: counted by reason, with one error for each. */
const makeRejections = (name: string, { maxConcurrent, maxQueued, maxWait }: Policy) => {
  const counts: Record<Reason, number> = { queue: 0, wait: 0, deadline: 0, keys: 0 }
  const errors = new Map<Reason, Effect.Effect<never, BulkheadFull>>()
  const failed = (reason: Reason): Effect.Effect<never, BulkheadFull> => {
    const known = errors.get(reason)
    if (known !== undefined) return known
    const error = new BulkheadFull({ server: name, reason, maxConcurrent, maxQueued, maxWait })
    const made = Effect.fail(SharedError.make(() => error))
    errors.set(reason, made)
    return made
  }
  return {
    counts,
    reject(reason: Reason): Effect.Effect<never, BulkheadFull> {
      counts[reason]++
      return failed(reason)
    }
  }
}

/** The gate of a key, and how many calls use it: those that hold a permit, wait, or are about to. */
interface Keyed {
  readonly gate: Gate
  users: number
}

/** The gates of the keys that have calls. A gate without calls is removed, so that idle keys take no memory. */
const makeKeys = ({ maxConcurrent, maxKeys, maxQueued }: Policy) => {
  const all = new Map<string, Keyed>()
  return {
    all,
    enter(key: string): Keyed | undefined {
      const known = all.get(key)
      if (known === undefined && all.size >= maxKeys) return undefined
      const entry = known ?? { gate: new Gate(maxConcurrent, maxQueued), users: 0 }
      if (known === undefined) all.set(key, entry)
      entry.users++
      return entry
    },
    leave(key: string, entry: Keyed): void {
      if (--entry.users === 0) all.delete(key)
    }
  }
}

/** Makes a bulkhead of a checked policy. */
export const makeBulkhead = Effect.fnUntraced(function*(
  name: string,
  policy: Policy
): Effect.fn.Return<Bulkhead, never, Scope.Scope> {
  const shared = new Gate(policy.maxConcurrent, policy.maxQueued)
  const keys = makeKeys(policy)
  const rejections = makeRejections(name, policy)
  const maxWaitNanos = Duration.toMillis(policy.maxWait) * 1e6
  const total = (count: "inFlight" | "queued"): number => {
    let sum = shared[count]
    for (const { gate } of keys.all.values()) sum += gate[count]
    return sum
  }
  yield* MetricSeries.register("bulkheadInFlight", { server: name }, () => total("inFlight"))
  yield* MetricSeries.register("bulkheadQueued", { server: name }, () => total("queued"))
  for (const reason of reasons) {
    yield* MetricSeries.register("bulkheadRejections", { server: name, reason }, () => rejections.counts[reason])
  }

  const onRejected = (reason: WaitReason) => rejections.reject(reason === "displaced" ? "queue" : reason)

  const entranceOf = (gate: Gate) => ({ gate, maxWaitNanos, reject: onRejected })
  const entrance = entranceOf(shared)

  const keyed = <A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E | BulkheadFull, R> => {
    let entry: Keyed | undefined
    const entered = Effect.suspend(() => {
      entry = keys.enter(key)
      return entry === undefined ? rejections.reject("keys") : enter(self, entranceOf(entry.gate), 0)
    })
    return Effect.onExitPrimitive(entered, () => {
      if (entry !== undefined) keys.leave(key, entry)
      return undefined
    })
  }

  return {
    name,
    policy,
    execute: (self, options) =>
      Effect.suspend(() => options?.key === undefined ? enter(self, entrance, 0) : keyed(self, options.key)),
    snapshot: Effect.sync(() => ({
      inFlight: total("inFlight"),
      queued: total("queued"),
      rejected: reasons.reduce((sum, reason) => sum + rejections.counts[reason], 0),
      keys: keys.all.size
    }))
  }
})
