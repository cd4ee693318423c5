/** What can't be frozen: views of bytes. What keeps its content elsewhere, as a `Map` or `Date`, stays open. */
const isFreezable = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value)

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
