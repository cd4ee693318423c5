import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import type { Origin, TokenEvent } from "../../TokenEvent.ts"

/** What can happen, without where and when. */
type EventBody = TokenEvent extends infer E ? E extends unknown ? Omit<E, keyof Origin> : never : never

/** How many events are kept for a subscriber that is slow, before it loses the oldest. */
const capacity = 1_024

/** Tells subscribers and the log what happens. */
export interface EventLog {
  readonly events: PubSub.PubSub<TokenEvent>
  /** Never fails and waits for nobody. */
  readonly tell: (attemptId: string, event: EventBody) => Effect.Effect<void>
}

const levels = {
  "refresh.start": "Debug",
  "refresh.retry": "Warn",
  "refresh.success": "Debug",
  "refresh.failure": "Error",
  "retry.outcome": "Debug",
  "refresh.escalated": "Fatal"
} as const satisfies Record<TokenEvent["_tag"], string>

const written = (value: Duration.Duration | string | number | boolean | undefined) =>
  Duration.isDuration(value) ? Duration.toMillis(value) : value

/** An event's members as annotations of a log entry. */
const annotations = ({ _tag, ...members }: TokenEvent): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) => value === undefined ? [] : [[name, written(value)]])
  )

export const makeEventLog = (server: string): Effect.Effect<EventLog, never, Scope.Scope> =>
  Effect.map(Effect.acquireRelease(PubSub.sliding<TokenEvent>(capacity), PubSub.shutdown), (events) => ({
    events,
    tell: Effect.fnUntraced(function*(attemptId, happened) {
      const at = yield* Clock.currentTimeMillis
      const span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
      const trace = span === undefined ? undefined : { traceId: span.traceId, spanId: span.spanId }
      const event: TokenEvent = { ...happened, server, attemptId, at, ...trace }
      PubSub.publishUnsafe(events, event)
      yield* Effect.annotateLogs(Effect.logWithLevel(levels[event._tag])(event._tag), annotations(event))
    })
  }))
