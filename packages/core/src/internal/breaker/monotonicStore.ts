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
 * Effect's memory store on the monotonic clock. On the wall clock, which it reads by itself, a circuit that opened
 * before the clock was set back an hour would stay open for that hour.
 */
export const makeMonotonicStore = Effect.gen(function*() {
  const store = Context.get(yield* Layer.build(layerStoreMemory()), Store)
  // A memory store holds nothing for a call: the scope that its type asks for is this one, which nothing is added to.
  const scope = yield* Effect.scope
  const make = (base: Clock.Clock) => ({
    base,
    context: Context.make(Clock.Clock, monotonic(base)).pipe(Context.add(Scope.Scope, scope))
  })
  let current = make(yield* Clock.Clock)
  // The clock of each call, as with any effect. It is one and the same but in tests, so that the context is kept.
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
