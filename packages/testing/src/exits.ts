/** Returns the error of a failed exit. */
import { Retry } from "@keelson/core"
import { Exit, Option } from "effect"

/** Runs an effect and returns the error it fails with. */
export const errorOf = <E>(exit: Exit.Exit<unknown, E>): E => Option.getOrThrow(Exit.findErrorOption(exit))

const isExhausted = <E>(error: E): error is E & Retry.RetryExhausted<unknown> => error instanceof Retry.RetryExhausted

/** Like the above, and requires the error of an exhausted retry. */
export const exhausted = <E>(exit: Exit.Exit<unknown, E>): E & Retry.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  if (!isExhausted(error)) throw new Error(`not exhausted: ${String(error)}`)
  return error
}
