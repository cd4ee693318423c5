import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { RetryBudget } from "../../RetryBudget.ts"

/** The attempts of one call, those of its hedges included. */
export interface SharedAttempts {
  made: number
  /** The `maxAttempts` of the retries within the call. */
  most: number
}

/** One of the executions of a hedged call. */
export interface Execution {
  /** The name of the hedge. Retries with the same label `server` are those of the call. */
  readonly server: string
  /** 0 for the first execution, then the number of the hedge. */
  readonly number: number
  readonly attempts: SharedAttempts
  /** The budget in which the call was counted. */
  readonly budget: RetryBudget
  /** Releases the last response that the execution received, if it is interrupted before it returns the response. */
  release?: Effect.Effect<void>
}

/** The execution of a hedged call that the current fiber belongs to. */
export const CurrentExecution = Context.Reference<Execution | undefined>("@keelson/core/internal/CurrentExecution", {
  defaultValue: () => undefined
})

/** Whether a call begins with a run of retries. A hedge does not begin one, and a budget counts a call once. */
export const beginsCall = (
  execution: Execution | undefined,
  budget: RetryBudget,
  server: string | undefined
): boolean =>
  execution === undefined ||
  (execution.budget !== budget && (execution.number === 0 || execution.server !== server))

/** The attempts that a run of retries shares with the other executions of its call; `undefined` if it shares none. */
export const sharedAttempts = (
  execution: Execution | undefined,
  server: string | undefined
): SharedAttempts | undefined => execution?.server === server ? execution?.attempts : undefined
