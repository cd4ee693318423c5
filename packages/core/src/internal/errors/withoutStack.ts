/** `stackTraceLimit` limits the stacks of V8. Other engines ignore it. */
const errors: ErrorConstructor & { stackTraceLimit?: number | undefined } = Error

/** Checked once. If the intrinsics are frozen, the limit cannot be written and errors keep their stacks. */
const isWritable = ((): boolean => {
  const limit = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")
  return limit === undefined ? Object.isExtensible(Error) : limit.writable === true
})()

/**
 * Makes an error without a stack. Capturing a stack takes most of the time of creating an error, and within a fiber the stack
 * shows the runtime's loop, not the caller.
 */
export const withoutStack = <A>(make: () => A): A => {
  if (!isWritable) return make()
  const limit = errors.stackTraceLimit
  errors.stackTraceLimit = 0
  try {
    return make()
  } finally {
    errors.stackTraceLimit = limit
  }
}
