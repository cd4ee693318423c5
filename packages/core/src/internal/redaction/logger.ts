import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { redactError } from "./error.ts"
import { redactMembers, redactValue } from "./json.ts"
import { redactText } from "./text.ts"

const frame = (source: References.StackFrame, depth = 0): References.StackFrame => ({
  name: redactText(source.name),
  stack: () => {
    const stack = source.stack()
    return stack === undefined ? undefined : redactText(stack)
  },
  parent: source.parent === undefined || depth === 8 ? undefined : frame(source.parent, depth + 1)
})

const annotations = (reason: Cause.Reason<unknown>): Context.Context<never> => {
  const all = Cause.reasonAnnotations(reason)
  const kept = new Map<string, unknown>()
  const keep = <I>(key: Context.Key<I, References.StackFrame>): void => {
    const found = Context.getOption(all, key)
    if (Option.isSome(found)) kept.set(key.key, frame(found.value))
  }
  keep(Cause.StackTrace)
  keep(Cause.InterruptorStackTrace)
  return Context.makeUnsafe(kept)
}

/** The reasons of a cause with redacted errors and defects, and with their spans. */
const redactReasons = (cause: Cause.Cause<unknown>): Cause.Cause<Error> =>
  Cause.fromReasons(cause.reasons.map((reason) => {
    if (Cause.isInterruptReason(reason)) {
      return Cause.makeInterruptReason(reason.fiberId).annotate(annotations(reason))
    }
    return Cause.isFailReason(reason)
      ? Cause.makeFailReason(redactError(reason.error)).annotate(annotations(reason))
      : Cause.makeDieReason(redactError(reason.defect)).annotate(annotations(reason))
  }))

/** The redacted text of a cause. */
export const redactCause = (cause: Cause.Cause<unknown>): string => redactText(Cause.pretty(redactReasons(cause)))

const part = (message: unknown): unknown => {
  if (typeof message === "string") return redactText(message)
  return message instanceof Error ? redactError(message) : redactValue(message)
}

/** The fiber for a logger: annotations and labels of spans redacted, everything else unchanged. */
const fiberView = (fiber: Fiber.Fiber<unknown, unknown>): Fiber.Fiber<unknown, unknown> => {
  const noted = redactMembers(fiber.getRef(References.CurrentLogAnnotations))
  const spans = fiber.getRef(References.CurrentLogSpans).map(([label, start]): [label: string, timestamp: number] => [
    redactText(label),
    start
  ])
  const context = fiber.context.pipe(
    Context.add(References.CurrentLogAnnotations, noted),
    Context.add(References.CurrentLogSpans, spans)
  )
  return Object.create(fiber, {
    context: { value: context },
    getRef: { value: <A>(ref: Context.Reference<A>): A => Context.get(context, ref) }
  })
}

/** A logger whose input is redacted. */
export const redactLogger = <Output>(self: Logger.Logger<unknown, Output>): Logger.Logger<unknown, Output> =>
  Logger.make((options) =>
    self.log({
      ...options,
      message: Array.isArray(options.message) ? options.message.map(part) : part(options.message),
      cause: redactReasons(options.cause),
      fiber: fiberView(options.fiber)
    })
  )
