/**
 * Deadlines: an absolute time on the monotonic clock by which a call must end, and the error of a call that did not.
 *
 * A call ends at its deadline after the finalizers of the interrupted attempt: Effect waits for them. With `detach` the
 * caller gets the error at the deadline itself, and the finalizers run in the background.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Schema from "effect/Schema"
import { code } from "./ErrorCode.ts"
import { errorBody } from "./internal/errors/errorBody.ts"
import { withoutStack } from "./internal/errors/withoutStack.ts"
import { left, sooner } from "./internal/retry/deadline.ts"
import { interruptAfter } from "./internal/retry/interruptAfter.ts"
import type { DurationInput } from "./unstable/Field.ts"

/** What exceeded its time limit: one `attempt`, or the whole `call` with its retries and delays. */
export type Limit = "attempt" | "call"

/**
 * An attempt or a call took longer than allowed (`TIMEOUT`). A circuit breaker counts it as a failure, unlike an
 * interruption from outside.
 */
export class DeadlineExceeded extends errorBody(
  Schema.TaggedError<DeadlineExceeded>("@keelson/core/DeadlineExceeded")(
    "DeadlineExceeded",
    {
      code: code("TIMEOUT"),
      limit: Schema.Literals(["attempt", "call"]),
      /** The time limit of the attempt or call. */
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

/** The time by which the current call must end, in monotonic nanoseconds; `undefined` if there is none. */
export const CurrentDeadline = Context.Reference<bigint | undefined>("@keelson/core/CurrentDeadline", {
  defaultValue: () => undefined
})

/** The time left until the current deadline, zero once it has passed; `undefined` if there is none. */
export const remaining: Effect.Effect<Duration.Duration | undefined> = Effect.flatMap(
  CurrentDeadline,
  (until) =>
    until === undefined
      ? Effect.succeed(undefined)
      : Effect.map(Clock.monotonicTimeNanos, (now) => left(until, now))
)

/** The options of `within`. Every one may be left out. */
export interface Options {
  /** Whether the caller gets the error at the deadline itself, before the finalizers have run. Default false. */
  readonly detach?: boolean | undefined
}

/**
 * Runs an effect that must end within a duration, or by the current deadline if that is sooner. Retries and store calls
 * within the effect see the deadline and plan for it.
 *
 * An infinite duration sets no deadline. Put a deadline *inside* a circuit breaker, as `Resilience` does: a breaker ignores
 * calls that are interrupted from outside. Fails with `DeadlineExceeded` (`TIMEOUT`).
 *
 * **Example** (A call that takes too long)
 *
 * ```ts import.meta.vitest
 * import * as Deadline from "@keelson/core/Deadline"
 * import * as Effect from "effect/Effect"
 *
 * const slow = Effect.sleep("1 minute")
 * const error = await Effect.runPromise(Effect.flip(Deadline.within(slow, "10 millis")))
 * error.code // => "TIMEOUT"
 * ```
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
      () => withoutStack(() => new DeadlineExceeded({ limit: "call", after })),
      options?.detach ?? false
    )
  }))
