import * as Context from "effect/Context"
import * as Exit from "effect/Exit"

/** Marks an interruption at a limit, as distinct from one by the caller. */
class Unanswered extends Context.Service<Unanswered, true>()("@keelson/core/internal/Unanswered") {}

/** The mark of a call that did not end in time. */
export const unanswered: Context.Context<never> = Unanswered.context(true)

/** Whether a call ended, or did not end in time. A call that its caller interrupted is no evidence about the server. */
export const isTelling = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isSuccess(exit) ||
  exit.cause.reasons.some((reason) => reason._tag !== "Interrupt" || reason.annotations.has(Unanswered.key))
