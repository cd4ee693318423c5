/**
 * Waiting for a call to a store only so long, whatever the store does.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { unanswered } from "../internal/retry/unanswered.ts"

/**
 * Runs a call to a store, and waits for it only so long: `None` where it has not ended by then.
 *
 * The call runs in a fiber of its own, since a time limit around it would wait until it has let itself be interrupted,
 * which a frozen server never does. The limit also holds in a finalizer, where nothing can be interrupted. The call is
 * told to end when nobody waits for it any more.
 */
export const waitAtMost = <A, E, R>(
  call: Effect.Effect<A, E, R>,
  limit: Duration.Duration
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(call), { startImmediately: true }),
      (running) =>
        restore(Effect.timeoutOption(Fiber.await(running), limit)).pipe(
          Effect.flatMap((exit) => exit._tag === "Some" ? Effect.succeed(exit) : lastLook(running)),
          Effect.ensuring(Effect.sync(() => running.interruptUnsafe())),
          Effect.flatMap((exit): Effect.Effect<Option.Option<A>, E> =>
            exit._tag === "Some" ? Effect.map(exit.value, Option.some) : Effect.succeedNone
          )
        )
    )
  )

/**
 * How a call has ended once what had come in by the limit was read; one that has not is told to. A process that was
 * paused, as by a collection of garbage, sees its timers first and its sockets after them: the store answered in time,
 * and would be blamed.
 */
const lastLook = <A, E>(running: Fiber.Fiber<A, E>): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.map(Effect.yieldNow, () => {
    const exit = running.pollUnsafe()
    if (exit === undefined) running.interruptUnsafe(undefined, unanswered)
    return Option.fromUndefinedOr(exit)
  })
