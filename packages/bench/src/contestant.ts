/** What is compared: a policy applied to one call, of an effect or of a function that returns a promise. */
import type { BreakerStore } from "@keelson/core"
import { Data, Effect, type Scope } from "effect"
import type { CircuitBreaker } from "effect/persistence"

/** The error of every call that fails; its message is as long as real ones are. */
export class Unavailable extends Data.TaggedError("Unavailable") {
  override message = "connect ECONNREFUSED 10.0.0.7:8443: the inventory service did not answer"
}

/** A call to be guarded. A library that cancels by a signal hands it over. */
export type Call = (context?: { readonly signal: AbortSignal }) => Promise<number>

type EffectPolicy = (self: Effect.Effect<number, Unavailable>) => Effect.Effect<number, unknown>
type PromisePolicy = (call: Call) => Promise<number>

export type Services = Scope.Scope | BreakerStore.BreakerStore | CircuitBreaker.CircuitBreakerStore

/** `make` gives a policy of its own, with a circuit of its own. */
export type Contestant =
  | { readonly name: string; readonly kind: "effect"; readonly make: Effect.Effect<EffectPolicy, never, Services> }
  | { readonly name: string; readonly kind: "promise"; readonly make: Effect.Effect<PromisePolicy, never, Services> }

/** The policy that all contestants are given, each in its own terms. */
export const shared = { attempts: 3, failures: 5, attemptMillis: 100, deadlineMillis: 1000 } as const

/** One call, the same as an effect and as a function. */
export interface Workload {
  readonly name: "instant" | "asynchronous" | "failing"
  readonly effect: Effect.Effect<number, Unavailable>
  readonly call: Call
}

export const answer = 42
const error = new Unavailable()

/** Gives its value at once: the least that there is to hide a policy's cost behind. */
export const instant: Workload = {
  name: "instant",
  effect: Effect.sync(() => answer),
  call: async () => answer
}

const later = async (): Promise<number> => {
  await Promise.resolve()
  return answer
}

/** Gives its value one turn of the microtask queue later: real calls are asynchronous. */
export const asynchronous: Workload = { name: "asynchronous", effect: Effect.promise(later), call: later }

export const failing: Workload = {
  name: "failing",
  effect: Effect.suspend(() => Effect.fail(error)),
  call: async () => {
    throw error
  }
}

/** Runs a call so many times, one after the other, and throws unless each ended as the workload says. */
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

/** In one fiber, so that starting it is not measured. */
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
