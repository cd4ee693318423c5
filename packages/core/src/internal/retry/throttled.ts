/** The error of a call that was not made because the service asked its callers to wait. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { code } from "../../ErrorCode.ts"
import { errorBody } from "../errors/errorBody.ts"

/**
 * A call was not made, because the service has asked its callers to wait for longer than the call may wait (`THROTTLED`).
 */
export class Throttled extends errorBody(
  Schema.TaggedError<Throttled>("@keelson/core/Throttled")("Throttled", {
    code: code("THROTTLED"),
    /** The name of the service. */
    server: Schema.String,
    /** The time until the pause ends. */
    retryAfter: Schema.Duration
  })
) {
  override readonly name = "Throttled"
  override get message(): string {
    return `Call not made: the service asked its callers to wait for another ${Duration.format(this.retryAfter)}`
  }
  get details() {
    return { server: this.server, retry_after_ms: Math.round(Duration.toMillis(this.retryAfter)) }
  }
}
