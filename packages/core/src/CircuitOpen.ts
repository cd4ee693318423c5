/** The error of a call that a circuit breaker did not make. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Inspectable from "effect/Inspectable"
import * as Schema from "effect/Schema"
import { code } from "./ErrorCode.ts"
import { shownError } from "./internal/errors/shownError.ts"
import * as Problem from "./Problem.ts"

/**
 * A circuit breaker rejected a call without making it (`CIRCUIT_OPEN`), since the circuit is open, or half-open with
 * its one probe under way.
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>("@keelson/core/CircuitOpen")("CircuitOpen", {
  code: code("CIRCUIT_OPEN"),
  /** The breaker's name. */
  server: Schema.String,
  state: Schema.Literals(["OPEN", "HALF_OPEN"]),
  /** When a call may be admitted again; zero where only the probe is waited for. */
  retryAfter: Schema.Duration
}) {
  override readonly name = "CircuitOpen"
  override get message(): string {
    return `Circuit breaker is ${this.state}`
  }
  get details() {
    return { server: this.server, state: this.state, retry_after_ms: Math.round(Duration.toMillis(this.retryAfter)) }
  }
  /** The encoded form (`Problem`). */
  override toJSON(): Problem.Problem {
    return Problem.encode(this)
  }
  /** For a person, as `console.log` shows it. */
  override [Inspectable.NodeInspectSymbol](): string {
    return shownError(this)
  }
  /** A route that fails with it answers with `Problem.toResponse`. */
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return Effect.succeed(Problem.toResponse(this))
  }
}
