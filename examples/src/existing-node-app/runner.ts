/** Runs effects for code that knows promises only, on services that can be exchanged while calls are under way. */
import { type Effect, type Layer, ManagedRuntime } from "effect"

export interface Runner<R, Settings> {
  /** Rejects with the error that the effect fails with. The signal interrupts it. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, R>, signal?: AbortSignal) => Promise<A>
  /** Exchanges the services for those of other settings. Where they can't be built, those that are there go on. */
  readonly reload: (settings: Settings) => Promise<void>
  /** Waits for the calls that are under way, and ends everything that the services hold: fibers, timers, sockets. */
  readonly close: () => Promise<void>
}

const open = async <R, E>(layer: Layer.Layer<R, E>) => {
  const runtime = ManagedRuntime.make(layer)
  const calls = new Set<Promise<unknown>>()
  // Services are built now, and not at the first call: settings that are wrong stop the start.
  await runtime.context().catch(async (error: unknown) => {
    await runtime.dispose()
    throw error
  })
  return {
    run: async <A, F>(effect: Effect.Effect<A, F, R>, signal?: AbortSignal): Promise<A> => {
      const call = runtime.runPromise(effect, { signal })
      calls.add(call)
      try {
        return await call
      } finally {
        calls.delete(call)
      }
    },
    // The end of a runtime interrupts what it runs, so its calls are waited for first.
    close: async () => {
      await Promise.allSettled(calls)
      await runtime.dispose()
    }
  }
}

export const makeRunner = async <R, E, Settings>(
  layerOf: (settings: Settings) => Layer.Layer<R, E>,
  settings: Settings
): Promise<Runner<R, Settings>> => {
  let current = await open(layerOf(settings))
  return {
    run: (effect, signal) => current.run(effect, signal),
    reload: async (changed) => {
      const next = await open(layerOf(changed))
      const last = current
      current = next
      await last.close()
    },
    close: () => current.close()
  }
}
