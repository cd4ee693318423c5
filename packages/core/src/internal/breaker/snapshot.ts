import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

export const State = Schema.Literals(["CLOSED", "OPEN", "HALF_OPEN", "ISOLATED"])
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

/**
 * A breaker at one moment. Its encoded form has the names `failure_count`, `timeout_seconds` and so on. Members that belong to
 * an option are there if the policy has the option.
 */
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
  /** With `slowCallDuration`: slow calls in this process. */
  readonly slowCount?: number
  /** With `ratio` and `timeWindow`, while the circuit is closed: the calls in the window of the store. */
  readonly window?: { readonly calls: number; readonly failures: number; readonly slow: number }
  /** With `openMultiplier`: how often the circuit opened since it was last closed for as long as it had been open. */
  readonly openings?: number
  /** With more than one of `probes`, while the circuit is half-open: the probes that succeeded and failed. */
  readonly probes?: { readonly passed: number; readonly failed: number }
}

export const Snapshot = Schema.Struct({
  state: State,
  failureCount: Schema.Int,
  failureThreshold: Schema.Number,
  totalCalls: Schema.Int,
  successCount: Schema.Int,
  rejectedCount: Schema.Int,
  openDuration: DurationFromSeconds,
  slowCount: Schema.optionalKey(Schema.Int),
  window: Schema.optionalKey(Schema.Struct({ calls: Schema.Int, failures: Schema.Int, slow: Schema.Int })),
  openings: Schema.optionalKey(Schema.Int),
  probes: Schema.optionalKey(Schema.Struct({ passed: Schema.Int, failed: Schema.Int }))
}).pipe(Schema.encodeKeys({
  failureCount: "failure_count",
  failureThreshold: "failure_threshold",
  totalCalls: "total_calls",
  successCount: "success_count",
  rejectedCount: "rejected_count",
  openDuration: "timeout_seconds",
  slowCount: "slow_count"
}))
