import { Schema } from "effect"

/**
 * Plain objects, lists, and instances of a `Schema.Class`. What else a schema may decode to keeps content elsewhere, as a
 * `Map` does, or remembers things in itself, as a `DateTime` does.
 */
const isFreezable = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Array.isArray(value) ||
    Schema.isSchema(value.constructor)
}

const freeze = (value: unknown, seen: Set<object>): void => {
  if (!isFreezable(value) || seen.has(value)) return
  seen.add(value)
  Object.freeze(value)
  for (const child of Object.values(value)) freeze(child, seen)
}

/** Freezes a value with all that it holds: everybody who sends the same token gets the same object. */
export const deepFreeze = <A>(value: A): A => {
  freeze(value, new Set())
  return value
}
