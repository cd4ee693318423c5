/**
 * Waiting for a call to a store only so long, whatever the store does.
 */
import { type Duration, Effect, Fiber, Option } from "effect"

/**
 * Runs a call to a store, and waits for it only so long: `None` where it has not ended by then.
 *
 * The call runs in a fiber of its own, since a time limit around it would wait until it has let itself be interrupted,
 * which a frozen server never does. The limit also holds in a finalizer, where nothing can be interrupted. The call is
 * told to end when nobody waits for it any more.
 */
export const bounded = <A, E, R>(
  call: Effect.Effect<A, E, R>,
  limit: Duration.Duration
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(call), { startImmediately: true }),
      (running) =>
        restore(Effect.timeoutOption(Fiber.await(running), limit)).pipe(
          Effect.ensuring(Effect.sync(() => running.interruptUnsafe())),
          Effect.flatMap((exit): Effect.Effect<Option.Option<A>, E> =>
            exit._tag === "Some" ? Effect.map(exit.value, Option.some) : Effect.succeedNone
          )
        )
    )
  )
