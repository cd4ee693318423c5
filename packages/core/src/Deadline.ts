/**
 * An absolute instant on the monotonic clock by which a call has to end, and the error of being late.
 *
 * It bounds wall time up to the finalizers of the attempt that is cut: Effect waits for them. With `detach` the caller
 * gets the error at the instant itself, and the finalizers end in the background.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Schema from "effect/Schema"
import { code } from "./ErrorCode.ts"
import { errorBody } from "./internal/errors/errorBody.ts"
import { left, sooner } from "./internal/instant.ts"
import { interruptAfter } from "./internal/retry/interruptAfter.ts"
import type { DurationInput } from "./unstable/Field.ts"

/** What ran out of time: one attempt, or the whole call with its retries and delays. */
export type Limit = "attempt" | "call"

/**
 * An attempt or a call took longer than it may (`TIMEOUT`). It is a failure for a circuit breaker, which an
 * interruption from outside would not be.
 */
export class DeadlineExceeded extends errorBody(
  Schema.TaggedError<DeadlineExceeded>("@keelson/core/DeadlineExceeded")(
    "DeadlineExceeded",
    {
      code: code("TIMEOUT"),
      limit: Schema.Literals(["attempt", "call"]),
      /** How long it was allowed to take. */
      after: Schema.Duration
    }
  )
) {
  override readonly name = "DeadlineExceeded"
  override get message(): string {
    return `The ${this.limit} did not end within ${Duration.format(this.after)}`
  }
  get details() {
    return { limit: this.limit, after_ms: Math.round(Duration.toMillis(this.after)) }
  }
}

/** The instant in monotonic nanoseconds by which the current call has to end; `undefined` where there is none. */
export const CurrentDeadline = Context.Reference<bigint | undefined>("@keelson/core/CurrentDeadline", {
  defaultValue: () => undefined
})

/** The time left until the current deadline, zero once it has passed; `undefined` where there is none. */
export const remaining: Effect.Effect<Duration.Duration | undefined> = Effect.flatMap(
  CurrentDeadline,
  (until) =>
    until === undefined
      ? Effect.succeed(undefined)
      : Effect.map(Clock.monotonicTimeNanos, (now) => left(until, now))
)

export interface Options {
  /** Whether the caller gets the error at the instant itself, before the finalizers have ended. Default false. */
  readonly detach?: boolean | undefined
}

/**
 * Runs an effect that has to end within a time, or by the deadline it already runs under if that is sooner. What it
 * contains (Keelson's retries and store calls) sees the instant and plans for it.
 *
 * An infinite duration sets no deadline of its own. Put it *inside* a circuit breaker: a breaker ignores what is cut from outside. `Resilience` does.
 * Fails with `DeadlineExceeded` (`TIMEOUT`).
 */
export const within: {
  (
    duration: DurationInput,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: DurationInput,
    options?: Options
  ): Effect.Effect<A, E | DeadlineExceeded, R>
} = Function.dual((args) => Effect.isEffect(args[0]), <A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: DurationInput,
  options?: Options
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.withFiber((fiber) => {
    const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    const outer = fiber.getRef(CurrentDeadline)
    const asked = Duration.fromInputUnsafe(duration)
    const until = Duration.isFinite(asked) ? sooner(outer, now + Duration.toNanosUnsafe(asked)) : outer
    if (until === undefined) return self
    const after = left(until, now)
    return interruptAfter(
      Effect.provideService(self, CurrentDeadline, until),
      after,
      () => new DeadlineExceeded({ limit: "call", after }),
      options?.detach ?? false
    )
  }))
