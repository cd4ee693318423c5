import { CurrentDeadline } from "@keelson/core/Deadline"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

/** Shares one run of an effect between concurrent callers with the same key. */
export interface Flights<A> {
  /**
   * Joins the run of a key, or starts one. It runs in the scope and context of the flights: interrupting one caller affects
   * neither the run nor other callers. Without a key, the caller has its own run.
   */
  readonly join: (key: string | undefined, work: Effect.Effect<A>) => Effect.Effect<A>
  /** Later callers start new runs. Callers that wait already keep waiting for theirs. */
  readonly forget: () => void
}

/** Flights whose callers get `closed` once the scope is closed. */
export const makeFlights = <A>(closed: A): Effect.Effect<Flights<A>, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const fork = Effect.runForkWith(context)
    const running = new Map<Fiber.Fiber<unknown, unknown>, Deferred.Deferred<A>>()
    const current = new Map<string, Deferred.Deferred<A>>()
    let isClosed = false

    const close = Effect.suspend(() => {
      isClosed = true
      const fibers = [...running.keys()]
      // Callers first: the finalizers of a run may take long.
      for (const gate of running.values()) Deferred.doneUnsafe(gate, Exit.succeed(closed))
      return Fiber.interruptAll(fibers)
    })

    const start = (key: string | undefined, work: Effect.Effect<A>): Deferred.Deferred<A> => {
      const gate = Deferred.makeUnsafe<A>()
      if (key !== undefined) current.set(key, gate)
      // A caller's deadline does not limit the run.
      const fiber = fork(Effect.provideService(work, CurrentDeadline, undefined))
      running.set(fiber, gate)
      fiber.addObserver((exit) => {
        running.delete(fiber)
        if (key !== undefined && current.get(key) === gate) current.delete(key)
        Deferred.doneUnsafe(gate, Exit.hasInterrupts(exit) ? Exit.succeed(closed) : exit)
      })
      return gate
    }

    const flights: Flights<A> = {
      join: (key, work) =>
        Effect.suspend(() => {
          if (isClosed) return Effect.succeed(closed)
          return Deferred.await((key === undefined ? undefined : current.get(key)) ?? start(key, work))
        }),
      forget: () => current.clear()
    }
    return Effect.as(Scope.addFinalizer(Context.get(context, Scope.Scope), close), flights)
  })
