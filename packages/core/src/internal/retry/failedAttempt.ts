import * as Duration from "effect/Duration"
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

/** A failed attempt. What it holds is read from plain fields when it is asked for, since most histories are never read. */
export class FailedAttempt implements Attempt {
  readonly number: number
  readonly delay: Duration.Duration
  /** Nanoseconds. */
  readonly #start: bigint
  readonly #duration: bigint
  readonly #error: unknown
  #summary: Attempt["error"] | undefined

  constructor(number: number, start: bigint, duration: bigint, delay: Duration.Duration, error: unknown) {
    this.number = number
    this.delay = delay
    this.#start = start
    this.#duration = duration
    this.#error = error
  }
  get start(): Duration.Duration {
    return Duration.nanos(this.#start)
  }
  get duration(): Duration.Duration {
    return Duration.nanos(this.#duration)
  }
  get error(): Attempt["error"] {
    return this.#summary ??= summarize(this.#error)
  }
}
