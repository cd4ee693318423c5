import { Clock, Context, Effect, Layer, Scope } from "effect"
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
  const clock = monotonic(yield* Clock.Clock)
  // A memory store holds nothing for a call: the scope that its type asks for is this one, which nothing is added to.
  const scope = yield* Effect.scope
  const context = Context.make(Clock.Clock, clock).pipe(Context.add(Scope.Scope, scope))
  return {
    admit: (key: string) => Effect.provideContext(store.admit(key), context),
    record: (request: StoreRequest) => Effect.provideService(store.record(request), Clock.Clock, clock),
    state: (key: string) => Effect.provideService(store.state(key), Clock.Clock, clock)
  }
})
