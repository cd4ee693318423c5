/**
 * Stops waiting for a store call after a limit, even if the call cannot be interrupted.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { unanswered } from "../internal/retry/unanswered.ts"

/**
 * Runs a call and waits for at most `limit`. Returns `None` if the call has not ended by then.
 *
 * The call runs in a separate fiber. `Effect.timeout` waits until the interrupted call has ended, which a call to a frozen
 * server never does. The limit also holds in a finalizer, where nothing can be interrupted. At the limit, or if the caller
 * is interrupted, the call is interrupted in the background.
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
 * Checks once more whether a call has ended, after pending input was read, and interrupts it if not. A process that was
 * paused, as by garbage collection, runs its timers before it reads its sockets: a store that responded in time would
 * otherwise count as too slow.
 */
const lastLook = <A, E>(running: Fiber.Fiber<A, E>): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.map(Effect.yieldNow, () => {
    const exit = running.pollUnsafe()
    if (exit === undefined) running.interruptUnsafe(undefined, unanswered)
    return Option.fromUndefinedOr(exit)
  })
