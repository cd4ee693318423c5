/**
 * One run of a piece of work for all who want its result at the same time.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { CurrentDeadline } from "./Deadline.ts"
import { code } from "./ErrorCode.ts"
import { errorBody } from "./internal/errors/errorBody.ts"

/** The scope in which the work runs was closed before it ended (`SHUTTING_DOWN`). */
export class Closed extends errorBody(
  Schema.TaggedError<Closed>("@keelson/core/SingleFlight/Closed")("SingleFlightClosed", {
    code: code("SHUTTING_DOWN")
  })
) {
  override readonly name = "SingleFlightClosed"
  override get message(): string {
    return "The work was stopped before it ended"
  }
}

/**
 * An effect that joins the run under way, or starts one.
 *
 * The work runs in the scope and context in which this was made, never in a caller's: a caller that is interrupted
 * disturbs nobody, and the work goes on for the next one. A deadline is a call's own, and does not bind the work.
 * Closing the scope stops the work and fails its waiters at once; afterwards every call fails. Fails with `Closed`
 * (`SHUTTING_DOWN`), and as the work does. Work that waits for itself dies.
 */
export const make = Effect.fnUntraced(function*<A, E, R>(
  work: Effect.Effect<A, E, R>
): Effect.fn.Return<Effect.Effect<A, E | Closed>, never, R | Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context<R>())
  let isClosed = false
  let current: { readonly gate: Deferred.Deferred<A, E | Closed>; fiber?: Fiber.Fiber<unknown, unknown> } | undefined

  yield* Effect.addFinalizer(() =>
    Effect.withFiber((closing) => {
      isClosed = true
      if (current?.fiber === undefined) return Effect.void
      const { fiber, gate } = current
      // Waiters first: the work's own finalizers may take their time.
      Deferred.doneUnsafe(gate, Exit.fail(new Closed({})))
      // Work that closes the scope itself is stopped, but not waited for: it would wait for its own end.
      return fiber === closing ? Effect.sync(() => fiber.interruptUnsafe()) : Fiber.interrupt(fiber)
    })
  )

  const start = (): Effect.Effect<A, E | Closed> => {
    const gate = Deferred.makeUnsafe<A, E | Closed>()
    const run: typeof current = { gate }
    current = run
    // Known before the work begins, which may call this or close the scope before `fork` returns.
    const known = Effect.withFiber((own) => {
      run.fiber = own
      return work
    })
    const fiber = fork(Effect.provideService(known, CurrentDeadline, undefined))
    fiber.addObserver((exit) => {
      if (current?.gate === gate) current = undefined
      Deferred.doneUnsafe(
        gate,
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Exit.fail(new Closed({})) : exit
      )
    })
    return Deferred.await(gate)
  }

  return Effect.withFiber((caller) => {
    if (isClosed) return Effect.fail(new Closed({}))
    if (current === undefined) return start()
    return current.fiber === caller
      ? Effect.die(new Error("SingleFlight: the work waits for itself"))
      : Deferred.await(current.gate)
  })
})
