/**
 * Stops waiting for a store call after a limit, even if the call cannot be interrupted.
 */
import * as Duration from "effect/Duration"
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
        restore(exitAtMost(running, limit)).pipe(
          Effect.tap((exit) =>
            exit._tag === "Some" ? Effect.void : Effect.sync(() => running.interruptUnsafe(undefined, unanswered))
          ),
          Effect.ensuring(Effect.sync(() => running.interruptUnsafe())),
          Effect.flatMap((exit): Effect.Effect<Option.Option<A>, E> =>
            exit._tag === "Some" ? Effect.map(exit.value, Option.some) : Effect.succeedNone
          )
        )
    )
  )

/**
 * Waits for the exit of a fiber for at most `limit`. Returns `None` if it has none by then, and does not interrupt it.
 *
 * Time in which this process did not run does not count, up to the limit once more: the fiber may not have sent its request
 * before a pause, as by garbage collection or a busy machine. After that it is checked once more when pending input was read:
 * a process that was paused runs its timers before it reads its sockets.
 */
export const exitAtMost = <A, E>(
  running: Fiber.Fiber<A, E>,
  limit: Duration.Duration
): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.clockWith((clock) => {
    const until = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(limit)
    const wait = (duration: Duration.Duration) => Effect.timeoutOption(Fiber.await(running), duration)
    return Effect.flatMap(wait(limit), (exit) => {
      if (exit._tag === "Some") return Effect.succeed(exit)
      const lost = clock.monotonicTimeNanosUnsafe() - until
      if (lost <= 0n) return lastLook(running)
      return Effect.flatMap(
        wait(Duration.min(Duration.nanos(lost), limit)),
        (exit) => exit._tag === "Some" ? Effect.succeed(exit) : lastLook(running)
      )
    })
  })

const lastLook = <A, E>(running: Fiber.Fiber<A, E>): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.map(Effect.yieldNow, () => Option.fromUndefinedOr(running.pollUnsafe()))
