import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** Runs the effects of one key one after the other. A key without effects takes no memory. */
export interface KeyedLock {
  readonly withLock: (id: string) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const makeKeyedLock = (): KeyedLock => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return {
    withLock: (id) => (self) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const lock = locks.get(id) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
          lock.users++
          locks.set(id, lock)
          return lock
        }),
        ({ semaphore }) => semaphore.withPermits(1)(self),
        (lock) =>
          Effect.sync(() => {
            if (--lock.users === 0) locks.delete(id)
          })
      )
  }
}
