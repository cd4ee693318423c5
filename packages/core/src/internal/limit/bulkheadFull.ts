/** The error of a call that a bulkhead rejected. */
import * as Schema from "effect/Schema"
import { code } from "../../ErrorCode.ts"
import { errorBody } from "../errors/errorBody.ts"

const messages = {
  queue: "the queue is full",
  wait: "no place became free in time",
  deadline: "no place became free before the deadline",
  keys: "too many keys are in use"
} as const

/** A bulkhead rejected a call without making it (`BULKHEAD_FULL`). */
export class BulkheadFull extends errorBody(
  Schema.TaggedError<BulkheadFull>("@keelson/core/BulkheadFull")("BulkheadFull", {
    code: code("BULKHEAD_FULL"),
    /** The bulkhead's name. */
    server: Schema.String,
    /**
     * `queue`: the queue was full. `wait`: the call waited for `maxWait`. `deadline`: the deadline of the call came first.
     * `keys`: as many keys as allowed had calls in flight.
     */
    reason: Schema.Literals(["queue", "wait", "deadline", "keys"]),
    /** How many calls may be in flight, for each key if the call had one. */
    maxConcurrent: Schema.Int,
    /** How many calls may wait. */
    maxQueued: Schema.Int,
    /** How long a call may wait. */
    maxWait: Schema.Duration
  })
) {
  override readonly name = "BulkheadFull"
  override get message(): string {
    return `Bulkhead rejected the call: ${messages[this.reason]}`
  }
  get details() {
    return { server: this.server, reason: this.reason, max_concurrent: this.maxConcurrent, max_queued: this.maxQueued }
  }
}
