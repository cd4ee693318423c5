import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Interrupts an effect after a duration and fails with the error of `onLate`, once the effect's finalizers have run. With
 * `detach` it fails at once, and the finalizers run in the background.
 *
 * A timer that fires does not mean that there is no answer: while this process was busy, the answer may have arrived and not
 * been read. So what is there is read first, and an answer wins over the timer.
 *
 * It forks one fiber for the effect, and a second one for the timer only if the effect does not end at once. That is half
 * the cost of `Effect.timeoutOrElse`.
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
      let grace: Fiber.Fiber<unknown> | undefined
      timer.addObserver((exit) => {
        if (exit._tag === "Failure" || fiber.pollUnsafe() !== undefined) return
        grace = run(turns)
        grace.addObserver((exit) => {
          if (exit._tag === "Failure" || fiber.pollUnsafe() !== undefined) return
          isLate = true
          resume(Effect.andThen(stop(fiber, detach), Effect.suspend(() => Effect.fail(onLate()))))
        })
      })
      return Effect.suspend(() => {
        timer.interruptUnsafe()
        grace?.interruptUnsafe()
        return Fiber.interrupt(fiber)
      })
    })
  )

/** Two turns of the event loop, in which sockets are read and what arrived is passed on. */
const turns: Effect.Effect<void> = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** Uninterruptible, so that a caller that is interrupted meanwhile waits for the finalizers too. */
const stop = (fiber: Fiber.Fiber<unknown, unknown>, detach: boolean): Effect.Effect<void> =>
  detach ? Effect.sync(() => fiber.interruptUnsafe()) : Effect.uninterruptible(Fiber.interrupt(fiber))
