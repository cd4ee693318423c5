import type { Effect, Scope } from "effect"
import type { ErrorCode } from "../../src/index.ts"

/** One thing that can happen to a call, with what Keelson should make of it. */
export interface Fault {
  /** The ids that the test's title carries, if any. */
  readonly ids: string
  readonly area: "HTTP" | "Signals" | "Effect" | "SQL" | "Redis" | "Other runtimes"
  readonly what: string
  /** The client or library in which it happens. */
  readonly where: string
  readonly code: ErrorCode.ErrorCode | undefined
  /** Whether `Retry` repeats it, if it has no code. */
  readonly retried?: boolean
  /** What a breaker records, if it has no code or `isRetryable` says otherwise. */
  readonly breaker?: ErrorCode.BreakerOutcome
  /** Makes it happen. */
  readonly make: Effect.Effect<unknown, unknown, Scope.Scope>
}
