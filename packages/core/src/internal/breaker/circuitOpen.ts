/** The error of a call that a circuit breaker rejected. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { code } from "../../ErrorCode.ts"
import { errorBody } from "../errors/errorBody.ts"

/**
 * A circuit breaker rejected a call without making it (`CIRCUIT_OPEN`): the circuit is open, half-open while a probe runs, or
 * isolated.
 */
export class CircuitOpen extends errorBody(
  Schema.TaggedError<CircuitOpen>("@keelson/core/CircuitOpen")("CircuitOpen", {
    code: code("CIRCUIT_OPEN"),
    /** The breaker's name. */
    server: Schema.String,
    state: Schema.Literals(["OPEN", "HALF_OPEN", "ISOLATED"]),
    /**
     * How long until a call may be admitted again; zero while a probe runs. An isolated circuit waits for a reset: this is the
     * policy's `openDuration`.
     */
    retryAfter: Schema.Duration
  })
) {
  override readonly name = "CircuitOpen"
  override get message(): string {
    return `Circuit breaker is ${this.state}`
  }
  get details() {
    return { server: this.server, state: this.state, retry_after_ms: Math.round(Duration.toMillis(this.retryAfter)) }
  }
}
