import { Duration, Effect, FiberSet, Option, type Scope, Semaphore } from "effect"

/** How long the end of a scope waits for a snapshot that is being written. */
const flushLimit = Duration.seconds(2)

/** Writes in the background, one at a time; what comes while one is written is written after it, and only the latest. */
export interface Saver<A> {
  readonly save: (value: A) => void
  /** Ends when everything given so far is written, or was given up. */
  readonly flush: Effect.Effect<void>
}

/** A saver in a scope, whose end waits for what is not written yet, but at most two seconds. `write` never fails. */
export const makeSaver = Effect.fnUntraced(function*<A, R>(
  write: (value: A) => Effect.Effect<void, never, R>
): Effect.fn.Return<Saver<A>, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  // Before the finalizer below, which runs first: a write that it gave up waiting for ends with the scope.
  const fork = yield* FiberSet.makeRuntime()
  const oneAtATime = Semaphore.makeUnsafe(1)
  let latest: Option.Option<A> = Option.none()
  const flush = oneAtATime.withPermit(Effect.suspend(() => {
    const value = latest
    latest = Option.none()
    return Option.isSome(value) ? Effect.provideContext(write(value.value), context) : Effect.void
  }))
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(flush), flushLimit))
  return {
    save: (value) => {
      const isWaiting = Option.isSome(latest)
      latest = Option.some(value)
      if (!isWaiting) fork(flush)
    },
    flush
  }
})
