import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Cuts an effect after a time, with the error given. It ends once the effect's finalizers have; with `detach` at the
 * instant itself, and they end in the background.
 *
 * One fiber for the effect, and a second one for the time only where the effect does not end at once: half of what
 * `Effect.timeoutOrElse` costs. No error is made before it is needed.
 */
export const interruptAfter = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  after: Duration.Duration,
  onLate: () => E2,
  detach: boolean
): Effect.Effect<A, E | E2, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A, E | E2>((resume) => {
      const run = Effect.runForkWith(context)
      const fiber = run(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) {
        resume(exit)
        return
      }
      const timer = run(Context.get(context, Clock.Clock).sleep(after))
      let isLate = false
      fiber.addObserver((exit) => {
        if (isLate) return
        timer.interruptUnsafe()
        resume(exit)
      })
      timer.addObserver((exit) => {
        if (exit._tag === "Failure" || fiber.pollUnsafe() !== undefined) return
        isLate = true
        resume(Effect.andThen(stop(fiber, detach), Effect.suspend(() => Effect.fail(onLate()))))
      })
      return Effect.suspend(() => {
        timer.interruptUnsafe()
        return Fiber.interrupt(fiber)
      })
    })
  )

/** Uninterruptible, so that a caller who is interrupted meanwhile does not leave the finalizers behind either. */
const stop = (fiber: Fiber.Fiber<unknown, unknown>, detach: boolean): Effect.Effect<void> =>
  detach ? Effect.sync(() => fiber.interruptUnsafe()) : Effect.uninterruptible(Fiber.interrupt(fiber))
