import type { Validation } from "./validation.ts"

/** What stands behind a validator, for who explains its decisions: no part of its interface. */
const behind = new WeakMap<object, Validation<unknown>>()

/** Remembers what stands behind a validator. */
export const explainable = <V extends object>(validation: Validation<unknown>, validator: V): V => {
  behind.set(validator, validation)
  return validator
}

/** What stands behind a validator; `undefined` for one that was not made here. */
export const validationOf = (validator: object): Validation<unknown> | undefined => behind.get(validator)
