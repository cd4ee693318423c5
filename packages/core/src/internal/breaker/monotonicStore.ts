import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { layerStoreMemory, Store, type StoreRequest } from "./effectBreaker.ts"

/** A clock whose wall time is its monotonic time. */
const monotonic = (base: Clock.Clock): Clock.Clock => {
  const now = () => Number(base.monotonicTimeNanosUnsafe() / 1_000_000n)
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
  return {
    admit: (key: string) => Effect.updateContext(store.admit(key), contextOf),
    record: (request: StoreRequest) => Effect.updateContext(store.record(request), contextOf),
    state: (key: string) => Effect.updateContext(store.state(key), contextOf)
  }
})
