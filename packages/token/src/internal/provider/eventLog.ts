import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import type { EventContext, TokenEvent } from "../../TokenEvent.ts"

/** An event without its context, which the log adds. */
type EventBody = TokenEvent extends infer E ? E extends unknown ? Omit<E, keyof EventContext> : never : never

/** How many events are kept for a slow subscriber before it loses the oldest. */
const capacity = 1_024

/** Publishes and logs the events of a provider. */
export interface EventLog {
  readonly events: PubSub.PubSub<TokenEvent>
  /** Never fails and never waits for a subscriber. */
  readonly publish: (attemptId: string, event: EventBody) => Effect.Effect<void>
}

/** How each event is logged: the message that log queries search for, its level, and what it is annotated with besides. */
const logged = {
  RefreshStarted: { message: "refresh.start", level: "Debug" },
  RefreshRetried: { message: "refresh.retry", level: "Warn", annotations: { outcome: "Retrying" } },
  Refreshed: { message: "refresh.success", level: "Debug", annotations: { outcome: "Success" } },
  RefreshFailed: { message: "refresh.failure", level: "Error", annotations: { outcome: "Failed" } },
  RefreshCompleted: { message: "retry.outcome", level: "Debug", annotations: { operation: "get_scoped_token" } },
  RefreshEscalated: { message: "refresh.escalated", level: "Fatal" }
} as const satisfies Record<TokenEvent["_tag"], object>

const loggedValue = (value: Duration.Duration | string | number | boolean | undefined) =>
  Duration.isDuration(value) ? Duration.toMillis(value) : value

/** The members of an event as log annotations; durations in milliseconds. */
const annotationsOf = ({ _tag, ...members }: TokenEvent): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) => value === undefined ? [] : [[name, loggedValue(value)]])
  )

const logEvent = (event: TokenEvent): Effect.Effect<void> => {
  const { annotations, level, message }: {
    readonly message: string
    readonly level: (typeof logged)[TokenEvent["_tag"]]["level"]
    readonly annotations?: Readonly<Record<string, unknown>>
  } = logged[event._tag]
  return Effect.annotateLogs(Effect.logWithLevel(level)(message), { ...annotationsOf(event), ...annotations })
}

export const makeEventLog = (server: string): Effect.Effect<EventLog, never, Scope.Scope> =>
  Effect.map(Effect.acquireRelease(PubSub.sliding<TokenEvent>(capacity), PubSub.shutdown), (events) => ({
    events,
    publish: Effect.fnUntraced(function*(attemptId, body) {
      const at = yield* Clock.currentTimeMillis
      const span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
      const trace = span === undefined ? undefined : { traceId: span.traceId, spanId: span.spanId }
      const event: TokenEvent = { ...body, server, attemptId, at, ...trace }
      PubSub.publishUnsafe(events, event)
      yield* logEvent(event)
    })
  }))
