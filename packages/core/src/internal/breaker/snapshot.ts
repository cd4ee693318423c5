import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

export const State = Schema.Literals(["CLOSED", "OPEN", "HALF_OPEN"])
export type State = typeof State.Type

const DurationFromSeconds = Schema.Number.pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transform({
      decode: (seconds: number) => Duration.seconds(seconds),
      encode: (duration) => Duration.toSeconds(duration)
    })
  )
)

/** A breaker at one moment. Its encoded form has the names `failure_count`, `timeout_seconds` and so on. */
export interface Snapshot {
  readonly state: State
  /** Failures in a row, counted by this process. */
  readonly failureCount: number
  /** The number of failures in a row, or the share of failures, that opens the circuit. */
  readonly failureThreshold: number
  /** Calls in this process, rejected ones included. */
  readonly totalCalls: number
  readonly successCount: number
  /** Calls that were rejected without being made. */
  readonly rejectedCount: number
  /** The policy's `openDuration`; `timeout_seconds` when encoded. */
  readonly openDuration: Duration.Duration
}

export const Snapshot = Schema.Struct({
  state: State,
  failureCount: Schema.Int,
  failureThreshold: Schema.Number,
  totalCalls: Schema.Int,
  successCount: Schema.Int,
  rejectedCount: Schema.Int,
  openDuration: DurationFromSeconds
}).pipe(Schema.encodeKeys({
  failureCount: "failure_count",
  failureThreshold: "failure_threshold",
  totalCalls: "total_calls",
  successCount: "success_count",
  rejectedCount: "rejected_count",
  openDuration: "timeout_seconds"
}))
