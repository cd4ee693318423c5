/** A contestant applies a policy to one call, which is an effect or an async function. */
import type { BreakerStore } from "@keelson/core"
import { Data, Effect, type Scope } from "effect"
import type { CircuitBreaker } from "effect/persistence"

/** The error of every failing call, with a message of realistic length. */
export class Unavailable extends Data.TaggedError("Unavailable") {
  override message = "connect ECONNREFUSED 10.0.0.7:8443: the inventory service did not answer"
}

/** A guarded call. Libraries that cancel by signal pass the signal. */
export type Call = (context?: { readonly signal: AbortSignal }) => Promise<number>

type EffectPolicy = (self: Effect.Effect<number, Unavailable>) => Effect.Effect<number, unknown>
type PromisePolicy = (call: Call) => Promise<number>

export type Services = Scope.Scope | BreakerStore.BreakerStore | CircuitBreaker.CircuitBreakerStore

/** `make` returns a new policy with a separate circuit. */
export type Contestant =
  | { readonly name: string; readonly kind: "effect"; readonly make: Effect.Effect<EffectPolicy, never, Services> }
  | { readonly name: string; readonly kind: "promise"; readonly make: Effect.Effect<PromisePolicy, never, Services> }

/** The policy of all contestants, which each expresses with its own options. */
export const shared = { attempts: 3, failures: 5, attemptMillis: 100, deadlineMillis: 1000 } as const

/** One call, the same as an effect and as a function. */
export interface Workload {
  readonly name: "instant" | "asynchronous" | "failing"
  readonly effect: Effect.Effect<number, Unavailable>
  readonly call: Call
}

export const answer = 42
const error = new Unavailable()

/** Succeeds immediately, which shows the full cost of a policy. */
export const instant: Workload = {
  name: "instant",
  effect: Effect.sync(() => answer),
  call: async () => answer
}

const later = async (): Promise<number> => {
  await Promise.resolve()
  return answer
}

/** Succeeds one turn of the microtask queue later, as the fastest real call does. */
export const asynchronous: Workload = { name: "asynchronous", effect: Effect.promise(later), call: later }

export const failing: Workload = {
  name: "failing",
  effect: Effect.suspend(() => Effect.fail(error)),
  call: async () => {
    throw error
  }
}

/** Runs a call `times` times in sequence, and throws unless every outcome is that of the workload. */
export type Loop = (times: number) => Promise<void>

export const makeLoop = Effect.fnUntraced(function*(
  contestant: Contestant,
  workload: Workload
): Effect.fn.Return<Loop, never, Services> {
  const isFailing = workload.name === "failing"
  const loop = contestant.kind === "effect"
    ? (isFailing ? effectFailures : effectValues)(yield* contestant.make, workload.effect)
    : (isFailing ? promiseFailures : promiseValues)(yield* contestant.make, workload.call)
  const each = isFailing ? 1 : answer
  return async (times) => {
    const sum = await loop(times)
    if (sum !== times * each) throw new Error(`${contestant.name}, ${workload.name}: ${sum} of ${times * each}`)
  }
})

/** Runs in one fiber, so that starting fibers is not measured. */
const effectLoop = (body: () => Effect.Effect<number, unknown>, times: number): Promise<number> => {
  let left = times
  let sum = 0
  return Effect.runPromise(Effect.map(
    Effect.whileLoop({ while: () => left-- > 0, body, step: (value) => void (sum += value) }),
    () => sum
  ))
}

const effectValues = (policy: EffectPolicy, effect: Workload["effect"]) => (times: number) =>
  effectLoop(() => policy(effect), times)

const effectFailures = (policy: EffectPolicy, effect: Workload["effect"]) => (times: number) =>
  effectLoop(() => Effect.match(policy(effect), { onFailure: () => 1, onSuccess: () => 0 }), times)

const promiseValues = (policy: PromisePolicy, call: Call) => async (times: number) => {
  let sum = 0
  // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
  for (let i = 0; i < times; i++) sum += await policy(call)
  return sum
}

const promiseFailures = (policy: PromisePolicy, call: Call) => async (times: number) => {
  let sum = 0
  for (let i = 0; i < times; i++) {
    try {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await policy(call)
    } catch {
      sum++
    }
  }
  return sum
}
