import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** A token as callers give it. */
export type Token = string | Redacted.Redacted

/** What is no text at all is as good as an empty one. */
export const textOf = (token: Token): string => {
  try {
    const text: unknown = Redacted.isRedacted(token) ? Redacted.value(token) : token
    return Predicate.isString(text) ? text : ""
  } catch {
    // It was wiped.
    return ""
  }
}
