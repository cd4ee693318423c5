/** The part of V8's `Error` that limits stacks. Other engines ignore it. */
const errors: ErrorConstructor & { stackTraceLimit?: number | undefined } = Error

/** Read once: with frozen intrinsics the limit cannot be written, and errors keep their stacks. */
const isWritable = ((): boolean => {
  const limit = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")
  return limit === undefined ? Object.isExtensible(Error) : limit.writable === true
})()

/**
 * Makes an error without a stack. A stack takes most of the time of making an error, and within a fiber it shows the loop of
 * the runtime, not who called.
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
