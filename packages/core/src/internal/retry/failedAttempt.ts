import type * as Duration from "effect/Duration"
import { codeOf } from "../../ErrorCode.ts"
import * as Redaction from "../../Redaction.ts"
import type { Attempt } from "../../RetryExhausted.ts"

/** A name is a word, as classes have; whatever else was put there is free text. */
const asName = (name: string): string => /^[\w$/@.-]{1,64}$/.test(name) ? Redaction.text(name) : "an error"

/** What an error is called, which tells nothing of what it holds. */
export const nameOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return `a ${typeof error}`
  if ("_tag" in error && typeof error._tag === "string") return asName(error._tag)
  return error instanceof Error ? asName(error.name) : "an object"
}

/** The summary of an error that is safe to keep and show. */
const summarize = (error: unknown): Attempt["error"] => ({
  name: nameOf(error),
  code: codeOf(error),
  message: Redaction.error(error).message
})

/** An attempt as it happened. Its error is redacted when it is looked at, since most histories never are. */
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
