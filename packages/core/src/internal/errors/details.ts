import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { Details } from "../../Problem.ts"
import * as Redaction from "../../Redaction.ts"

const isMembers = (json: Schema.Json): json is Details => Predicate.isObject(json)

/** Converts the facts of an error to redacted JSON of limited size. */
export const details = (facts: Readonly<Record<string, unknown>>): Details => {
  const redacted = Redaction.value(facts)
  return isMembers(redacted) ? redacted : {}
}
