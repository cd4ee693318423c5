import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { Admission, Caller, CircuitState, Rejection, StoreRequest, Transition } from "../../BreakerStore.ts"
import { Circuit, idleMillis, nowOf } from "./circuit.ts"

/** A store whose answers are values. */
export interface LocalStore {
  readonly answer: (key: string, policy: BreakerPolicy, caller: Caller) => number | Rejection | undefined
  readonly admit: (key: string, policy: BreakerPolicy, caller: Caller) => Admission | Rejection
  readonly record: (request: StoreRequest, caller: Caller) => ReadonlyArray<Transition>
  readonly state: (key: string, policy: BreakerPolicy, caller: Caller) => CircuitState
  readonly reset: (key: string, caller: Caller) => Transition | undefined
  readonly isolate: (key: string, caller: Caller) => Transition | undefined
}

/** Circuits in this process, on the monotonic clock: a wall clock that is set changes nothing. */
export const makeMemoryStore = (): LocalStore => {
  const circuits = new Map<string, Circuit>()
  let generation = 0
  const nextGeneration = (): number => ++generation
  let sweptAt = 0

  /** Removes circuits without calls, at most once per idle time. */
  const sweep = (now: number): void => {
    if (now - sweptAt < idleMillis) return
    sweptAt = now
    for (const [key, circuit] of circuits) {
      if (!circuit.isActive && circuit.isIdle(now)) circuits.delete(key)
      circuit.isActive = false
    }
  }

  const add = (key: string, caller: Caller): Circuit => {
    sweep(nowOf(caller))
    const circuit = new Circuit(nextGeneration)
    circuits.set(key, circuit)
    return circuit
  }
  const find = (key: string, caller: Caller): Circuit => circuits.get(key) ?? add(key, caller)

  return {
    answer(key: string, policy: BreakerPolicy, caller: Caller) {
      const circuit = find(key, caller)
      circuit.isActive = true
      return circuit.state === "CLOSED" ? circuit.generation : circuit.rejection(policy, caller)
    },
    admit: (key, policy, caller) => find(key, caller).admit(policy, caller),
    record: (request, caller) => circuits.get(request.key)?.record(request, caller) ?? [],
    state: (key, policy, caller) => circuits.get(key)?.view(policy, caller) ?? unused,
    reset: (key) => circuits.get(key)?.set("CLOSED"),
    isolate: (key, caller) => find(key, caller).set("ISOLATED")
  }
}

/** The state of a circuit that was never called. */
const unused = { state: "CLOSED", openings: 0, passedProbes: 0, failedProbes: 0 } as const
