import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Rejection } from "../../BreakerStore.ts"
import { layerStoreMemory, Store, type StoreRequest, type Transition } from "./effectBreaker.ts"

const nowOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

/** A clock whose wall time is its monotonic time. */
const monotonic = (base: Clock.Clock): Clock.Clock => {
  const now = () => nowOf(base)
  return Object.create(base, {
    currentTimeMillisUnsafe: { value: now },
    currentTimeMillis: { value: Effect.sync(now) }
  })
}

/**
 * Effect's memory store on the monotonic clock. With the wall clock, which Effect's store reads, a circuit would stay open
 * for an hour longer if the clock was set back by an hour.
 */
export const makeMonotonicStore = Effect.gen(function*() {
  const store = Context.get(yield* Layer.build(layerStoreMemory()), Store)
  // A memory store holds nothing for a call, so one scope serves all calls, and nothing is added to it.
  const scope = yield* Effect.scope
  const make = (base: Clock.Clock) => ({
    base,
    context: Context.make(Clock.Clock, monotonic(base)).pipe(Context.add(Scope.Scope, scope))
  })
  let current = make(yield* Clock.Clock)
  // The clock of each call. It changes only in tests, so the last context is kept.
  const contextOf = (caller: Context.Context<never>): Context.Context<Scope.Scope> => {
    const clock = Context.get(caller, Clock.Clock)
    if (clock !== current.base) current = make(clock)
    return current.context
  }
  /** The monotonic millisecond until which a circuit that opened rejects every call. Effect's store is not asked until then. */
  const openUntil = new Map<string, number>()
  const rejection = (key: string, clock: Clock.Clock): Rejection | undefined => {
    const until = openUntil.get(key)
    if (until === undefined) return undefined
    const retryAfterMillis = until - nowOf(clock)
    if (retryAfterMillis > 0) return { state: "OPEN", retryAfterMillis }
    openUntil.delete(key)
    return undefined
  }
  const noted = (transition: Transition | undefined): Transition | undefined => {
    if (transition?.to === "Open") {
      openUntil.set(transition.key, nowOf(current.base) + Duration.toMillis(transition.retryAfter))
    }
    return transition
  }
  return {
    rejection,
    admit: (key: string) => Effect.updateContext(store.admit(key), contextOf),
    record: (request: StoreRequest) => Effect.map(Effect.updateContext(store.record(request), contextOf), noted),
    state: (key: string) => Effect.updateContext(store.state(key), contextOf)
  }
})
