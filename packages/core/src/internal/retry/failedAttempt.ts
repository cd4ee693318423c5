import type * as Duration from "effect/Duration"
import { codeOf } from "../../ErrorCode.ts"
import * as Redaction from "../../Redaction.ts"
import type { Attempt } from "./retryExhausted.ts"

/** The name of a class; any other text is free text and is not shown. */
const asName = (name: string): string => /^[\w$/@.-]{1,64}$/.test(name) ? Redaction.text(name) : "an error"

/** The name of an error, which reveals nothing of its content. */
export const nameOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return `a ${typeof error}`
  if ("_tag" in error && typeof error._tag === "string") return asName(error._tag)
  return error instanceof Error ? asName(error.name) : "an object"
}

/** A summary of an error that is safe to keep and show. */
const summarize = (error: unknown): Attempt["error"] => ({
  name: nameOf(error),
  code: codeOf(error),
  message: Redaction.error(error).message
})

/** A failed attempt. Its error is redacted when it is read, since most histories are never read. */
export class FailedAttempt implements Attempt {
  readonly number: number
  readonly start: Duration.Duration
  readonly duration: Duration.Duration
  readonly delay: Duration.Duration
  readonly #error: unknown
  #summary: Attempt["error"] | undefined

  constructor(attempt: Omit<Attempt, "error">, error: unknown) {
    this.number = attempt.number
    this.start = attempt.start
    this.duration = attempt.duration
    this.delay = attempt.delay
    this.#error = error
  }
  get error(): Attempt["error"] {
    return this.#summary ??= summarize(this.#error)
  }
}
