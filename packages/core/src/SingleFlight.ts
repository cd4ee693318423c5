/**
 * One run of a piece of work for all who want its result at the same time.
 */
import { Cause, Deferred, Effect, Exit, Fiber, Schema, type Scope } from "effect"
import { code } from "./ErrorCode.ts"

/** The scope in which the work runs was closed before it ended (`SHUTTING_DOWN`). */
export class Closed extends Schema.TaggedError<Closed>("@keelson/core/SingleFlight/Closed")("Closed", {
  code: code("SHUTTING_DOWN")
}) {
  override get message(): string {
    return "The work was stopped before it ended"
  }
}

/**
 * An effect that joins the run under way, or starts one.
 *
 * The work runs in the scope and context in which this was made, never in a caller's: a caller that is interrupted
 * disturbs nobody, and the work goes on for the next one. Closing the scope stops the work and fails its waiters at
 * once; afterwards every call fails. Fails with `Closed` (`SHUTTING_DOWN`), and as the work does.
 */
export const make = Effect.fnUntraced(function*<A, E, R>(
  work: Effect.Effect<A, E, R>
): Effect.fn.Return<Effect.Effect<A, E | Closed>, never, R | Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context<R>())
  let isClosed = false
  let current: { readonly gate: Deferred.Deferred<A, E | Closed>; readonly fiber: Fiber.Fiber<A, E> } | undefined

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      if (current === undefined) return Effect.void
      const { fiber, gate } = current
      // Waiters first: the work's own finalizers may take their time.
      Deferred.doneUnsafe(gate, Exit.fail(new Closed({})))
      return Fiber.interrupt(fiber)
    })
  )

  const start = (): Effect.Effect<A, E | Closed> => {
    const gate = Deferred.makeUnsafe<A, E | Closed>()
    const fiber = fork(work)
    current = { gate, fiber }
    fiber.addObserver((exit) => {
      if (current?.gate === gate) current = undefined
      Deferred.doneUnsafe(
        gate,
        Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? Exit.fail(new Closed({})) : exit
      )
    })
    return Deferred.await(gate)
  }

  return Effect.suspend(() => {
    if (isClosed) return Effect.fail(new Closed({}))
    return current === undefined ? start() : Deferred.await(current.gate)
  })
})
