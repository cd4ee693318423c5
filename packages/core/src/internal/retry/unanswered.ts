import * as Context from "effect/Context"
import * as Exit from "effect/Exit"

/** Says of an interruption that it came at the limit, and not since the caller went away. */
class Unanswered extends Context.Service<Unanswered, true>()("@keelson/core/internal/Unanswered") {}

/** What marks the end of a call that was not answered in time. */
export const unanswered: Context.Context<never> = Unanswered.context(true)

/** Whether a call ended by itself or was not answered in time. One that was given up by its caller says nothing of who it went to. */
export const isTelling = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isSuccess(exit) ||
  exit.cause.reasons.some((reason) => reason._tag !== "Interrupt" || reason.annotations.has(Unanswered.key))
