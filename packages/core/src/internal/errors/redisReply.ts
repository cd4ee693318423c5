import * as Predicate from "effect/Predicate"

/** Redis up to 6.2 wraps the error of a command in a script: `ERR Error running script (call to f_…): @user_script:5: -READONLY …`. */
const wrapped = /^ERR Error running script\b.*@user_script: ?\d+: -?([A-Z]{2,})\b/s
const plain = /^([A-Z]{2,})\b/

/** The first word of an error reply of Redis, such as `WRONGTYPE`; `undefined` for other errors. */
export const redisReply = (error: unknown): string | undefined => {
  if (!Predicate.hasProperty(error, "cause") || !(error.cause instanceof Error)) return undefined
  const { message } = error.cause
  return (wrapped.exec(message) ?? plain.exec(message))?.[1]
}

/** Error replies that concern the call only: its syntax, a key of another type or on another node, or the user's permissions. */
const refusals: ReadonlySet<string> = new Set([
  "ERR",
  "WRONGTYPE",
  "NOPERM",
  "NOSCRIPT",
  "EXECABORT",
  "CROSSSLOT",
  "MOVED",
  "INVALIDOBJ"
])

/** Whether Redis rejected the call itself. This is no evidence about the server or the connection. */
export const isRefusal = (error: unknown): boolean => refusals.has(redisReply(error) ?? "")
