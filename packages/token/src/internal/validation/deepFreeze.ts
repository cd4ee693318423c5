import * as Schema from "effect/Schema"

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

/** `seen` is made for the first value within another: claims often have none. */
const freeze = (value: object, seen?: Set<object>): void => {
  Object.freeze(value)
  let known = seen
  for (const child of Object.values(value)) {
    if (!isFreezable(child)) continue
    known ??= new Set([value])
    if (known.has(child)) continue
    known.add(child)
    freeze(child, known)
  }
}

/** Freezes a value with all that it holds: everybody who sends the same token gets the same object. */
export const deepFreeze = <A>(value: A): A => {
  if (isFreezable(value)) freeze(value)
  return value
}
