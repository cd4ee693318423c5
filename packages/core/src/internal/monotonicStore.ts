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
  // A memory store holds nothing for a call: the scope that its type asks for is this one, which nothing is added to.
  const scope = yield* Effect.scope
  let base = yield* Clock.Clock
  let context = Context.make(Clock.Clock, monotonic(base)).pipe(Context.add(Scope.Scope, scope))
  // The clock of each call, as with any effect: it is one and the same but in tests, so that its copy is kept.
  const onMonotonic = <A, E>(self: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      if (clock !== base) {
        base = clock
        context = Context.make(Clock.Clock, monotonic(base)).pipe(Context.add(Scope.Scope, scope))
      }
      return Effect.provideContext(self, context)
    })
  return {
    admit: (key: string) => onMonotonic(store.admit(key)),
    record: (request: StoreRequest) => onMonotonic(store.record(request)),
    state: (key: string) => onMonotonic(store.state(key))
  }
})
