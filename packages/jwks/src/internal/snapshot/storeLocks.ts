import type { JwksSnapshots } from "../../JwksSnapshots.ts"
import { type KeyedLock, makeKeyedLock } from "../registry/keyedLock.ts"

const locks = new WeakMap<JwksSnapshots["Service"], KeyedLock>()

/**
 * The lock of a store, by which its calls for one provider come one after another, though another one takes its place: a
 * write of the old one must not land after the new one's, or after a removal.
 */
export const lockOf = (store: JwksSnapshots["Service"]): KeyedLock => {
  const lock = locks.get(store) ?? makeKeyedLock()
  locks.set(store, lock)
  return lock
}
