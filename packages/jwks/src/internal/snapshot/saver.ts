import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"

/** How long the end of a scope waits for a pending snapshot to be written. */
const flushLimit = Duration.seconds(2)

/** Delay before the same value is written again, after this many failures in a row, in milliseconds. */
const retryDelay = (failures: number): number => Math.min(1_000 * 2 ** (failures - 1), 60_000)

/**
 * Writes values in the background, one at a time. Of the values saved during a write only the latest is written after it.
 * A failed write is retried, first after one second and later up to every minute, until it succeeds or a newer value
 * replaces it.
 */
export interface Saver<A> {
  /** Schedules a write of the value, which replaces a pending one. */
  readonly save: (value: A) => void
  /** Writes the pending value now, without the delay. If that fails, the value stays pending. */
  readonly flush: Effect.Effect<void>
  /** Drops the pending value. A running write continues, and is not retried. */
  readonly discard: () => void
  /** Drops the pending value, and runs the removal after a running write and before any later one. */
  readonly remove: (removal: Effect.Effect<void>) => Effect.Effect<void>
}

/** Runs effects one after another, in the order of the calls: a value saved after a removal is written after it. */
export type OneByOne = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const makeLock = (): OneByOne => {
  const semaphore = Semaphore.makeUnsafe(1)
  return (self) => semaphore.withPermit(self)
}

/**
 * Makes a saver in a scope. The end of the scope writes the pending value once more, and waits for at most two seconds.
 *
 * - `failed`: called for each failure; `isFirst` is true for the first one since the last successful write.
 * - `oneByOne`: runs the writes and removals; savers of the same value may share it. Default: a lock for this saver only.
 */
export const makeSaver = Effect.fnUntraced(function*<A, E, R>(
  write: (value: A) => Effect.Effect<void, E, R>,
  failed: (error: E, isFirst: boolean) => Effect.Effect<void>,
  oneByOne: OneByOne = makeLock()
): Effect.fn.Return<Saver<A>, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  // Made before the finalizer below, so that it closes after it: a write that outlasts the limit is interrupted.
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
    const pending = latest
    if (pending === undefined) return Effect.void
    return Effect.matchEffect(Effect.provideContext(write(pending.value), context), {
      onFailure: (error) => failed(error, failures++ === 0),
      onSuccess: () =>
        Effect.sync(() => {
          failures = 0
          if (latest === pending) set(undefined)
        })
    })
  }))
  const drain: Effect.Effect<void> = Effect.suspend(() => {
    isDraining = latest !== undefined
    if (!isDraining) return Effect.void
    // Opened again when the value was written, or when another one is saved.
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
