/** Clocks for tests: virtual time with a limit, and wall time that jumps. */
import { Clock, type Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** A virtual clock whose wall time can be set separately; monotonic time and sleeps are not affected. */
export const skewedClock = Effect.map(Clock.Clock, (base) => {
  const skew = { millis: 0 }
  const now = () => base.currentTimeMillisUnsafe() + skew.millis
  const clock: Clock.Clock = Object.create(base, {
    currentTimeMillisUnsafe: { value: now },
    currentTimeMillis: { value: Effect.sync(now) }
  })
  return { skew, clock }
})

/** Runs an effect while half an hour of virtual time passes. Returns its exit and the time that it took. */
export const runOut = <A, E, R>(self: Effect.Effect<A, E, R>, time: Duration.Input = "30 minutes") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.timed(Effect.exit(self)), { startImmediately: true })
    yield* TestClock.adjust(time)
    const [elapsed, exit] = yield* Fiber.join(fiber)
    return { elapsed, exit }
  })
