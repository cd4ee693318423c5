/** The error that an exit holds. */
import { Retry } from "@keelson/core"
import { Exit, Option } from "effect"

/** The error that an effect ended with. */
export const errorOf = <E>(exit: Exit.Exit<unknown, E>): E => Option.getOrThrow(Exit.findErrorOption(exit))

const isExhausted = <E>(error: E): error is E & Retry.RetryExhausted<unknown> => error instanceof Retry.RetryExhausted

/** The same, where it has to be that of a retry that gave up. */
export const exhausted = <E>(exit: Exit.Exit<unknown, E>): E & Retry.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  if (!isExhausted(error)) throw new Error(`not exhausted: ${String(error)}`)
  return error
}
