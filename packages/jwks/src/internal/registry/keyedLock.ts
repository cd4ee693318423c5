import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** Runs effects with the same key one after another, in the order of the calls. Different keys do not wait for each other. */
export type KeyedLock = <A, E, R>(key: string, self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Makes a keyed lock. It keeps no memory of keys that are not in use. */
export const makeKeyedLock = (): KeyedLock => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key, self) =>
    Effect.suspend(() => {
      const lock = locks.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      locks.set(key, lock)
      lock.users++
      return Effect.ensuring(
        lock.semaphore.withPermit(self),
        Effect.sync(() => {
          if (--lock.users === 0) locks.delete(key)
        })
      )
    })
}
