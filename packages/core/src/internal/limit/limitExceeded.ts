/** The error of a call that an adaptive limit rejected. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { code } from "../../ErrorCode.ts"
import { errorBody } from "../errors/errorBody.ts"

const messages = {
  queue: "the queue is full",
  wait: "no place became free in time",
  deadline: "no place became free before the deadline",
  displaced: "a call of a higher priority took its place in the queue"
} as const

/** An adaptive limit rejected a call without making it (`LIMIT_EXCEEDED`). */
export class LimitExceeded extends errorBody(
  Schema.TaggedError<LimitExceeded>("@keelson/core/LimitExceeded")("LimitExceeded", {
    code: code("LIMIT_EXCEEDED"),
    /** The name of the limit. */
    server: Schema.String,
    /**
     * `queue`: the queue was full. `wait`: the call waited for `maxWait`. `deadline`: the deadline of the call came first.
     * `displaced`: a call of a higher priority took the place in the queue.
     */
    reason: Schema.Literals(["queue", "wait", "deadline", "displaced"]),
    /** How many calls were allowed in flight. */
    limit: Schema.Int,
    /** When to try again: the `Retry-After` of a response that reports this error. */
    retryAfter: Schema.Duration
  })
) {
  override readonly name = "LimitExceeded"
  override get message(): string {
    return `Adaptive limit rejected the call: ${messages[this.reason]}`
  }
  get details() {
    return {
      server: this.server,
      reason: this.reason,
      limit: this.limit,
      retry_after_ms: Math.round(Duration.toMillis(this.retryAfter))
    }
  }
}
