import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"

/** How long the end of a scope waits for a snapshot that is being written. */
const flushLimit = Duration.seconds(2)

/** How long after so many failures in a row the same value is tried again, in milliseconds. */
const retryDelay = (failures: number): number => Math.min(1_000 * 2 ** (failures - 1), 60_000)

/**
 * Writes in the background, one at a time; what comes while one is written is written after it, and only the latest.
 * What could not be written is tried again, after a second at first and each minute at last, until a newer value takes
 * its place.
 */
export interface Saver<A> {
  readonly save: (value: A) => void
  /** Tries now what is not written yet, and not at its next turn. What fails stays to be tried again. */
  readonly flush: Effect.Effect<void>
  /** Forgets what is not written yet. A write that is under way goes on, and is not tried again. */
  readonly discard: () => void
  /** Forgets what is not written yet, and runs the removal after a write that is under way, and before any later one. */
  readonly remove: (removal: Effect.Effect<void>) => Effect.Effect<void>
}

/** Runs things one after another, in the order in which they came: what is saved after a removal is written after it. */
export type OneByOne = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const makeLock = (): OneByOne => {
  const semaphore = Semaphore.makeUnsafe(1)
  return (self) => semaphore.withPermit(self)
}

/**
 * A saver in a scope, whose end tries once more what is not written yet, but waits two seconds at most. `failed` is
 * told of each failure, and whether it is the first one since a value was written. `oneByOne` may be shared with other
 * savers of the same thing.
 */
export const makeSaver = Effect.fnUntraced(function*<A, E, R>(
  write: (value: A) => Effect.Effect<void, E, R>,
  failed: (error: E, isFirst: boolean) => Effect.Effect<void>,
  oneByOne: OneByOne = makeLock()
): Effect.fn.Return<Saver<A>, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  // Before the finalizer below, which runs first: a write that it gave up waiting for ends with the scope.
  const fork = yield* FiberSet.makeRuntime()
  const changed = Latch.makeUnsafe()
  let latest: { readonly value: A } | undefined
  let failures = 0
  let isDraining = false

  const set = (next: { readonly value: A } | undefined): void => {
    latest = next
    changed.openUnsafe()
  }
  const flush = oneByOne(Effect.suspend(() => {
    const tried = latest
    if (tried === undefined) return Effect.void
    return Effect.matchEffect(Effect.provideContext(write(tried.value), context), {
      onFailure: (error) => failed(error, failures++ === 0),
      onSuccess: () =>
        Effect.sync(() => {
          failures = 0
          if (latest === tried) set(undefined)
        })
    })
  }))
  const drain: Effect.Effect<void> = Effect.suspend(() => {
    isDraining = latest !== undefined
    if (!isDraining) return Effect.void
    // It is open again where a value was written, or another one has come.
    changed.closeUnsafe()
    const pause = Effect.suspend(() => Effect.timeoutOption(changed.await, retryDelay(failures)))
    return Effect.andThen(Effect.andThen(flush, pause), drain)
  })

  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(flush), flushLimit))
  return {
    save: (value) => {
      set({ value })
      if (isDraining) return
      isDraining = true
      fork(Effect.onError(drain, () => Effect.sync(() => (isDraining = false))))
    },
    flush,
    discard: () => set(undefined),
    remove: (removal) =>
      Effect.suspend(() => {
        set(undefined)
        return oneByOne(removal)
      })
  }
})
