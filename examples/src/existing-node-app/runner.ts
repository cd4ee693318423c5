/** Runs effects for code that uses promises, with services that can be replaced while calls are running. */
import { type Effect, type Layer, ManagedRuntime } from "effect"

export interface Runner<R, Settings> {
  /** Rejects with the effect's error. The signal interrupts the effect. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, R>, signal?: AbortSignal) => Promise<A>
  /** Replaces the services with those of other settings. If these cannot be built, the current ones stay in use. */
  readonly reload: (settings: Settings) => Promise<void>
  /** Waits for running calls, then closes everything that the services hold: fibers, timers, sockets. */
  readonly close: () => Promise<void>
}

const open = async <R, E>(layer: Layer.Layer<R, E>) => {
  const runtime = ManagedRuntime.make(layer)
  const calls = new Set<Promise<unknown>>()
  // Builds the services now instead of at the first call, so that wrong settings stop the start.
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
    // Waits for the calls first, since disposing of a runtime interrupts them.
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
