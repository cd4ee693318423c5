/**
 * Errors that many callers receive: one object for each reason, so that a flood of failures creates no stacks and redacts nothing.
 */

/** Freezes an error with its details, reasons and causes. */
const freeze = (value: object): void => {
  Object.freeze(value)
  for (const name of Reflect.ownKeys(value)) {
    const member: unknown = Reflect.get(value, name)
    const isOwn = Array.isArray(member) || member instanceof Error ||
      (typeof member === "object" && member !== null && Object.getPrototypeOf(member) === Object.prototype)
    if (isOwn && !Object.isFrozen(member)) freeze(member)
  }
}

/**
 * Makes an error that many callers receive. It has no stack, which would be the one of the first caller, and it is frozen, so
 * that no caller can change what another one sees.
 */
export const make = <E extends Error>(create: () => E): E => {
  const limit: unknown = Reflect.get(Error, "stackTraceLimit")
  Reflect.set(Error, "stackTraceLimit", 0)
  try {
    const error = create()
    freeze(error)
    return error
  } finally {
    Reflect.set(Error, "stackTraceLimit", limit)
  }
}
