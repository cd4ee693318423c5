/**
 * Shares one run of an effect between concurrent callers.
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

/** The scope of the work closed before the work ended (`SHUTTING_DOWN`). */
export class Closed extends errorBody(
  Schema.TaggedError<Closed>("@keelson/core/SingleFlight/Closed")("SingleFlightClosed", {
    code: code("SHUTTING_DOWN")
  })
) {
  override readonly name = "SingleFlightClosed"
  override get message(): string {
    return "The shared work was stopped before it ended"
  }
}

/**
 * Makes an effect that joins the current run of `work`, or starts one.
 *
 * The work runs in the scope and context of `make`, not in a caller's. Interrupting one caller affects neither the work nor
 * the other callers. A caller's deadline does not limit the work. Closing the scope stops the work and immediately fails its
 * callers; later calls fail too. Fails with `Closed` (`SHUTTING_DOWN`), and with the errors of the work. Work that waits for
 * itself dies.
 *
 * **Example** (One run for two callers)
 *
 * ```ts import.meta.vitest
 * import * as SingleFlight from "@keelson/core/SingleFlight"
 * import * as Effect from "effect/Effect"
 *
 * let runs = 0
 * const work = Effect.delay(Effect.sync(() => ++runs), "1 millis")
 * const program = Effect.gen(function*() {
 *   const shared = yield* SingleFlight.make(work)
 *   return yield* Effect.all([shared, shared], { concurrency: 2 })
 * }).pipe(Effect.scoped)
 *
 * const results = await Effect.runPromise(program) // => [1, 1]
 * ```
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
      // Callers first: the finalizers of the work may take long.
      Deferred.doneUnsafe(gate, Exit.fail(new Closed({})))
      // Work that closes the scope itself is stopped but not awaited, or it would wait for its own end.
      return fiber === closing ? Effect.sync(() => fiber.interruptUnsafe()) : Fiber.interrupt(fiber)
    })
  )

  const start = (): Effect.Effect<A, E | Closed> => {
    const gate = Deferred.makeUnsafe<A, E | Closed>()
    const run: typeof current = { gate }
    current = run
    // Set before the work begins: it may call this effect or close the scope before `fork` returns.
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
